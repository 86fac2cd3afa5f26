"""WebDAV, through the httpx client that webdav4's filesystem holds.

Requests are made here because webdav4 mistakes ``%``, ``#`` and ``?`` in names for parts of an
address. A new file is sent under a partial name and then moved with ``Overwrite: F``, which the
server decides for one writer. ``Overwrite: T`` is how files are replaced; whether that is one
step or two is the server's affair.
"""

from __future__ import annotations

import contextlib
import inspect
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

import httpx
import webdav4.client

from django_fsspec.adapters import families
from django_fsspec.adapters.base import Dialect, Page, Reader
from django_fsspec.adapters.blocking import BlockingAdapter, file_only
from django_fsspec.adapters.errors import (
    classify,
    exists_already,
    is_directory,
    no_directory,
    not_found,
    short_write,
)
from django_fsspec.adapters.part_files import parent_of, save
from django_fsspec.adapters.retries import RetryPolicy
from django_fsspec.core.flows import direct, run
from django_fsspec.core.names import PARTIAL_SUFFIX, join
from django_fsspec.core.source import ContentFailed
from django_fsspec.core.stat import Stat, parse_number, unquoted, utc
from django_fsspec.exceptions import StorageError

from .reader import NOT_FILE, WebDAVReader

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

T = TypeVar("T")

#: bytes sent at a time
_STEP = 1 << 18
#: tries after the first for a name that another client has locked, and seconds before the first
_LOCK_RETRIES = 5
_LOCK_PAUSE = 0.025
_OVERLOADED = (429, 502, 503, 504)
#: what servers answer when the directory around a new file is missing
_NO_PARENT = (403, 404, 405, 409)
#: errors before anything was sent
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_DAV = "{DAV:}"
_PROPERTIES = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/>'
    b"<getcontentlength/><getlastmodified/><creationdate/><getcontenttype/><getetag/>"
    b"</prop></propfind>"
)


def _stat(name: str, element: ElementTree.Element) -> Stat:
    def text(label: str) -> str | None:
        return element.findtext(f".//{_DAV}{label}") or None

    is_dir = element.find(f".//{_DAV}resourcetype/{_DAV}collection") is not None
    return Stat(
        name=name,
        size=None if is_dir else parse_number(text("getcontentlength")),
        is_dir=is_dir,
        last_modified=utc(text("getlastmodified")),
        created=utc(text("creationdate")),
        content_type=text("getcontenttype"),
        etag=unquoted(text("getetag")),
    )


def _keep_to_origin(http: httpx.Client) -> None:
    """Refuse redirects to another origin, which webdav4's own calls follow with all headers."""
    here = http.base_url

    def check(request: httpx.Request) -> None:
        url = request.url
        if (url.scheme, url.host, url.port) != (here.scheme, here.host, here.port):
            raise StorageError(
                "The server redirects to another address, which is not followed: "
                "write that as 'base_url' in fs_options."
            )

    http.event_hooks = {**http.event_hooks, "request": [*http.event_hooks["request"], check]}


class WebDAVAdapter(BlockingAdapter):
    """WebDAV: one client with its connections for all threads."""

    dialect: ClassVar[Dialect] = families.WEBDAV.dialect
    thread_safe: ClassVar[bool] = True

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        tuned = {"timeout": timeout, "retry": False, **options}
        if isinstance(tuned.get("auth"), list):
            tuned["auth"] = tuple(tuned["auth"])
        return tuned

    @classmethod
    def further_options(cls) -> Collection[str]:
        client = inspect.signature(webdav4.client.Client).parameters
        return {*client, *inspect.signature(httpx.Client).parameters}

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        if not {"client", "http_client"} & set(fs.storage_options):
            # httpx leaves its sockets to the garbage collector, which complains
            weakref.finalize(fs, fs.client.http.close).atexit = False
            _keep_to_origin(fs.client.http)

    def classify(self, error: Exception) -> type[OSError] | None:
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 409:
            # here it means that the directory around it is missing
            return None
        return classify(error)

    # requests

    def url(self, path: str) -> str:
        """Return the address of `path`, every odd character quoted."""
        base = str(self.pool.instance.client.base_url).rstrip("/")
        return f"{base}/{quote(path.lstrip('/'), safe='/~')}"

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Any] | None = None,
        *,
        again: bool = True,
        stream: bool = False,
    ) -> httpx.Response:
        """Return the response to a request, retried while the server is busy or out of reach.

        A request that must not be made twice (not `again`) is retried only where nothing was sent.
        """
        http: httpx.Client = self.pool.instance.client.http

        def attempt() -> httpx.Response:
            request = http.build_request(
                method, self.url(path), headers=headers, content=content and content()
            )
            return http.send(request, stream=stream, follow_redirects=False)

        return RetryPolicy(
            self.limits.retries,
            lambda error: isinstance(error, httpx.TransportError if again else _UNSENT),
            busy=lambda response: again and response.status_code in _OVERLOADED,
        ).run(attempt)

    def _properties(self, path: str, depth: int) -> Iterator[tuple[str, ElementTree.Element]]:
        """Yield paths as the server names them, and their properties."""
        headers = {"Depth": str(depth), "Content-Type": "application/xml; charset=utf-8"}

        def attempt() -> ElementTree.Element:
            response = self.ask("PROPFIND", path, headers, lambda: _PROPERTIES)
            if response.status_code in NOT_FILE:
                raise not_found(path)
            response.raise_for_status()
            # expat bounds what entities may grow to
            return ElementTree.fromstring(response.content)  # noqa: S314

        # Go's servers end a listing with the text of an error where a file was deleted meanwhile
        policy = RetryPolicy(
            self.limits.retries, lambda error: isinstance(error, ElementTree.ParseError)
        )
        tree = policy.run(attempt)
        for element in tree.iter(f"{_DAV}response"):
            yield unquote(urlsplit(element.findtext(f"{_DAV}href") or "").path), element

    # reading

    def stat(self, path: str) -> Stat:
        for _, element in self._properties(path, 0):
            return file_only(_stat(path, element))
        raise not_found(path)

    def _is_dir(self, path: str) -> bool:
        try:
            return any(_stat(path, element).is_dir for _, element in self._properties(path, 0))
        except FileNotFoundError:
            return False

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        def get(headers: dict[str, str]) -> httpx.Response:
            return self.ask("GET", path, headers, stream=True)

        return WebDAVReader(get, path, start, end, self.limits.retries).open()

    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        directory = path.rstrip("/") + "/"
        own = unquote(urlsplit(self.url(directory)).path).rstrip("/")
        entries = []
        for name, element in self._properties(directory, 1):
            # some servers list more than what lies directly in it
            parent, _, label = name.rstrip("/").rpartition("/")
            if parent == own and not label.endswith(PARTIAL_SUFFIX):
                entries.append(_stat(join(path, label), element))
        return Page(entries=entries)

    # writing

    def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._save(path, source, options, overwrite=False)

    def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._save(path, source, options, overwrite=True)

    def _save(
        self, path: str, source: Source, options: Mapping[str, Any], *, overwrite: bool
    ) -> Stat:
        def fill(partial: str) -> Stat:
            self._upload(partial, source, options)
            stat = self.stat(partial)
            if stat.size is not None and stat.size != source.size:
                raise short_write(path, source.size, stat.size)
            return stat

        stat = self._filled(path, fill, overwrite=overwrite)
        return replace(stat, name=path, content_type=None, checksum=source.checksum)

    def _filled(self, path: str, fill: Callable[[str], T], *, overwrite: bool) -> T:
        """Fill a part file, then give it its name."""

        def give_name(partial: str, path: str) -> None:
            self._move(partial, path, overwrite=overwrite)

        def discard(partial: str, error: BaseException) -> None:
            # once: nobody waits long for a server that does not answer
            if not isinstance(error, _UNSENT):
                with contextlib.suppress(Exception):
                    self.ask("DELETE", partial, again=False)

        return run(save(path, fill, give_name, discard), direct)

    def _upload(self, partial: str, source: Source, options: Mapping[str, Any]) -> None:
        causes: list[BaseException | None] = []

        def chunks() -> Iterator[bytes]:
            if source.size:
                source.rewind()
            try:
                yield from source.chunks(_STEP)
            except ContentFailed as error:
                causes.append(error.__cause__)
                raise

        headers = {"Content-Type": str(options.get("content_type", "application/octet-stream"))}
        if source.data is None:
            # large content is not sent for nothing
            self._make_directory(parent_of(partial))
            if source.size_hint is not None:
                # some servers store nothing of a body whose length they are not told
                headers["Content-Length"] = str(source.size_hint)
        content = chunks if source.data is None else lambda: source.data
        try:
            self._inside(lambda: self.ask("PUT", partial, headers, content), partial)
        except ContentFailed as error:
            # httpcore took the cause away
            raise error from causes[0]

    def _inside(self, request: Callable[[], httpx.Response], path: str) -> None:
        """Make a request for a new `path`; when its directory is missing, make that first."""
        response = request()
        if response.status_code in _NO_PARENT:
            self._make_directory(parent_of(path))
            response = request()
            if response.status_code in NOT_FILE or response.status_code == 409:
                raise no_directory(parent_of(path))
        response.raise_for_status()

    def _make_directory(self, path: str) -> None:
        if not path.strip("/"):
            return
        response = self._unlocked("MKCOL", path.rstrip("/") + "/")
        if response.status_code in (404, 409):
            self._make_directory(parent_of(path.rstrip("/")))
            response = self._unlocked("MKCOL", path.rstrip("/") + "/")
        # 405 and redirects: it is there already
        if response.status_code != 405 and not response.is_redirect:
            response.raise_for_status()

    def _unlocked(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Make a request that waits for other clients' locks, which last as long as theirs."""
        return RetryPolicy(
            _LOCK_RETRIES,
            lambda error: False,
            busy=lambda response: response.status_code == 423,
            first_pause=_LOCK_PAUSE,
        ).run(lambda: self.ask(method, path, headers, again=method == "MKCOL"))

    def _move(self, partial: str, path: str, *, overwrite: bool) -> None:
        if overwrite and self._is_dir(path):
            # Overwrite: T would take the whole directory away
            raise is_directory(path)
        headers = {"Destination": self.url(path), "Overwrite": "T" if overwrite else "F"}
        response = self._unlocked("MOVE", partial, headers)
        if response.status_code == 412:
            raise exists_already(path)
        response.raise_for_status()
        if response.status_code == 207:
            raise httpx.HTTPStatusError(
                "MOVE was answered with 207: it failed in part.",
                request=response.request,
                response=response,
            )

    def delete(self, path: str) -> None:
        try:
            # DELETE takes whole directories
            self.stat(path)
        except FileNotFoundError:
            return
        response = self.ask("DELETE", path)
        if response.status_code not in NOT_FILE:
            response.raise_for_status()

    def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        # COPY takes whole directories
        self.stat(source)

        def fill(partial: str) -> None:
            headers = {"Destination": self.url(partial), "Overwrite": "F"}
            self._inside(lambda: self.ask("COPY", source, headers), partial)

        self._filled(target, fill, overwrite=not exclusive)
