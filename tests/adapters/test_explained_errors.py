"""Refusals that have nothing to do with credentials say what they are and what to do."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import BACKENDS, folder, server
from tests.helpers.web import WebServer

S3_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>m</Message></Error>"
KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def refusing(request: pytest.FixtureRequest) -> Iterator[WebServer]:
    status, code = request.param

    async def refuse(request: web.Request) -> web.StreamResponse:
        headers = {"x-ms-error-code": code}
        return web.Response(status=status, text=S3_ERROR.format(code), headers=headers)

    with WebServer(refuse) as refusing:
        yield refusing


def s3_at(url: str) -> FSSpecStorage:
    options = {"key": "k", "secret": "s", "endpoint_url": url}
    return FSSpecStorage(fs="s3", prefix="b", fs_options=options, retries=0, timeout=5)


def azure_at(url: str) -> FSSpecStorage:
    text = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={KEY};BlobEndpoint={url}/a"
    return FSSpecStorage(
        fs="abfs", prefix="c", fs_options={"connection_string": text}, retries=0, timeout=5
    )


@pytest.mark.parametrize(
    ("refusing", "at", "message"),
    [
        ((403, "InvalidObjectState"), s3_at, "archived.*restore"),
        ((403, "ObjectNotInActiveTierError"), s3_at, "archived.*restore"),
        ((403, "RequestTimeTooSkewed"), s3_at, "clock"),
        ((409, "BlobArchived"), azure_at, "archived.*access tier"),
        ((409, "BlobBeingRehydrated"), azure_at, "archived.*rehydrated"),
    ],
    indirect=["refusing"],
)
def test_a_refusal_says_what_it_is(refusing: WebServer, at: Any, message: str) -> None:
    storage = at(refusing.url)
    for read in (storage.get_content, lambda name: b"".join(storage.stream(name))):
        with pytest.raises(StorageError, match=message) as caught:
            read("f.txt")
        assert "credentials" not in str(caught.value)


@pytest.mark.parametrize("fs", ["s3", "simplecache::s3"])
def test_an_archived_object_of_a_real_server(fs: str, tmp_path: Path) -> None:
    moto = server(servers.MotoS3)
    chain = {"simplecache": {"cache_storage": str(tmp_path)}, "s3": moto.fs_options}
    storage = FSSpecStorage(
        fs=fs,
        prefix=f"{moto.bucket}/{folder()}",
        fs_options=moto.fs_options if fs == "s3" else chain,
        object_options={"storage_class": "GLACIER"},
    )
    name = storage.save("f.txt", ContentFile(b"x"))
    assert storage.exists(name)
    with pytest.raises(StorageError, match=r"archived.*restore"):
        storage.get_content(name)


CLOUDS = [
    backend for backend in BACKENDS if "bucket" in backend.traits or backend.name[:2] == "s3"
]


@pytest.mark.parametrize("metadata", [{"k": "Müller"}, {"schlüssel": "v"}], ids=["value", "name"])
@pytest.mark.parametrize("backend", CLOUDS, ids=str)
def test_metadata_that_are_not_ascii(backend: Any, metadata: dict[str, str]) -> None:
    options = backend.options(folder())
    wrong = FSSpecStorage(**options, object_options={"metadata": metadata})
    if backend.name.startswith("gcs"):
        wrong.save("f.txt", ContentFile(b"x"))
        assert metadata.items() <= wrong.stat("f.txt").metadata.items()
        return
    with pytest.raises(ImproperlyConfigured, match=r"object_options.*not ASCII.*quote\(\)"):
        wrong.save("f.txt", ContentFile(b"x"))
    assert "not ASCII" in str(wrong.check()[0])
    storage = FSSpecStorage(**options)
    with pytest.raises(StorageError, match=r"not ASCII.*quote\(\)"):
        storage.store("f.txt", ContentFile(b"x"), metadata=metadata)
    assert not storage.exists("f.txt")


SFTP = [
    backend
    for backend in BACKENDS
    if backend.name.startswith("sftp") and "OpenSSH" in backend.name
]


def sftp_with(backend: Any, **fs_options: Any) -> FSSpecStorage:
    options = backend.options(folder())
    return FSSpecStorage(**{**options, "fs_options": {**options["fs_options"], **fs_options}})


@pytest.mark.parametrize("backend", SFTP, ids=str)
def test_an_unknown_host_key_is_no_matter_of_credentials(backend: Any, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    storage = sftp_with(backend, known_hosts=str(tmp_path / "known_hosts"))
    with pytest.raises(PermissionError, match=r"ssh-keyscan -p PORT HOST") as caught:
        storage.exists("f.txt")
    assert str(caught.value).count("[Errno 13]") == 1
    assert "credentials" not in str(caught.value)


@pytest.mark.parametrize("backend", SFTP, ids=str)
def test_a_missing_key_file_is_named(backend: Any, tmp_path: Path) -> None:
    missing = str(tmp_path / "id_ed25519")
    keys: Any = (
        {"key_filename": missing} if "paramiko" in backend.name else {"client_keys": [missing]}
    )
    with pytest.raises(StorageError, match=r"not there.*id_ed25519"):
        sftp_with(backend, **keys).exists("f.txt")


def test_an_address_without_a_scheme() -> None:
    with pytest.raises(StorageError, match=r"Invalid endpoint.*http:// or https://"):
        s3_at("127.0.0.1:9000").exists("f.txt")


@pytest.mark.parametrize("name", ["gcs.json", "gcs-token"])
def test_a_missing_token_file_of_gcs_is_no_access_token(tmp_path: Path, name: str) -> None:
    missing = str(tmp_path / name)
    storage = FSSpecStorage(fs="gcs", prefix="bucket", fs_options={"token": missing})
    with pytest.raises(ImproperlyConfigured) as caught:
        storage.exists("f.txt")
    assert "FSSpecStorage(fs_options=…)" in str(caught.value)
    assert "'token' is the path of a file that does not exist" in str(caught.value)
    assert missing not in str(caught.value)
