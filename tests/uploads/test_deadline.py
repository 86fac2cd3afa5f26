"""Bodies of uploads that come slowly, or that nobody wants: cut off, and never read first."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import socket
import struct
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_fsspec.middleware import COOKIE
from django_fsspec.storage import signing
from django_fsspec.uploads.options import upload_options
from django_fsspec.uploads.tokens import Destination, Upload
from tests import servers
from tests.helpers import backends
from tests.helpers.backends import scratch
from tests.helpers.curl import curl
from tests.helpers.utils import started, wait_for

pytestmark = pytest.mark.slow

SIZE = 100_000_000
THREADS = 8  # of the site


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def site(request: pytest.FixtureRequest) -> Iterator[servers.Site]:
    options = {"fs": "file", "prefix": str(scratch() / backends.folder())}
    configured = {
        "default": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
    }
    slow = {"body_timeout": 1, "body_min_rate": 1000}
    wsgi = request.param == "gunicorn"
    with started(servers.Site, configured, wsgi=wsgi, uploads=slow) as made:
        yield made


def token(site: servers.Site, **changes: Any) -> str:
    given: dict[str, Any] = {
        "alias": "default",
        "name": f"{backends.folder()}.txt",
        "expires": int(time.time()) + 60,
        "for_upload": True,
        "headers": {},
        "size": SIZE,
        **changes,
    }
    with override_settings(SECRET_KEY=site.secret):
        return signing.token(signing.Grant(**given))


class Sender:
    """A client that sends the head of a request, and then as little as it likes."""

    def __init__(self, site: servers.Site, path: str, method: str = "PUT", **headers: str) -> None:
        url = urllib.parse.urlsplit(site.url)
        self.socket = socket.create_connection((url.hostname, url.port or 80), timeout=10)
        sent = {"Host": url.netloc, "Content-Length": str(SIZE), **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in sent.items() if v), "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def drip(self) -> None:
        with contextlib.suppress(OSError):  # cut off
            self.socket.sendall(b"x")

    def status(self) -> int:
        """Return the status of the answer; 0 where the connection was closed without one."""
        try:
            head = self.socket.recv(4096)
        except ConnectionResetError:
            head = b""
        self.socket.close()
        return int(head.split()[1]) if head else 0


def test_slow_bodies_block_no_thread_for_long(site: servers.Site) -> None:
    senders = [Sender(site, f"/files/upload/{token(site)}") for _ in range(THREADS)]
    began = time.monotonic()
    for _ in range(8):
        for sender in senders:
            sender.drip()
        time.sleep(0.2)
    assert curl(f"{site.url}/alive").status == 200
    assert time.monotonic() - began < 5
    assert {sender.status() for sender in senders} == {408}
    assert "Traceback" not in site.log_tail(200)


def test_slow_parts_by_tus_are_cut_off_too(site: servers.Site) -> None:
    secret = "x" * 43
    upload = Upload(
        destination=Destination(alias="default"),
        uploader=f"cookie:{hashlib.sha256(secret.encode()).hexdigest()[:32]}",
        expires=int(time.time()) + 60,
        alias="default",
        name=f"{backends.folder()}.txt",
        original="a.txt",
        size=SIZE,
        content_type="text/plain",
        parts_id=secrets.token_hex(16),
    )
    with override_settings(SECRET_KEY=site.secret):
        path = f"/files/uploads/tus/{upload.signed()}"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Cookie": f"{COOKIE}={secret}"}
    kind = "application/offset+octet-stream"
    sender = Sender(site, path, "PATCH", **headers, **{"Content-Type": kind})
    sender.drip()
    assert sender.status() == 408

    def is_kept() -> bool:
        return curl(site.url + path, "HEAD", headers)["upload-offset"] == "1"

    wait_for(is_kept)


def test_a_worthless_token_is_refused_before_its_body_is_read(site: servers.Site) -> None:
    expired = token(site, expires=int(time.time()) - 1)
    reading = token(site, for_upload=False)
    for path, status in (
        (f"/files/upload/{token(site)[:-4]}xxxx", 403),
        ("/files/upload/nonsense", 403),
        (f"/files/upload/{reading}", 403),
        (f"/files/upload/{expired}", 410),
        (f"/files/upload/{token(site, size=5)}", 413),
    ):
        # its body never ends: one that waits for it answers 408
        assert Sender(site, path).status() == status, path
    version = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    kind = "application/offset+octet-stream"
    worthless = Sender(site, "/files/uploads/tus/x", "PATCH", **version, **{"Content-Type": kind})
    assert worthless.status() == 403


def test_a_question_of_100_mb_is_not_read(site: servers.Site) -> None:
    for view in ("start", "status", "finish", "abort"):
        sender = Sender(
            site, f"/files/uploads/{view}", "POST", **{"Content-Type": "application/json"}
        )
        # Django's check of CSRF comes first under WSGI, and reads nothing
        assert sender.status() in (403, 413)
    creation = {"Tus-Resumable": "1.0.0", "Upload-Length": "5"}
    # without a ticket, which is looked at first under WSGI
    assert Sender(site, "/files/uploads/tus", "POST", **creation).status() in (400, 413)


def test_a_chunked_body_is_cut_where_it_is_too_long(site: servers.Site) -> None:
    chunked = {"Content-Length": "", "Transfer-Encoding": "chunked"}
    sender = Sender(site, f"/files/upload/{token(site, size=1000)}", **chunked)
    sender.socket.sendall(b"7d0\r\n" + b"x" * 2000 + b"\r\n")
    assert sender.status() == 413


def test_a_client_that_is_gone_is_no_fault_of_the_storage(site: servers.Site) -> None:
    for headers, body in (
        ({}, b"x" * 2000),
        (
            {"Content-Length": "", "Transfer-Encoding": "chunked"},
            b"7d0\r\n" + b"x" * 2000 + b"\r\n",
        ),
    ):
        sender = Sender(site, f"/files/upload/{token(site)}", **headers)
        sender.socket.sendall(body)
        assert curl(f"{site.url}/alive").status == 200
        # the connection is reset, as by a phone that lost its network
        sender.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sender.socket.close()
    assert curl(f"{site.url}/alive").status == 200
    if "gunicorn" in site.log_tail(50).lower():
        wait_for(lambda: site.log_tail(50).count("ended early") == 2)
    assert "Traceback" not in site.log_tail(200)


def test_other_requests_are_left_alone(site: servers.Site) -> None:
    sender = Sender(site, "/name/none.txt", "GET", **{"Content-Length": "5"})
    time.sleep(1.2)
    sender.socket.sendall(b"12345")
    assert sender.status() == 404


def test_settings_are_checked() -> None:
    with override_settings(FSSPEC_UPLOADS={"body_timeout": 5}):
        assert upload_options().body_timeout == 5
        assert upload_options().body_min_rate == 5000
    for wrong, message in (
        ({"body_timout": 5}, "'body_timout' is unknown; did you mean 'body_timeout'"),
        ({"body_timeout": 0}, "'body_timeout' must be"),
        ({"body_min_rate": "x"}, "'body_min_rate' must be"),
        ([], "must be a dict"),
    ):
        with override_settings(FSSPEC_UPLOADS=wrong):
            with pytest.raises(ImproperlyConfigured, match="FSSPEC_UPLOADS"):
                upload_options()
            (error,) = [
                found for found in run_checks(tags=["files"]) if found.id == "django_fsspec.E022"
            ]
            assert message in error.msg
