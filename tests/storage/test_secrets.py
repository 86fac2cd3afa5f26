"""No password in what debug pages, error mails and error trackers show of a refused connection."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest
from aiohttp import web
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings
from django.views.debug import ExceptionReporter

from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.error_translation import clear_locals
from tests import servers
from tests.helpers.backends import server
from tests.helpers.web import WebServer
from tests.servers.ports import HOST

SECRET = secrets.token_hex(12)
ENCODED = base64.b64encode(SECRET.encode()).decode()
#: in a header of basic authentication
BASIC = base64.b64encode(f"{SECRET}:{SECRET}".encode()).decode()

#: options by the address of a web server and its port
Options = Callable[[str, int], dict[str, Any]]


def _s3(url: str, port: int) -> dict[str, Any]:
    options = {"key": "k", "secret": SECRET, "token": SECRET, "endpoint_url": url}
    return {"fs": "s3", "prefix": "bucket", "fs_options": options}


def _azure(url: str, port: int) -> dict[str, Any]:
    parts = (
        f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={ENCODED};BlobEndpoint={url}/a"
    )
    return {"fs": "abfs", "prefix": "c", "fs_options": {"connection_string": parts}}


def _gcs(url: str, port: int) -> dict[str, Any]:
    token = {
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": SECRET,
        "refresh_token": SECRET,
        "token_uri": f"{url}/token",
    }
    return {"fs": "gcs", "prefix": "b", "fs_options": {"token": token, "endpoint_url": url}}


def _webdav(url: str, port: int) -> dict[str, Any]:
    return {"fs": "webdav", "fs_options": {"base_url": url, "auth": (SECRET, SECRET)}}


def _http(url: str, port: int) -> dict[str, Any]:
    client = {"headers": {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET}}
    return {"fs": "http", "prefix": f"{url}/d", "fs_options": {"client_kwargs": client}}


def _http_url(url: str, port: int) -> dict[str, Any]:
    return {"fs": url.replace("//", f"//{SECRET}:{SECRET}@") + "/d"}


def _dropbox(url: str, port: int) -> dict[str, Any]:
    import dropbox

    class There(servers.DropboxServer):
        @property
        def url(self) -> str:
            return url

    client = dropbox.Dropbox(SECRET, session=There().session())
    return {"fs": "dropbox", "fs_options": {"client": client}}


def _github(url: str, port: int) -> dict[str, Any]:
    class There(servers.GitHubServer):
        @property
        def url(self) -> str:
            return url

    options = {"org": "o", "repo": "r", "sha": "main", "username": "u", "token": SECRET}
    return {"fs": There().filesystem_class(), "fs_options": options}


def _sftp(url: str, port: int) -> dict[str, Any]:
    options = {"host": HOST, "port": port, "username": "u", "password": SECRET}
    return {"fs": "sftp", "fs_options": {**options, "client_keys": [], "known_hosts": None}}


def _paramiko(url: str, port: int) -> dict[str, Any]:
    return {
        "fs": "fsspec.implementations.sftp.SFTPFileSystem",
        "fs_options": {
            "host": HOST,
            "port": port,
            "username": "u",
            "password": SECRET,
            "look_for_keys": False,
            "allow_agent": False,
            "known_hosts": str(server(servers.RcloneSFTP).known_hosts),
        },
    }


def _ftp(url: str, port: int) -> dict[str, Any]:
    options = {"host": HOST, "port": port, "username": "u", "password": SECRET}
    return {"fs": "ftp", "fs_options": options}


def _ftp_url(url: str, port: int) -> dict[str, Any]:
    return {"fs": f"ftp://u:{SECRET}@{HOST}:{port}/d"}


WEB: dict[str, Options] = {
    "s3": _s3,
    "azure": _azure,
    "gcs": _gcs,
    "webdav": _webdav,
    "http": _http,
    "http url": _http_url,
    "dropbox": _dropbox,
    "github": _github,
}
SSH: dict[str, Options] = {"sftp": _sftp, "paramiko": _paramiko}
FTP: dict[str, Options] = {"ftp": _ftp, "ftp url": _ftp_url}
ALL = {**WEB, **SSH, **FTP}


@pytest.fixture(scope="module")
def refusing() -> Iterator[WebServer]:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=403, text="no")

    with WebServer(refuse) as refusing:
        yield refusing


def storage_of(options: Mapping[str, Any]) -> FSSpecStorage:
    return FSSpecStorage(**options, timeout=5, retries=0)


def raised(call: Callable[[], Any]) -> BaseException:
    """Return what `call` raises; the secret is in no frame of this module."""
    try:
        call()
    except (OSError, ImproperlyConfigured) as error:
        return error
    raise AssertionError("nothing was raised")


def chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """Yield an exception with all that it stands for."""
    if error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        yield from chain(error.__cause__, seen)
        yield from chain(error.__context__, seen)


def frames(error: BaseException) -> Iterator[FrameType]:
    for one in chain(error, set()):
        traceback = one.__traceback__
        while traceback is not None:
            yield traceback.tb_frame
            traceback = traceback.tb_next


def tells(text: str) -> bool:
    return any(secret in text for secret in (SECRET, ENCODED, BASIC))


def assert_tells_nothing(error: BaseException) -> None:
    ours = 0
    for frame in frames(error):
        module = str(frame.f_globals.get("__name__"))
        ours += module.startswith("django_fsspec.")
        told = [name for name, value in frame.f_locals.items() if tells(repr(value))]
        assert not told, f"{module}.{frame.f_code.co_name} tells {told}"
    assert ours
    request = RequestFactory().get("/")
    # then Django hides nothing
    with override_settings(DEBUG=True):
        reporter = ExceptionReporter(request, type(error), error, error.__traceback__)
        assert not tells(reporter.get_traceback_text())
        assert not tells(reporter.get_traceback_html())


def refused_twice(storage: FSSpecStorage) -> Iterator[BaseException]:
    yield raised(lambda: storage.get_content("x"))
    yield raised(lambda: asyncio.run(storage.aget_content("x")))
    yield raised(lambda: b"".join(storage.stream("x")))


def address(name: str, refusing: WebServer) -> tuple[str, int]:
    if name in SSH:
        return "", server(servers.RcloneSFTP).port
    if name in FTP:
        return "", server(servers.OldFTP).port
    return refusing.url, 0


@pytest.mark.parametrize("name", ALL)
def test_a_refused_login_tells_no_secret(name: str, refusing: WebServer) -> None:
    storage = storage_of(ALL[name](*address(name, refusing)))
    for error in refused_twice(storage):
        assert_tells_nothing(error)


@pytest.mark.parametrize("name", ALL)
def test_a_closed_port_tells_no_secret(name: str) -> None:
    port = servers.closed_port()
    storage = storage_of(ALL[name](f"http://{HOST}:{port}", port))
    for error in refused_twice(storage):
        assert_tells_nothing(error)


@pytest.mark.parametrize("name", ALL)
def test_no_repr_tells_a_secret(name: str) -> None:
    storage = storage_of(ALL[name]("http://127.0.0.1:1", 1))
    mounted = storage.flows.mount
    for value in (storage, storage.options, storage.flows, mounted, mounted.pool, storage.urls):
        assert not tells(repr(value))
    adapter = storage.flows.adapter
    for value in (adapter, adapter.limits, *vars(adapter).values()):
        assert not tells(repr(value))


@pytest.mark.parametrize(
    "wrong",
    [
        {"fs": "s3", "prefix": "b", "fs_options": {"access_key": SECRET}},
        {"fs": "s3", "prefix": "b", "fs_option": {"secret": SECRET}},
        {"fs": "s3", "prefix": "b", "fs_options": {"secret": SECRET}, "timeout": 0},
        {"fs": f"s3://k:{SECRET}@bucket/m", "fs_options": {"secret": SECRET}},
        {"fs": f"http://u:{SECRET}@host/d", "timeout": 0},
        {"fs": "http", "prefix": f"http://u:{SECRET}@host/d"},
        {"fs": "s3", "prefix": "b", "base_url": f"https://u:{SECRET}@cdn/", "timeout": 0},
        {"fs": "fsspec.implementations.ftp.FTPFileSystem", "fs_options": {"passwort": SECRET}},
    ],
    ids=lambda wrong: str(wrong["fs"])[:4],
)
def test_wrong_options_tell_no_secret(wrong: dict[str, Any]) -> None:
    def made(options: Any = wrong) -> None:
        ready = iter([options])
        del options
        FSSpecStorage(**next(ready)).get_content("x")

    assert_tells_nothing(raised(made))


def test_locals_of_callers_are_left_alone() -> None:
    """An exception that a caller handles keeps its frames, and so do suspended generators."""
    storage = storage_of({"fs": "memory", "prefix": "locals-of-callers"})

    def inner() -> None:
        kept = "kept"
        raise ValueError(kept)

    def names() -> Iterator[str]:
        try:
            inner()
        except ValueError:
            yield "before"
            with pytest.raises(FileNotFoundError) as caught:
                storage.get_content("missing")
            context = caught.value.__context__
            while context is not None and not isinstance(context, ValueError):
                context = context.__context__
            assert context is not None
            assert context.__traceback__ is not None
            assert context.__traceback__.tb_next is not None
            assert context.__traceback__.tb_next.tb_frame.f_locals == {"kept": "kept"}
            yield "after"

    assert list(names()) == ["before", "after"]


@dataclass
class Unhashable(Exception):
    """An exception without a hash: a dataclass that compares by value has none."""

    code: int


def test_a_caller_may_handle_an_exception_without_a_hash() -> None:
    storage = storage_of({"fs": "memory", "prefix": "without-hash"})
    try:
        raise Unhashable(1)
    except Unhashable:
        with pytest.raises(FileNotFoundError):
            storage.get_content("missing")
        with pytest.raises(FileNotFoundError):
            asyncio.run(storage.aget_content("missing"))


def test_the_parts_of_a_group_keep_no_locals() -> None:
    def raise_one() -> None:
        password = SECRET
        raise ValueError(len(password))

    try:
        raise_one()
    except ValueError as error:
        part = error
    group = ExceptionGroup("two", [part])
    clear_locals(group, None)
    assert part.__traceback__ is not None
    assert part.__traceback__.tb_next is not None
    assert part.__traceback__.tb_next.tb_frame.f_locals == {}


@pytest.mark.parametrize("call", ["listdir", "walk"])
def test_a_folder_that_is_refused_tells_no_secret_of_its_url(
    refusing: WebServer, call: str
) -> None:
    storage = storage_of(_http_url(refusing.url, 0))
    assert_tells_nothing(raised(lambda: list(getattr(storage, call)("x"))))
