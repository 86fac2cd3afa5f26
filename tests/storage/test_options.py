"""Options: every form of `fs`, and one clear line for each mistake."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import models
from django.db.migrations.writer import MigrationWriter
from django.test import override_settings

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import folder, scratch, server

SECRET = "very-secret-value"


def memory(**options: Any) -> fsspec.AbstractFileSystem:
    return fsspec.filesystem("memory", **options)


def works(storage: FSSpecStorage) -> None:
    name = storage.save("a.txt", ContentFile(b"works"))
    assert storage.get_content(name) == b"works"
    assert [stat.name for stat in storage.walk()] == [name]


@pytest.mark.parametrize(
    "form",
    [
        "protocol",
        "url",
        "url with path",
        "callable",
        "dotted path",
        "instance",
        "dir",
        "dir chain",
    ],
)
def test_fs_may_be(form: str) -> None:
    name = folder()
    path = str(scratch() / name)
    options: dict[str, dict[str, Any]] = {
        "protocol": {"fs": "memory", "prefix": name},
        "url": {"fs": "memory://", "prefix": name},
        "url with path": {"fs": f"file://{path}", "prefix": "sub"},
        "callable": {"fs": memory, "prefix": name},
        "dotted path": {"fs": "tests.storage.test_options.memory", "prefix": name},
        "instance": {"fs": fsspec.filesystem("memory"), "prefix": name},
        "dir": {"fs": "dir", "fs_options": {"path": path, "target_protocol": "file"}},
        "dir chain": {"fs": f"dir::file://{path}"},
    }
    works(FSSpecStorage(**options[form]))


def test_s3_url_joins_the_prefix() -> None:
    s3 = server(servers.MotoS3)
    name = folder()
    storage = FSSpecStorage(
        fs=f"s3://{s3.bucket}/{name}", prefix="deeper", fs_options=s3.fs_options
    )
    works(storage)
    listed = s3.boto3_client().list_objects_v2(Bucket=s3.bucket, Prefix=name)["Contents"]
    assert [entry["Key"] for entry in listed] == [f"{name}/deeper/a.txt"]


@pytest.mark.slow
def test_s3_instance_and_anonymous_and_credential_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    s3 = server(servers.MotoS3)
    works(FSSpecStorage(fs=s3fs.S3FileSystem(**s3.fs_options), prefix=f"{s3.bucket}/{folder()}"))
    keyless = {k: v for k, v in s3.fs_options.items() if k not in ("key", "secret")}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    works(FSSpecStorage(fs="s3", fs_options=keyless, prefix=f"{s3.bucket}/{folder()}"))
    public = FSSpecStorage(
        fs="s3",
        fs_options=s3.fs_options,
        prefix=f"{s3.bucket}/{folder()}",
        object_options={"acl": "public-read"},
    )
    name = public.save("a.txt", ContentFile(b"for all"))
    anonymous = FSSpecStorage(
        fs="s3", fs_options={**keyless, "anon": True}, prefix=public.options.prefix
    )
    assert anonymous.get_content(name) == b"for all"


def test_file_without_prefix_is_media_root(tmp_path: Path) -> None:
    storage = FSSpecStorage(fs="file")
    with override_settings(MEDIA_ROOT=tmp_path, MEDIA_URL="/media/"):
        works(storage)
        assert (tmp_path / "a.txt").read_bytes() == b"works"
        assert storage.url("a b.txt") == "/media/a%20b.txt"
        assert storage.path("a.txt") == str(tmp_path / "a.txt")


def test_two_aliases_over_the_same_options_share_one_client() -> None:
    s3 = server(servers.MotoS3)
    one, two = (FSSpecStorage(fs="s3", fs_options=s3.fs_options, prefix=p) for p in ("a", "b"))
    assert one.flows.mount is two.flows.mount
    other = FSSpecStorage(fs="s3", fs_options={**s3.fs_options, "key": "other"}, prefix="a")
    assert other.flows.mount is not one.flows.mount


def test_override_settings_takes_effect_at_once() -> None:
    class Holder:
        @property
        def storage(self) -> Any:
            return storages["default"]

    holder = Holder()
    before = holder.storage
    with override_storage():
        assert holder.storage is not before
        works(holder.storage)
    assert holder.storage is not before or not holder.storage.exists("a.txt")


@pytest.mark.parametrize(
    ("options", "wants"),
    [
        ({}, ["'fs'", "missing"]),
        ({"fs": "memory", "prefx": "x"}, ["'prefx'", "did you mean 'prefix'"]),
        ({"fs": "file", "location": "/srv"}, ["'location'", "write it in 'prefix'."]),
        ({"fs": "s3", "bucket_name": "b"}, ["'bucket_name'", "write it in 'prefix'."]),
        ({"fs": "s3", "access_key": "x"}, ["'access_key'", "write it in 'fs_options' as 'key'."]),
        ({"fs": "sftp", "host": "x"}, ["'host'", "write it in 'fs_options' as 'host'."]),
        ({"fs": "s3", "file_overwrite": True}, ["write 'allow_overwrite'."]),
        ({"fs": "memory", "fs_options": "x"}, ["'fs_options'", "dict"]),
        ({"fs": "memory", "prefix": None}, ["'prefix'", "str"]),
        ({"fs": "memory", "timeout": 0}, ["'timeout'", "above zero"]),
        ({"fs": "memory", "retries": -1}, ["'retries'"]),
        ({"fs": "memory", "chunk_size": "8MB"}, ["'chunk_size'", "'8MB'"]),
        ({"fs": "memory", "checksum": "sha257"}, ["'checksum'", "'sha257'"]),
        ({"fs": "memory", "checksum": "shake_128"}, ["'checksum'", "'shake_128'"]),
        ({"fs": "memory", "chunk_size": 0.5}, ["'chunk_size'", "0.5"]),
        ({"fs": "memory", "gzip": "text/css"}, ["'gzip'", "['text/css']"]),
        (
            {"fs": "memory", "object_options": {"cache_contrl": 1}},
            ["'object_options'", "cache_control"],
        ),
    ],
)
def test_wrong_options_are_named_at_construction(
    options: dict[str, Any], wants: list[str]
) -> None:
    config = {"bad": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}}
    with override_settings(STORAGES=config), pytest.raises(ImproperlyConfigured) as caught:
        storages["bad"]
    message = str(caught.value)
    assert message.startswith("STORAGES['bad']['OPTIONS']")
    for want in wants:
        assert want in message


@pytest.mark.parametrize(
    ("options", "wants"),
    [
        ({"fs": "s4"}, ["['fs']", "did you mean 's3'"]),
        ({"fs": "no.such.module.fs"}, ["['fs']", "imported"]),
        ({"fs": 42}, ["['fs']", "int"]),
        ({"fs": dict}, ["['fs']", "must return a fsspec filesystem"]),
        ({"fs": "s3"}, ["['prefix']", "bucket"]),
        ({"fs": "s3", "prefix": "/bucket"}, ["['prefix']", "slash"]),
        ({"fs": "s3", "prefix": "bucket/../other"}, ["['prefix']", "'..'"]),
        (
            {"fs": "s3", "prefix": "s3://bucket/media"},
            ["['prefix']", "write 'bucket/media' here"],
        ),
        ({"fs": "memory", "prefix": "memory://a"}, ["['prefix']", "is a URL"]),
        (
            {"fs": "filecache::s3", "fs_options": {"key": "k"}, "prefix": "b"},
            ["'key'", "{'filecache': {…}, 's3': {…}}"],
        ),
        (
            {"fs": "filecache::s3", "fs_options": {"cache_storage": "/x"}, "prefix": "b"},
            ["'cache_storage'", "{'filecache': {…}, 's3': {…}}"],
        ),
        (
            {"fs": "s3", "fs_options": {"region_name": "eu-1"}, "prefix": "b"},
            ["'region_name'", "'client_kwargs': {'region_name': …}"],
        ),
        # words of boto3, django-storages, paramiko and git
        *(
            ({"fs": fs, "fs_options": {name: "x"}, "prefix": "b"}, [f"'{name}'", meant])
            for fs, name, meant in (
                ("s3", "aws_session_token", "did you mean 'token'?"),
                ("s3", "session_token", "did you mean 'token'?"),
                ("s3", "bucket_name", "write it in 'prefix'."),
                ("gcs", "credentials", "did you mean 'token'?"),
                ("gcs", "key_file", "did you mean 'token'?"),
                ("abfs", "azure_container", "write it in 'prefix'."),
                ("abfs", "container", "write it in 'prefix'."),
                ("sftp", "key_filename", "did you mean 'client_keys'?"),
                ("sftp", "pkey", "did you mean 'client_keys'?"),
                ("sftp", "private_key_file", "did you mean 'client_keys'?"),
                ("sftp", "root_path", "write it in 'prefix'."),
                ("webdav", "username", "did you mean 'auth'?"),
                ("webdav", "user", "did you mean 'auth'?"),
                ("webdav", "token", "did you mean 'headers'?"),
                ("dropbox", "root_path", "write it in 'prefix'."),
                ("github", "branch", "did you mean 'sha'?"),
                ("github", "ref", "did you mean 'sha'?"),
                ("zip", "filename", "did you mean 'fo'?"),
                ("zip", "path", "did you mean 'fo'?"),
                ("file", "location", "write it in 'prefix'."),
                ("file", "path", "write it in 'prefix'."),
            )
        ),
        *(
            (
                {"fs": f"{cache}::memory", "fs_options": {cache: {"cache_store": "/x"}}},
                ["'cache_store'", "did you mean 'cache_storage'"],
            )
            for cache in ("filecache", "blockcache", "cached", "simplecache")
        ),
        ({"fs": "memory", "object_options": {"cache_control": "x"}}, ["cache_control"]),
        ({"fs": "file", "prefix": "/tmp/x", "gzip": True}, ["['gzip']"]),
        ({"fs": "webdav"}, ["['fs_options']", "base_url"]),
    ],
)
def test_wrong_options_are_named_at_first_use(options: dict[str, Any], wants: list[str]) -> None:
    config = {"bad": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}}
    with override_settings(STORAGES=config), pytest.raises(ImproperlyConfigured) as caught:
        storages["bad"].exists("x")
    message = str(caught.value)
    assert message.startswith("STORAGES['bad']['OPTIONS']")
    for want in wants:
        assert want in message


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "gcs", raising=False)
    storage = FSSpecStorage(fs="gcs", prefix="bucket")
    with pytest.raises(ImproperlyConfigured, match=r"django-fsspec-storage\[gcs\]"):
        storage.exists("x")


def s3_options(**changes: Any) -> dict[str, Any]:
    s3 = server(servers.SeaweedS3)
    return {**s3.fs_options, **changes}


@pytest.fixture
def bad() -> Iterator[Any]:
    """Builds the alias "bad" of wrong options."""
    overrides = []

    def build(**options: Any) -> FSSpecStorage:
        override = override_storage(bad=options)
        override.enable()
        overrides.append(override)
        storage = storages["bad"]
        assert isinstance(storage, FSSpecStorage)
        return storage

    yield build
    for override in overrides:
        override.disable()


def test_bad_credentials(bad: Any) -> None:
    bucket = server(servers.SeaweedS3).bucket
    storage = bad(fs="s3", prefix=bucket, fs_options=s3_options(key="WRONGKEY", secret=SECRET))
    attempts: list[Callable[[], object]] = [
        lambda: storage.exists("x"),
        lambda: storage.save("x", ContentFile(b"x")),
        lambda: storage.get_content("x"),
        lambda: storage.listdir(""),
    ]
    for attempt in attempts:
        with pytest.raises(PermissionError) as caught:
            attempt()
        assert "STORAGES['bad']['OPTIONS']['fs_options']" in str(caught.value)
        assert SECRET not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_missing_bucket(bad: Any) -> None:
    moto = server(servers.MotoS3)
    storage = bad(fs="s3", prefix="no-such-bucket-here/x", fs_options=moto.fs_options)
    attempts: list[Callable[[], object]] = [
        lambda: storage.save("x", ContentFile(b"x")),
        lambda: storage.listdir(""),
    ]
    for attempt in attempts:
        with pytest.raises(StorageError) as caught:
            attempt()
        assert "STORAGES['bad']['OPTIONS']['prefix']" in str(caught.value)


def test_unreachable_host(bad: Any) -> None:
    port = servers.closed_port()
    address = f"http://127.0.0.1:{port}"
    storage = bad(
        fs="s3", prefix="bucket", fs_options=s3_options(endpoint_url=address), timeout=1, retries=1
    )
    begun = time.monotonic()
    with pytest.raises(StorageError) as caught:
        storage.save("x", ContentFile(b"x"))
    assert time.monotonic() - begun < 10
    assert "STORAGES['bad']['OPTIONS']['fs_options']" in str(caught.value)


@pytest.mark.slow
def test_silent_host(bad: Any) -> None:
    with servers.BlackHole() as hole:
        storage = bad(
            fs="s3",
            prefix="bucket",
            fs_options=s3_options(endpoint_url=f"http://127.0.0.1:{hole.port}"),
            timeout=0.5,
            retries=1,
        )
        with pytest.raises(TimeoutError) as caught:
            storage.get_content("x")
        assert "STORAGES['bad']['OPTIONS']['timeout']" in str(caught.value)


def test_no_secret_in_repr_migration_or_pickle() -> None:
    options: dict[str, Any] = {
        "fs": "s3",
        "prefix": "bucket",
        "fs_options": {"key": "k", "secret": SECRET},
    }
    with override_storage(media=options):
        storage = storages["media"]
        assert SECRET not in repr(storage)
        assert "media" in repr(storage)
        field = models.FileField(storage=storage)
        written, _ = MigrationWriter.serialize(field)
        assert "storage_of('media')" in written
        assert SECRET not in written
        assert pickle.loads(pickle.dumps(storage)) is storage
        assert SECRET.encode() not in pickle.dumps(storage)
    with pytest.raises(ImproperlyConfigured, match="STORAGES"):
        MigrationWriter.serialize(models.FileField(storage=FSSpecStorage(**options)))


def test_url_password_is_hidden() -> None:
    storage = FSSpecStorage(fs=f"ftp://user:{SECRET}@127.0.0.1/x")
    assert SECRET not in repr(storage)


def test_a_filesystem_class_is_tuned_like_its_protocol() -> None:
    import s3fs

    s3 = server(servers.MotoS3)
    storage = FSSpecStorage(
        fs=s3fs.S3FileSystem, fs_options=s3.fs_options, prefix=f"{s3.bucket}/{folder()}", timeout=9
    )
    works(storage)
    assert storage.flows.mount.pool.instance.s3.meta.config.read_timeout == 9


def test_a_given_connection_serves_one_thread_at_a_time() -> None:
    ftp = server(servers.PyFTP)
    given = fsspec.filesystem("ftp", **ftp.fs_options, skip_instance_cache=True)
    storage = FSSpecStorage(fs=given, prefix=folder())
    works(storage)
    pool = storage.flows.mount.pool
    with pool.lease() as one, pool.lease() as two:
        assert one is not two


def test_a_cancelled_save_leaves_nothing() -> None:
    storage = FSSpecStorage(fs="file", prefix=str(scratch() / folder()))

    class Slow:
        def chunks(self) -> Iterator[bytes]:
            yield b"x"
            time.sleep(0.3)
            yield b"y"

    async def cancelled() -> None:
        task = asyncio.create_task(storage.asave("a.txt", Slow()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert list(storage.walk()) == []
