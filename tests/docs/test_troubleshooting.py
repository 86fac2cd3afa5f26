"""docs/troubleshooting.md shows messages as they appear: here each is provoked."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.exceptions import FieldError
from django.core.files.base import ContentFile
from django.db import models
from django.test import Client, override_settings
from django.test.utils import isolate_apps

from django_fsspec import FileObject, uploads
from django_fsspec.fields import StoredObjectField
from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import server
from tests.servers import ports

pytestmark = pytest.mark.once

PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
SHOWN = PAGE.read_text()

Action = Callable[[FSSpecStorage], object]


def save(storage: FSSpecStorage) -> str:
    return storage.save("a.txt", ContentFile(b"x"))


def read(storage: FSSpecStorage) -> bytes:
    return storage.get_content("a.txt")


def message(options: dict[str, Any], action: Action = read) -> str:
    """Return what a traceback ends with."""
    with override_storage(media=options), pytest.raises(Exception) as caught:  # noqa: PT011
        action(get_storage("media"))
    return f"{caught.type.__name__}: {caught.value}"


def s3(**changed: Any) -> dict[str, Any]:
    """Return the OPTIONS of a bucket of a real server, with other `fs_options`."""
    options = {**server(servers.SeaweedS3).fs_options, **changed}
    options = {name: value for name, value in options.items() if value is not None}
    return {"fs": "s3", "prefix": "bucket/media", "retries": 0, "fs_options": options}


@pytest.mark.parametrize(
    ("options", "action"),
    [
        ({"fs": "s3", "prefx": "bucket"}, read),
        ({"fs": "s3", "location": "media"}, read),
        ({"fs": "s3", "prefix": "bucket", "fs_options": {"access_key": "…"}}, read),
        ({"fs": "s3", "prefix": "/bucket/media"}, read),
        ({"fs": "s3"}, read),
        ({"fs": "memory", "prefix": "of-nobody"}, read),
        ({"fs": "memory"}, lambda storage: storage.get_content("/media/a.txt")),
        ({"fs": "memory"}, lambda storage: storage.get_content("../a.txt")),
        ({"fs": "memory"}, lambda storage: storage.save("/a.txt", ContentFile(b"x"))),
    ],
)
def test_settings_and_names(options: dict[str, Any], action: Action) -> None:
    assert message(options, action) in SHOWN


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.registry import _registry

    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.delitem(_registry, "gcs", raising=False)
    assert message({"fs": "gcs", "prefix": "bucket"}) in SHOWN


def test_a_relative_folder() -> None:
    with override_storage(media={"fs": "file", "prefix": "media"}):
        (found,) = get_storage("media").check()
    assert f"({found.id}) {found.msg}" in SHOWN


@pytest.mark.repeated
@pytest.mark.parametrize(
    ("changed", "action"),
    [
        ({"key": "AKIAWRONG"}, save),
        ({"secret": "wrong-secret"}, save),
        ({"key": None, "secret": None}, save),
        ({"endpoint_url": "minio:9000"}, save),
        ({"endpoint_url": "http://127.0.0.1:9"}, save),
    ],
)
def test_credentials_and_addresses(
    changed: dict[str, Any], action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert message(s3(**changed), action) in SHOWN


def test_a_bucket_that_is_not_there(rclone: servers.RcloneS3) -> None:
    options = {"fs": "s3", "prefix": "my-bukcet/media", "fs_options": rclone.fs_options}
    assert message(options, save) in SHOWN


def test_a_server_that_does_not_answer() -> None:
    with socket.create_server((ports.HOST, 0)) as listener:
        port = listener.getsockname()[1]
        options = {**s3(endpoint_url=f"http://127.0.0.1:{port}"), "timeout": 0.2}
        assert message(options).replace(str(port), "9000") in SHOWN


@pytest.mark.repeated
def test_a_host_key_that_is_not_known() -> None:
    known = {**server(servers.OpenSSH).fs_options, "known_hosts": os.devnull}
    assert message({"fs": "sftp", "prefix": "/tmp", "fs_options": known}) in SHOWN


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_wrong(minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with Debian's faketime before the process, and a thousand times as fast."""
    options = s3()  # the server makes its bucket with the right time
    wrong = datetime.now(tz=UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *given, **named: wrong)
    assert message(options, save) in SHOWN


def test_an_expired_url_of_s3() -> None:
    def fetch_late(storage: FSSpecStorage) -> None:
        url = storage.sign(save(storage), expires_in=1)
        time.sleep(1.5)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url)
        assert caught.value.read().decode().partition("<Resource>")[0].split("?>\n")[1] in SHOWN

    with override_storage(media=s3()):
        fetch_late(get_storage("media"))


@pytest.mark.parametrize("expired", [True, False])
def test_a_link_of_ours_that_is_refused(expired: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with override_storage(media={"fs": "memory"}):
        storage = get_storage("media")
        url = storage.sign(save(storage), expires_in=60)
        if expired:
            monkeypatch.setattr("django_fsspec.storage.signing.time.time", lambda: 4e9)
        with override_settings(**({} if expired else {"SECRET_KEY": "another"})):
            response = Client().get(url)
    assert f"{response.status_code} {response.content.decode()}" in SHOWN


@isolate_apps("testproject")
@pytest.mark.parametrize(
    "action",
    [
        lambda document: document(file="a.txt"),
        lambda document: document(file=io.BufferedReader(io.BytesIO(b"x"))),
        lambda document: document(file=ContentFile(b"x")),
        lambda document: document.objects.filter(file__name="documents/a.txt"),
        lambda document: document.objects.filter(file="documents/a.txt"),
    ],
    ids=["text", "open file", "no name", "lookup", "compared with a name"],
)
def test_a_field_that_refuses_a_value(action: Callable[[Any], object]) -> None:
    class Document(models.Model):
        file = StoredObjectField(upload_to="documents")

        class Meta:
            app_label = "testproject"

    with pytest.raises((TypeError, FieldError)) as caught:
        action(Document)
    assert f"{caught.type.__name__}: {caught.value}" in SHOWN


@isolate_apps("testproject")
def test_checks_of_direct_uploads() -> None:
    class Film(models.Model):
        file = StoredObjectField(upload_to="films", direct_upload=True)

        class Meta:
            app_label = "testproject"

    with override_settings(MIDDLEWARE=[], ROOT_URLCONF="tests.helpers.no_urls"):
        found = [one for one in Film.check() if isinstance(one, checks.CheckMessage)]
    assert {one.id for one in found} == {"django_fsspec.E020", "django_fsspec.E021"}
    assert all(f"({one.id}) {one.msg}" in SHOWN for one in found)


@override_storage("default")
def test_a_ticket_without_the_middleware() -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        uploads.ticket(uploads.Destination(alias="default"))
    assert f"{caught.type.__name__}: {caught.value}" in SHOWN


@override_storage("default")
def test_content_of_an_async_iterable() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises(TypeError) as caught:
        FileObject("default", "a.txt", content=pieces()).save()
    assert f"TypeError: {caught.value}" in SHOWN


def test_a_query_in_async_code() -> None:
    async def ask() -> None:
        get_user_model().objects.exists()

    with pytest.raises(Exception) as caught:  # noqa: PT011
        asyncio.run(ask())
    assert f"{caught.type.__name__}: {caught.value}" in SHOWN


@pytest.mark.slow
def test_a_filesystem_after_a_fork() -> None:
    code = """
import json, os, sys
import fsspec
fs = fsspec.filesystem("s3", **json.loads(sys.argv[1]))
fs.exists("bucket/a.txt")
if os.fork() == 0:
    try:
        fs.exists("bucket/a.txt")
    except RuntimeError as error:
        print(f"RuntimeError: {error}", flush=True)
    os._exit(0)
os.wait()
"""
    options = json.dumps(server(servers.SeaweedS3).fs_options)
    done = subprocess.run(
        [sys.executable, "-c", code, options], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in SHOWN


def test_the_storage_on_the_loop_of_fsspec() -> None:
    import fsspec.asyn

    def ask(storage: FSSpecStorage) -> object:
        async def inside() -> bool:
            return storage.exists("a.txt")

        return fsspec.asyn.sync(fsspec.asyn.get_loop(), inside)

    assert message(s3(), ask) in SHOWN
