"""Files behind HTTP and HTTPS: read-only, through aiohttp's session of fsspec's filesystem.

Paths are URLs whose path part is plain text: names are quoted here, each byte exactly once
(fsspec's own calls would read ``#`` and ``?`` in a name as parts of the URL). Redirects are
followed, to another origin without credentials. Directories are what a server's listing page
links to.
"""

from __future__ import annotations

import codecs
import inspect
from collections.abc import Collection, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urljoin, urlsplit

import aiohttp
from yarl import URL

from django_fsspec.core.stat import Stat, total_size, unquoted, utc
from django_fsspec.exceptions import NotSupported, StorageError

from . import families
from .aiohttp_client import AioReader
from .asynchronous import LoopedAdapter
from .base import Dialect, Page, Reader, ReadOnlyAdapter
from .errors import not_found
from .http_redirects import keep_to_origin
from .resuming_readers import OpenedRange
from .retries import RetryPolicy

#: what RFC 3986 allows in a path segment besides letters and digits
_SAFE = "/-._~!$&'()*+,;=:@"
_PARTIAL, _NO_RANGE = 206, 416
#: statuses of servers that know no HEAD
_NO_HEAD = (405, 501)
#: statuses of a server that may answer later
_BUSY = (429, 500, 502, 503, 504)
_HTML = ("text/html", "application/xhtml+xml")


def _is_transient(error: Exception) -> bool:
    return isinstance(error, aiohttp.ClientConnectionError | TimeoutError)


def _is_busy(response: aiohttp.ClientResponse) -> bool:
    return response.status in _BUSY


class _Links(HTMLParser):
    """Collects the targets of the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]


class HTTPReader(AioReader):
    """One GET streamed."""

    broken = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)

    def __init__(self, adapter: HTTPAdapter, path: str, start: int, end: int | None) -> None:
        super().__init__(path, start, end, adapter.limits.retries, adapter.connection_limit)
        self._adapter = adapter

    async def _open(self) -> OpenedRange:
        # a file that has changed is then sent whole, with another ETag (RFC 9110, 13.1.5)
        condition = {"If-Range": self._version} if self._version and self._range else {}
        response = await self._adapter.ask("GET", self._path, {**self._range, **condition})
        stat = self._adapter.stat_from(self._path, response)
        if response.status == _NO_RANGE:
            # the range begins past the end
            response.release()
            return OpenedRange(stat)
        self._adapter.check(response, self._path)
        etag = response.headers.get("ETag", "")
        if condition and response.status == _PARTIAL:
            etag = etag or self._version  # the server compared it
        return OpenedRange(
            stat,
            response,
            # of a weak one the bytes may differ
            version=None if etag.startswith("W/") else etag or None,
            skip=self._position if response.status == 200 else 0,
        )


class HTTPAdapter(ReadOnlyAdapter, LoopedAdapter):
    """HTTP: one GET to read, one HEAD to look, one GET to list. Nothing can be written.

    ``client_kwargs`` takes ``headers`` and ``auth`` as aiohttp's ClientSession does. Bytes are
    given as the server stores them: nothing is unpacked.
    """

    label = "HTTP"
    dialect: ClassVar[Dialect] = families.HTTP.dialect

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        silence = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        client = {"timeout": silence, **(options.get("client_kwargs") or {})}
        taken = inspect.signature(aiohttp.ClientSession).parameters
        wrong = [name for name in client if name not in taken and "get_client" not in options]
        if wrong:
            raise ValueError(f"'client_kwargs' has {wrong[0]!r}, no argument of ClientSession.")
        return {"use_listings_cache": False, **options, "client_kwargs": client}

    @classmethod
    def further_options(cls) -> Collection[str] | None:
        # what fsspec passes on to each request
        request = getattr(aiohttp.ClientSession, "_request", None)
        if request is None:
            return None
        return inspect.signature(request).parameters.keys() - {"self", "method", "str_or_url"}

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        super().tune_instance(fs, timeout=timeout, retries=retries)
        own = tuple(fs.client_kwargs.get("middlewares", ()))
        if keep_to_origin not in own:
            fs.client_kwargs = {**fs.client_kwargs, "middlewares": (keep_to_origin, *own)}

    @classmethod
    def root_of_url(cls, root: str) -> str:
        """Return the URL unquoted, as names are: ``url_of()`` quotes both."""
        return unquote(root)

    def url_of(self, path: str) -> URL:
        """Return the URL of `path`, each character of the name quoted."""
        scheme, mark, rest = path.partition("://")
        if scheme not in ("http", "https") or not mark:
            raise StorageError(f"{path!r} is no URL: the prefix must be 'https://host/folder'.")
        host, _, name = rest.partition("/")
        quoted = name if self.fs.encoded else quote(name, safe=_SAFE)
        return URL(f"{scheme}://{host}/{quoted}", encoded=True)

    async def ask(self, method: str, path: str, headers: Mapping[str, str]) -> Any:
        """Make one request, retried while the server can't be reached or is overloaded."""
        session = await self.fs.set_session()
        options = dict(self.fs.kwargs)
        # unpacked on the way, a body would not be the length the server tells
        own = {"Accept-Encoding": "identity", **options.pop("headers", {}), **headers}
        options |= {"headers": own, "allow_redirects": True, "auto_decompress": False}
        url = self.url_of(path)
        policy = RetryPolicy(self.limits.retries, _is_transient, busy=_is_busy)
        return await policy.arun(lambda: session.request(method, url, **options))

    def check(self, response: Any, path: str) -> None:
        """Raise what a response means for the file at `path`."""
        # a server sends those who ask for a directory to its name with a slash
        is_directory = response.url.raw_path.endswith("/") and not path.endswith("/")
        if response.status in (404, 410) or is_directory:
            response.release()
            raise not_found(path)
        response.raise_for_status()
        if response.status >= 300:
            response.release()
            raise StorageError(f"the server answers with status {response.status} and no file")

    def explained(self, error: Exception) -> StorageError | None:
        is_loop = isinstance(error, aiohttp.TooManyRedirects)
        return StorageError("the server redirects too often") if is_loop else None

    def stat_from(self, path: str, response: Any) -> Stat:
        headers = response.headers
        # one that has no such range tells the length of its message
        length = None if response.status == _NO_RANGE else headers.get("Content-Length")
        return Stat(
            name=path,
            size=total_size(headers.get("Content-Range"), length),
            last_modified=utc(headers.get("Last-Modified")),
            content_type=headers.get("Content-Type"),
            content_encoding=headers.get("Content-Encoding"),
            etag=unquoted(headers.get("ETag", "").removeprefix("W/")),
        )

    async def stat(self, path: str) -> Stat:
        async with self.connection_limit:
            return await self._stat(path)

    async def _stat(self, path: str) -> Stat:
        response = await self.ask("HEAD", path, {})
        if response.status in _NO_HEAD:
            response.release()
            response = await self.ask("GET", path, {"Range": "bytes=0-0"})
        try:
            if response.status != _NO_RANGE:
                self.check(response, path)
            return self.stat_from(path, response)
        finally:
            # of a GET whose Range was ignored, the body is still coming
            response.close() if response.method == "GET" else response.release()

    async def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        return await HTTPReader(self, path, start, end).open()

    async def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        address = path.rstrip("/") + "/"
        async with self.connection_limit, await self.ask("GET", address, {}) as response:
            if response.status in (404, 410):
                raise not_found(path)
            response.raise_for_status()
            if response.content_type not in _HTML:
                raise NotSupported(
                    "The server has no listing page for this directory: read files by name."
                )
            links = _Links()
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            async for chunk in response.content.iter_any():
                links.feed(decoder.decode(chunk))
            base = str(response.url)
        return Page(entries=self._entries(path.rstrip("/"), base, links.targets))

    def _entries(self, path: str, base: str, links: Sequence[str]) -> Sequence[Stat]:
        here = urlsplit(base)
        entries: dict[str, Stat] = {}
        for link in links:
            there = urlsplit(urljoin(base, link))
            if there[:2] != here[:2] or there.query or not there.path.startswith(here.path):
                continue
            label = there.path[len(here.path) :]
            name = label.rstrip("/") if self.fs.encoded else unquote(label.rstrip("/"))
            if name and "/" not in name and name not in (".", ".."):
                entries[name] = Stat(name=f"{path}/{name}", is_dir=label.endswith("/"))
        return [*entries.values()]

    def sign(
        self, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
    ) -> str | None:
        """Return the URL itself where anybody may read it as it is."""
        fs, url = self.fs, self.url_of(path)
        secret = {"auth", "headers", "cookies"} & {*fs.client_kwargs, *fs.kwargs}
        if for_upload or headers or secret or url.user or url.password:
            return None
        return str(url)
