"""A server that speaks Azure Blob Storage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import MissingServer, Server, find_executable
from .module import ROOT
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence


class Azurite(Server):
    """Azurite, kept in memory, with one container and its published development account."""

    volatile = True
    account_name = "devstoreaccount1"
    account_key = (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    )

    def __init__(self, *, container: str = "container", wait: float = 20.0) -> None:
        super().__init__(wait=wait)
        self.container = container

    @property
    def account_url(self) -> str:
        """The address of the account."""
        return f"{self.url}/{self.account_name}"

    @property
    def connection_string(self) -> str:
        """What Azure's clients take for address and key in one."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account_name};"
            f"AccountKey={self.account_key};BlobEndpoint={self.account_url};"
        )

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("abfs", ...)`."""
        return {
            "account_name": self.account_name,
            "account_key": self.account_key,
            "connection_string": self.connection_string,
        }

    def client(self) -> Any:
        """Return a synchronous `azure.storage.blob.BlobServiceClient`."""
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient.from_connection_string(self.connection_string)

    def _command(self) -> Sequence[str]:
        modules = Path(os.environ.get("DJANGO_FSSPEC_NODE_MODULES", ROOT / "node_modules"))
        script = modules / "azurite" / "dist" / "src" / "blob" / "main.js"
        if not script.exists():
            raise MissingServer(
                f"{script} was not found: npm install azurite, in the repository"
                " or where DJANGO_FSSPEC_NODE_MODULES points"
            )
        return [
            *(find_executable("node", "install Node.js"), str(script)),
            *("--blobHost", HOST, "--blobPort", str(self.port)),
            *("--inMemoryPersistence", "--skipApiVersionCheck", "--silent"),
            "--disableTelemetry",
        ]

    def _populate(self) -> None:
        with self.client() as client:
            client.create_container(self.container)
