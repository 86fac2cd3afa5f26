"""Application servers and the nginx before them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

from .base import Server
from .module import ROOT
from .nginx import nginx_command
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Site(Server):
    """A `module` over `storages`, under uvicorn or, with `wsgi`, under gunicorn."""

    secret = "of a site for tests"

    def __init__(
        self,
        storages: Mapping[str, Any],
        *,
        wsgi: bool = False,
        accel: Mapping[str, str] | None = None,
        uploads: Mapping[str, Any] | None = None,
        module: str = "tests.soak.site",
        wait: float = 30.0,
    ) -> None:
        super().__init__(wait=wait)
        self._module = module
        self._storages, self._wsgi, self._accel = storages, wsgi, accel or {}
        self._uploads = uploads or {}

    def _command(self) -> Sequence[str]:
        bind = f"{HOST}:{self.port}"
        if self._wsgi:
            options = ["--bind", bind, "--threads", "8", "--graceful-timeout", "1"]
            return [sys.executable, "-m", "gunicorn", *options, f"{self._module}:application"]
        options = ["--host", HOST, "--port", str(self.port), "--lifespan", "off"]
        return [sys.executable, "-m", "uvicorn", *options, f"{self._module}:asgi"]

    def _environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(ROOT),
            "SITE_SECRET": self.secret,
            "SITE_STORAGES": json.dumps(self._storages),
            "SITE_ACCEL": json.dumps(self._accel),
            "SITE_UPLOADS": json.dumps(self._uploads),
            # those of the tests are another site's
            "DJANGO_SETTINGS_MODULE": "",
            "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
        }

    def stop(self) -> None:
        """See Server.stop(). Under coverage, let the process end by itself: only then it tells."""
        measured = "COVERAGE_PROCESS_CONFIG" in os.environ and os.getpid() == self._owner
        if measured and self._process:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        super().stop()

    def _answers(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/alive", timeout=5) as response:
            self.worker = int(response.read())
        return True


_FRONT = """\
default_type application/octet-stream;
types {{ text/plain txt; text/html html; }}
server {{
    listen {host}:{port};
    if_modified_since before;
    location /plain/ {{
        alias {root}/;
    }}
    location / {{
        proxy_pass http://{host}:{upstream};
    }}
    location /protected/ {{
        internal;
        alias {root}/;
        add_header X-Content-Type-Options $upstream_http_x_content_type_options;
        add_header Content-Security-Policy $upstream_http_content_security_policy;
        add_header Cross-Origin-Resource-Policy $upstream_http_cross_origin_resource_policy;
        add_header Vary $upstream_http_vary;
    }}
}}
"""


class NginxFront(Server):
    """nginx before an application: `/plain/` is a folder that it serves by itself.

    The application may hand it files of the same folder with ``X-Accel-Redirect: /protected/…``.
    """

    def __init__(self, root: Path, upstream: int, *, wait: float = 20.0) -> None:
        super().__init__(wait=wait)
        self._root, self._upstream = root, upstream

    def _prepare(self) -> None:
        self.directory.chmod(0o755)

    def _command(self) -> Sequence[str]:
        http = _FRONT.format(host=HOST, port=self.port, root=self._root, upstream=self._upstream)
        return nginx_command(self.directory, http)
