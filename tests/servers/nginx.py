"""nginx that keeps all of its files in one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import find_executable

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """\
daemon off;
master_process off;
pid {here}/nginx.pid;
error_log {error_log};
events {{ worker_connections 1024; }}
http {{
    access_log {access_log};
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    {http}
}}
"""


def nginx_command(
    here: Path, http: str, *, access_log: str = "off", error_log: str = "stderr warn"
) -> list[str]:
    """Write a configuration with the block `http` into `here`; return the command to run it."""
    config = _CONFIG.format(here=here, http=http, access_log=access_log, error_log=error_log)
    (here / "nginx.conf").write_text(config)
    program = find_executable("nginx", "apt-get install nginx-light")
    return [program, "-e", "stderr", "-p", str(here), "-c", "nginx.conf"]
