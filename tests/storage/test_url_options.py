"""A storage in one URL, on every family; and no secret of it anywhere."""

from __future__ import annotations

import base64
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import models
from django.db.migrations.writer import MigrationWriter
from django.test import RequestFactory, override_settings
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from django_fsspec import from_url
from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.options import OptionError, StorageOptions
from django_fsspec.storage.url_options import _OPTIONS, read_url
from tests import servers
from tests.helpers.backends import folder, scratch, server
from tests.servers.ports import HOST

SECRET = "very/secret+value%=&?@:#"
QUOTED = quote(SECRET, safe="")


class OddFTP(servers.PyFTP):
    password = SECRET


class OddWebDAV(servers.RcloneWebDAV):
    password = SECRET


class OddSFTP(servers.RcloneSFTP):
    password = SECRET


def _s3(name: str) -> str:
    s3 = server(servers.MotoS3)
    return (
        f"s3://{s3.key}:{quote(s3.secret, safe='')}@{s3.bucket}/{name}"
        f"?endpoint_url={s3.url}&region=us-east-1"
    )


def _s3_by_name(name: str) -> str:
    s3 = server(servers.MotoS3)
    secret = quote(s3.secret, safe="")
    return f"s3://{s3.bucket}/{name}?key={s3.key}&secret={secret}&endpoint_url={s3.url}"


def _gcs(name: str) -> str:
    gcs = server(servers.FakeGCS)
    return f"gs://bucket/{name}?endpoint_url={gcs.url}&token=anon&project={gcs.project}"


def _azure(name: str) -> str:
    azure = server(servers.Azurite)
    text = quote(azure.connection_string, safe="")
    return f"az://container/{name}?connection_string={text}"


def _sftp(name: str) -> str:
    ssh = server(OddSFTP)
    return f"sftp://{ssh.user}:{QUOTED}@{HOST}:{ssh.port}/{name}?known_hosts={ssh.known_hosts}"


def _ftp(name: str) -> str:
    ftp = server(OddFTP)
    return f"ftp://{ftp.user}:{QUOTED}@{HOST}:{ftp.port}/{name}"


def _webdav(name: str) -> str:
    dav = server(OddWebDAV)
    address = dav.url.removeprefix("http://")
    return f"webdav://{dav.user}:{QUOTED}@{address}?use_ssl=false&prefix={name}"


FAMILIES: dict[str, Callable[[str], str]] = {
    "s3": _s3,
    "s3 by name": _s3_by_name,
    "gcs": _gcs,
    "azure": _azure,
    "sftp": _sftp,
    "ftp": _ftp,
    "webdav": _webdav,
    "file": lambda name: f"file://{scratch() / name}?file_permissions_mode=640",
    "memory": lambda name: f"memory://{name}",
    "cache over s3": lambda name: (
        f"filecache?cache_storage={scratch() / name}&expiry_time=60&check_files=true::{_s3(name)}"
    ),
}


def configured(url: str, **options: Any) -> Any:
    return override_settings(STORAGES={"media": from_url(url, **options)})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_storage_in_a_url_works(family: str) -> None:
    name = folder()
    url = FAMILIES[family](name)
    url += ("&" if "?" in url.rpartition("::")[2] else "?") + "url_expires_in=600&retries=1"
    with configured(url):
        storage = storages["media"]
        assert isinstance(storage, FSSpecStorage)
        stored = storage.save("a.txt", ContentFile(b"works"))
        assert storage.get_content(stored) == b"works"
        assert [stat.name for stat in storage.walk()] == ["a.txt"]
        assert storage.options.url_expires_in == 600
        assert storage.flows.root.strip("/").endswith(name)
        assert SECRET not in repr(storage)
        storage.delete("a.txt")


def test_parameters_have_the_types_of_the_signature() -> None:
    url = (
        "s3://b?anon=true&use_ssl=no&default_block_size=5242880&requester_pays=1&profile=me"
        "&region=eu-west-1&timeout=2.5&gzip=text/css,text/html&checksum=none&allow_overwrite=on"
    )
    storage = FSSpecStorage(fs=url, fs_options={"client_kwargs": {"verify": False}})
    assert storage.options.timeout == 2.5
    assert storage.options.gzip == ["text/css", "text/html"]
    assert storage.options.checksum is None
    assert storage.options.allow_overwrite is True
    fs = storage.flows.mount.pool.instance
    assert fs.anon is True
    assert fs.use_ssl is False
    assert fs.default_block_size == 5242880
    assert type(fs.default_block_size) is int
    assert fs.req_kw == {"RequestPayer": "requester"}
    assert fs.client_kwargs["region_name"] == "eu-west-1"
    assert fs.client_kwargs["verify"] is False


def test_every_option_has_a_text_or_stands_beside_the_url() -> None:
    no_text = {"fs", "fs_options", "object_options", "url_signer"}
    assert set(StorageOptions.__slots__) == set(_OPTIONS) | no_text


@pytest.mark.parametrize(
    ("url", "wants"),
    [
        ("s3://b?regoin=x", ["'regoin'", "did you mean"]),
        ("s3://b?base_ulr=x", ["'base_ulr'", "did you mean 'base_url'"]),
        ("s3://b?endpoint=x", ["'endpoint'", "did you mean 'endpoint_url'"]),
        ("filecache?cache_store=/x::memory://a", ["'cache_store'", "'cache_storage'"]),
        ("s3://b?anon=perhaps", ["'anon'", "true or false"]),
        ("s3://b?retries=two", ["'retries'", "a whole number"]),
        ("s3://b?default_block_size=5MB", ["'default_block_size'", "a whole number"]),
        ("s3://b?timeout=0", ["'timeout'", "above zero"]),
        ("s3://b?config_kwargs=x", ["'config_kwargs'", "a dict", "'fs_options'"]),
        ("s3://b?object_options=x", ["'object_options'", "beside 'fs'"]),
        ("s3://b?key=a&key=b", ["'key'", "twice"]),
        ("s3://k:s@b?key=a", ["'key'", "twice"]),
        ("s3://b?timeout=1&timeout=2", ["'timeout'", "twice"]),
        ("filecache?timeout=1::memory://a?timeout=2", ["'timeout'", "twice"]),
        ("s3://b?region=", ["'region'", "without a value"]),
        ("s3://k:@b", ["credentials", "not complete"]),
        ("s3://k@b", ["credentials", "not complete"]),
        ("gs://k:s@b", ["credentials"]),
        ("sftp://u:p@host:port/x", ["['fs'] has a host or port"]),
        ("sftp://u:p@host:99999/x", ["['fs'] has a host or port"]),
        ("ftp://u:p@[::1/x", ["['fs'] has a host or port"]),
        ("filecache::sftp://u:p@host:port/x", ["['fs'] has a host or port"]),
        ("s3:k:s@b", ["is no URL"]),
        ("filecache::s3:k:s@b", ["is no URL"]),
        ("s3:///k:s@b", ["third slash"]),
    ],
)
def test_what_is_wrong_is_named(url: str, wants: list[str]) -> None:
    with configured(url):
        try:
            messages = [str(message) for message in storages["media"].check()]  # type: ignore[attr-defined]
        except ImproperlyConfigured as error:
            messages = [str(error)]
    assert len(messages) == 1
    assert "STORAGES['media']['OPTIONS'][" in messages[0]
    for want in wants:
        assert want in messages[0]


@pytest.mark.parametrize(
    "url",
    [
        f"s3://key:{SECRET}@bucket/x",
        "s3://key:very/secret@bucket/x",
        "s3://key:very?secret@bucket/x",
        "s3://key:very%secret@bucket/x",
        "s3://bucket?secret=very%secret",
        "s3://bucket?key=k&secret=a&very/secret",
        "s3://bucket?key=k&secret=%ff%fevery secret",
        "s3://key:very%0Asecret@bucket",
        "ftp://u:very/secret@host/x",
        "sftp://u:very/secret@host:22/x",
        "webdav://u:very/secret@host/x",
        "s3:key:verysecret@bucket",
        "s3:/key:verysecret@bucket",
        "s3:///key:verysecret@bucket/x",
        "filecache::s3:key:verysecret@bucket",
        "s3:key:verysecret",
        "DefaultEndpointsProtocol=https;AccountKey=verysecret;EndpointSuffix=core.windows.net",
    ],
)
def test_a_secret_that_is_not_quoted_is_refused_and_not_told(url: str) -> None:
    with configured(url), pytest.raises(ImproperlyConfigured) as caught:
        storages["media"]
    error = caught.value
    assert "STORAGES['media']['OPTIONS']['fs']" in str(error)
    with override_settings(DEBUG=True):
        reporter = ExceptionReporter(None, type(error), error, error.__traceback__.tb_next)  # type: ignore[union-attr]
        frames = reporter.get_traceback_frames()
    told = [str(error), *(str(value) for frame in frames for value in frame["vars"])]
    assert any("django_fsspec" in frame["filename"] for frame in frames)
    assert not any("very" in text or "secret@" in text for text in told)


@pytest.mark.parametrize(
    "url",
    [
        "s3:key:verysecret@bucket",
        "s3:/key:verysecret@bucket",
        "s3:///key:verysecret@bucket/x",
        "s3:key:verysecret",
        "filecache::s3:key:verysecret",
        "DefaultEndpointsProtocol=https;AccountKey=verysecret;EndpointSuffix=core.windows.net",
        "https://account.blob.example/media?sv=1&sig=verysecret",
        "https://cdn.example/media?X-Amz-Signature=verysecret",
    ],
)
def test_no_repr_tells_the_secret_of_a_url_that_is_wrong(url: str) -> None:
    assert "secret" not in repr(from_url(url))


@pytest.mark.parametrize(
    "url",
    [
        "memory",
        "filecache::memory",
        "tests.module.Class",
        "s3://bucket/a:b",
        "filecache?cache_storage=/x::s3://bucket",
        "s3?endpoint_url=http://[::1]:9000",
    ],
)
def test_the_repr_of_a_url_without_a_secret_is_the_url(url: str) -> None:
    assert repr(from_url(url)["OPTIONS"]["fs"]) == repr(url)


def test_two_sources_of_one_value_are_refused() -> None:
    given: list[dict[str, Any]] = [
        {"fs": "memory://a?timeout=5", "timeout": 6},
        {"fs": "s3://b?key=a", "fs_options": {"key": "b"}},
        {"fs": "s3://b?region=a", "fs_options": {"client_kwargs": {"region_name": "b"}}},
        {"fs": "filecache::s3://b?key=a", "fs_options": {"s3": {"key": "b"}}},
    ]
    for options in given:
        with pytest.raises(ImproperlyConfigured, match="twice"):
            FSSpecStorage(**options)


def test_a_plus_is_a_plus_and_a_hash_is_a_hash() -> None:
    read = read_url("s3://b/a+b#c?secret=a+b#c%2Bd%25&key=k", {})
    assert read.fs == "s3://b/a+b#c"
    assert read.fs_options == {"secret": "a+b#c+d%", "key": "k"}


@bounds(max_examples=30, deadline=None)
@given(
    st.text(min_size=1, max_size=20).filter(
        lambda text: text.isprintable() and "\ufffd" not in text
    )
)
def test_any_quoted_password_arrives(password: str) -> None:
    quoted = quote(password, safe="")
    assert read_url(f"ftp://u:{quoted}@h/x", {}).fs_options["password"] == password
    assert read_url(f"s3://b?secret={quoted}", {}).fs_options["secret"] == password
    assert password not in repr(from_url(f"s3://k:{quoted}@b")) or len(password) < 12


@bounds(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_no_text_is_a_surprise(text: str) -> None:
    # whatever it is, it is read or refused with an error of ours
    try:
        read_url(f"s3://{text}", {})
    except OptionError as error:
        assert error.option == "fs"  # noqa: PT017 - an error is one of two good ends


def test_addresses_with_colons() -> None:
    read = read_url("filecache?cache_storage=/x::s3://b?endpoint_url=http://[::1]:9000", {})
    assert read.fs == "filecache::s3://b"
    assert read.fs_options["s3"] == {"endpoint_url": "http://[::1]:9000"}
    assert read_url("sftp://u:p@[::1]:22/x", {}).fs == "sftp://[::1]:22/x"
    arn = "s3://arn:aws:s3:eu:1:accesspoint/a/b@c"
    assert read_url(arn, {}).fs == arn
    native = "abfs://container@account.dfs.core.windows.net/x"
    assert read_url(native, {}).fs == native
    assert read_url("github://org:repo@main/x", {}).fs == "github://org:repo@main/x"


def test_no_secret_is_told_of_the_settings() -> None:
    url = f"s3://key:{QUOTED}@bucket/x?token={QUOTED}&region=eu-1&connection_string={QUOTED}"
    entry = from_url(url)
    assert QUOTED not in repr(entry)
    with override_settings(STORAGES={"media": entry}):
        safe = SafeExceptionReporterFilter().get_safe_settings()["STORAGES"]
        assert QUOTED not in repr(safe)
        error = ValueError("x")
        reporter = ExceptionReporter(RequestFactory().get("/"), ValueError, error, None)
        assert QUOTED not in reporter.get_traceback_html()
        assert QUOTED not in reporter.get_traceback_text()
        out = io.StringIO()
        call_command("diffsettings", stdout=out)
        assert "STORAGES" in out.getvalue()
        assert QUOTED not in out.getvalue()


def test_no_secret_is_told_of_the_storage() -> None:
    moto = server(servers.MotoS3)
    url = f"s3://key:{QUOTED}@no-such-bucket-here/x?endpoint_url={moto.url}"
    with configured(url):
        storage = storages["media"]
        written, _ = MigrationWriter.serialize(models.FileField(storage=storage))
        out, err = io.StringIO(), io.StringIO()
        with pytest.raises(CommandError):
            call_command("check_storages", "media", stdout=out, stderr=err)
        with pytest.raises(OSError) as caught:  # noqa: PT011 - whichever
            storage.save("x", ContentFile(b"x"))
        told = [repr(storage), written, out.getvalue(), err.getvalue(), str(caught.value)]
        told += [str(message) for message in storage.check()]  # type: ignore[attr-defined]
        assert pickle.loads(pickle.dumps(storage)) is storage
        told.append(pickle.dumps(storage).decode("latin-1"))
    for text in told:
        assert QUOTED not in text
        assert SECRET not in text


def test_a_plain_str_with_a_secret_is_warned_of() -> None:
    for fs, ids in (
        (f"s3://key:{QUOTED}@bucket", ["django_fsspec.W010"]),
        (f"s3://bucket?secret={QUOTED}&key=k", ["django_fsspec.W010"]),
        ("s3://bucket?region=eu-1", []),
        ("s3://bucket", []),
        (from_url(f"s3://key:{QUOTED}@bucket")["OPTIONS"]["fs"], []),
    ):
        messages = FSSpecStorage(fs=fs).check()
        assert [message.id for message in messages] == ids
        assert QUOTED not in str(messages)


def test_two_secrets_are_two_clients() -> None:
    one, two = (FSSpecStorage(**from_url(f"s3://k:{x}@b")["OPTIONS"]) for x in ("aaaaa", "bbbbb"))
    again = FSSpecStorage(fs="s3://b", fs_options={"key": "k", "secret": "aaaaa"})
    assert one.flows.mount is not two.flows.mount
    assert one.flows.mount is again.flows.mount


def test_settings_can_import_it(tmp_path: Path) -> None:
    (tmp_path / "those_settings.py").write_text(
        "import os\n"
        "from django_fsspec import from_url\n"
        "SECRET_KEY = 'x'\n"
        "INSTALLED_APPS = ['django_fsspec']\n"
        "STORAGES = {'default': from_url(os.environ['MEDIA_STORAGE'], retries=1)}\n"
    )
    code = (
        "import sys, django; django.setup()\n"
        "from django.core.files.storage import default_storage as d\n"
        "from django.core.files.base import ContentFile\n"
        "assert not {'s3fs', 'botocore'} & set(sys.modules)\n"
        "print(d.save('a.txt', ContentFile(b'x')), d.options.retries)\n"
    )
    root = Path(__file__).resolve().parent.parent.parent
    environment = {
        "PYTHONPATH": f"{tmp_path}:{root}",
        "DJANGO_SETTINGS_MODULE": "those_settings",
        "MEDIA_STORAGE": "memory://x\n",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("a.txt 1", "")


@pytest.mark.parametrize("url", ["", "  ", None])
def test_an_empty_variable_is_an_error(url: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="environment variable"):
        from_url(url)


@pytest.mark.parametrize("chain", ["", "simplecache::"])
def test_a_password_in_an_http_url(chain: str) -> None:
    nginx = server(servers.NginxHTTP)
    (nginx.root / "private" / "of-url.txt").write_text("works")
    url = nginx.url.replace("//", f"//{nginx.user}:{nginx.password}@") + "/private"
    storage = FSSpecStorage(fs=f"{chain}{url}")
    assert storage.get_content("of-url.txt") == b"works"
    # it is part of no path
    assert storage.flows.path("of-url.txt") == f"{nginx.url}/private/of-url.txt"
    assert [message.id for message in storage.check()] == ["django_fsspec.W010"]
    refused = FSSpecStorage(fs=f"{chain}{url.replace(':p@', ':wrong@')}", retries=0)
    with pytest.raises(PermissionError):
        refused.get_content("of-url.txt")


def test_what_an_http_url_says_of_its_user() -> None:
    read = read_url("https://us%C3%A9r:p%40:w@h:8443/a@b?x=y@z", {"client_kwargs": {"x": 1}})
    assert read.fs == "https://h:8443/a@b?x=y@z"
    header = base64.b64encode("usér:p@:w".encode()).decode()
    headers = {"Authorization": f"Basic {header}"}
    assert read.fs_options == {"client_kwargs": {"x": 1, "headers": headers}}
    for url in ("https://h/a@b", "https://h?a=b@c", "http://h#a@b"):
        assert read_url(url, {}).fs == url
    for client in ({"auth": None}, {"headers": {"authorization": "x"}}):
        with pytest.raises(OptionError, match="set twice"):
            read_url("https://u:p@h", {"client_kwargs": client})
