"""A server that speaks plain HTTP."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from .base import Server
from .nginx import nginx_command
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HTTP = """\
default_type application/octet-stream;
types {{ text/plain txt; text/html html; image/png png; application/pdf pdf; }}
server {{
    listen {host}:{port};
    root {root};
    autoindex on;
    location /private/ {{
        auth_basic "private";
        auth_basic_user_file {here}/passwords;
    }}
    location /bearer/ {{
        if ($http_authorization != "Bearer {token}") {{ return 401; }}
    }}
}}
"""


class NginxHTTP(Server):
    """nginx over a folder, with listings.

    `/private/` asks for a password, `/bearer/` for a token.
    """

    user = "u"
    password = "p"
    token = "t"

    @property
    def root(self) -> Path:
        """The folder that is served."""
        return self.directory / "data"

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("http", ...)`."""
        return {}

    @property
    def access_log(self) -> Path:
        """The log of requests, a line each."""
        return self.directory / "access.log"

    def _prepare(self) -> None:
        for folder in (self.root, self.root / "private", self.root / "bearer"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        self.directory.chmod(0o755)
        digest = base64.b64encode(hashlib.sha1(self.password.encode()).digest())
        (self.directory / "passwords").write_text(f"{self.user}:{{SHA}}{digest.decode()}\n")

    def _command(self) -> Sequence[str]:
        http = _HTTP.format(
            host=HOST, port=self.port, here=self.directory, root=self.root, token=self.token
        )
        return nginx_command(self.directory, http, access_log=str(self.access_log))
