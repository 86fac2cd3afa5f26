"""docs/how-to/deploy.md: nginx accepts its configuration, and limits what it says."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.utils import started
from tests.servers.base import Server
from tests.servers.certificates import self_signed
from tests.servers.nginx import nginx_command
from tests.servers.ports import HOST, closed_port

pytestmark = pytest.mark.once

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "deploy.md"
BLOCKS = re.findall(r"^```nginx\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


class DocumentedNginx(Server):
    """nginx with the server of the page, on a port and with a certificate of the test."""

    def _command(self) -> list[str]:
        server, policy = BLOCKS
        own = str(self_signed(self.directory))
        changed = {
            "listen 443 ssl": f"listen {HOST}:{self.port}",
            "/etc/ssl/site.example.pem": own,
            "/etc/ssl/site.example.key": own,
            "127.0.0.1:8000": f"{HOST}:{closed_port()}",
            "client_max_body_size 20m": "client_max_body_size 20k",
            "location / {": f"location / {{ {policy}",
        }
        for text, instead in changed.items():
            assert text in server, text
            server = server.replace(text, instead)
        error_log = f"{self.directory}/error.log warn"
        return nginx_command(self.directory, server, error_log=error_log)

    def fetch(self, path: str, body: bytes | None = None) -> tuple[int, str]:
        """Return status and policy of an answer."""
        try:
            answer = urllib.request.urlopen(f"{self.url}{path}", data=body)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return int(answer.status), answer.headers.get("Content-Security-Policy", "")


@pytest.fixture(scope="module")
def nginx() -> Iterator[DocumentedNginx]:
    with started(DocumentedNginx) as server:
        yield server


def test_nginx_accepts_it_with_tls(tmp_path: Path) -> None:
    own = str(self_signed(tmp_path))
    server = re.sub(r"/etc/ssl/site\.example\.\w+", own, BLOCKS[0])
    server = server.replace("listen 443", f"listen {HOST}:{closed_port()}")
    program, *arguments = nginx_command(tmp_path, server)
    command = [program, "-t", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "test is successful" in done.stderr, done.stderr


def test_a_form_is_limited_and_an_upload_is_not(nginx: DocumentedNginx) -> None:
    assert nginx.fetch("/upload/", bytes(50_000))[0] == 413
    # what is too large is logged as docs/troubleshooting.md shows
    assert (
        "client intended to send too large body: 50000 bytes"
        in (nginx.directory / "error.log").read_text()
    )
    assert nginx.fetch("/files/upload/token/", bytes(50_000))[0] == 502  # nobody is behind it


def test_files_are_internal_and_pages_have_the_policy(nginx: DocumentedNginx) -> None:
    assert nginx.fetch("/protected/a.txt")[0] == 404
    status, policy = nginx.fetch("/")
    assert status == 502
    assert policy.startswith("default-src 'self'; img-src 'self' https://")
    assert nginx.fetch("/files/file/token/")[1] == ""
