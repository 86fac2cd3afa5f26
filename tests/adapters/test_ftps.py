"""FTPS: no password is told to a server that does not prove who it is, and data is private."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server

KINDS = {"explicit": servers.FTPS, "implicit": servers.ImplicitFTPS}
LARGE = bytes(range(256)) * 2000


@pytest.fixture(params=KINDS)
def ftps(request: pytest.FixtureRequest) -> Any:
    return server(KINDS[request.param])


def storage_of(ftps: servers.FTPS, **fs_options: Any) -> FSSpecStorage:
    options = {**ftps.fs_options, **fs_options}
    return FSSpecStorage(fs="ftp", prefix=folder(), fs_options=options, timeout=5)


def test_a_server_that_nobody_vouches_for_is_refused(ftps: servers.FTPS) -> None:
    storage = storage_of(ftps)
    for call in (
        lambda: storage.exists("f.txt"),
        lambda: storage.save("f.txt", ContentFile(b"x")),
        lambda: asyncio.run(storage.aexists("f.txt")),
    ):
        with pytest.raises(StorageError, match=r"is not trusted \(self.signed.*ssl_context"):
            call()


def test_a_certificate_for_another_name_is_refused(ftps: servers.FTPS) -> None:
    context = ssl.create_default_context(cafile=ftps.pem)
    with pytest.raises(
        StorageError,
        match=r"certificate of localhost is not for that name .*set fs_options\['host'\]",
    ) as caught:
        storage_of(ftps, host="localhost", ssl_context=context).exists("f.txt")
    assert "cafile" not in str(caught.value)


def test_implicit_tls_at_a_port_without_it() -> None:
    storage = storage_of(server(servers.FTPS), tls="tls")
    with pytest.raises(StorageError, match=r"answered without TLS .*'tls': True is explicit FTPS"):
        storage.exists("f.txt")


def test_files_of_a_server_that_is_trusted(ftps: servers.FTPS) -> None:
    storage = storage_of(ftps, ssl_context=ssl.create_default_context(cafile=ftps.pem))
    assert storage.save("small.txt", ContentFile(b"small")) == "small.txt"
    assert storage.save("a/large.bin", ContentFile(LARGE)) == "a/large.bin"
    assert storage.get_content("a/large.bin") == LARGE
    assert storage.get_content("a/large.bin", 1000, 3000) == LARGE[1000:3000]
    assert storage.listdir("") == (["a"], ["small.txt"])
    storage.delete("small.txt")
    assert not storage.exists("small.txt")


def test_a_context_may_trust_any_server(ftps: servers.FTPS) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert not storage_of(ftps, ssl_context=context).exists("f.txt")


def test_a_login_that_needs_tls_is_no_missing_file() -> None:
    storage = storage_of(server(servers.FTPS), tls=False)
    for call in (storage.exists, storage.get_content):
        with pytest.raises(StorageError, match=r"Not without TLS.*'tls'"):
            call("f.txt")


def test_a_server_without_tls() -> None:
    plain = server(servers.PyFTP)
    storage = FSSpecStorage(fs="ftp", fs_options={**plain.fs_options, "tls": True}, timeout=5)
    with pytest.raises(StorageError, match=r"AUTH.*'tls'"):
        storage.exists("f.txt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tls": True, "ssl_context": "/etc/ssl/ca.pem"}, "must be an ssl.SSLContext"),
        ({"ssl_context": ssl.create_default_context()}, "without 'tls'"),
    ],
)
def test_options_that_verify_nothing(options: dict[str, Any], message: str) -> None:
    storage = FSSpecStorage(fs="ftp", fs_options={"host": "127.0.0.1", **options})
    with pytest.raises(ImproperlyConfigured, match=rf"fs_options.*{message}"):
        storage.exists("f.txt")
    assert message in str(storage.check()[0])
