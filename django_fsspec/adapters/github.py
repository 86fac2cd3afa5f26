"""A GitHub repository at one branch, tag or commit: read-only, over GitHub's contents API."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import StorageError

from . import families
from .base import Dialect, Page, Reader, ReadOnlyAdapter
from .blocking import BlockingAdapter
from .errors import not_found
from .requests_client import ResponseReader, SecureSession, meaning
from .resuming_readers import BytesReader, OpenedRange, byte_range

if TYPE_CHECKING:
    import builtins

#: entries of a directory after which the contents API stops
_LISTED = 1000
_LFS = b"version https://git-lfs.github.com/"


class RateLimited(StorageError):
    """GitHub answers no more requests for now."""


class GitHubAdapter(ReadOnlyAdapter, BlockingAdapter):
    """GitHub: one request an operation; two to read a file above 1 MB or one in LFS.

    GitHub's API does not tell when a file last changed.
    """

    label = "GitHub"
    dialect: ClassVar[Dialect] = families.GITHUB.dialect
    thread_safe: ClassVar[bool] = True

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        return {"timeout": (timeout, timeout), "use_listings_cache": False, **options}

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        # fsspec's own calls open a connection each and never try again
        session = SecureSession()
        retry = Retry(
            total=retries,
            status_forcelist=(500, 502, 503, 504),
            backoff_factor=0.1,
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=32, max_retries=retry))
        # cookies are the one part of a session that threads must not share
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        fs.kept_session = session
        if "timeout" not in vars(fs):
            # given ready made
            fs.timeout = (timeout, timeout)

    def classify(self, error: Exception) -> type[OSError] | None:
        return None if isinstance(error, StorageError) else meaning(error)

    def _filesystem(self) -> Any:
        try:
            return self.pool.instance
        except (FileNotFoundError, requests.HTTPError) as error:
            response = getattr(error, "response", None)
            if response is not None and response.status_code != 404:
                raise
            # not FileNotFoundError: that would be of a file
            raise StorageError("There is no such repository, branch, tag or commit.") from error

    def _contents(self, path: str) -> Any:
        """Return what the contents API says about a file (with its content) or a directory."""
        fs = self._filesystem()
        url = fs.content_url.format(
            org=fs.org, repo=fs.repo, path=quote(path.strip("/")), sha=quote(fs.root, safe="")
        )
        with fs.kept_session.get(url, timeout=fs.timeout, **fs.kw) as response:
            if response.status_code == 404:
                raise not_found(path)
            if response.headers.get("X-RateLimit-Remaining") == "0" and not response.ok:
                raise RateLimited(
                    "GitHub's rate limit is used up: set 'username' and 'token' in fs_options."
                )
            response.raise_for_status()
            return response.json()

    def _file(self, path: str) -> tuple[Mapping[str, Any], Stat]:
        file = self._contents(path)
        if not isinstance(file, dict) or file.get("type") != "file":
            raise not_found(path)
        return file, Stat(name=path, size=file["size"], etag=file["sha"])

    def stat(self, path: str) -> Stat:
        return self._file(path)[1]

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        file, stat = self._file(path)
        content = base64.b64decode(file.get("content") or "")
        if len(content) == stat.size and not content.startswith(_LFS):
            return BytesReader(content[start:end], stat)
        fs = self._filesystem()

        def ask(position: int) -> OpenedRange:
            headers = {"Accept-Encoding": "identity", **byte_range(position, end)}
            response = fs.kept_session.get(
                file["download_url"], headers=headers, timeout=fs.timeout, stream=True
            )
            if response.status_code == 416:
                # the range begins past the end
                response.close()
                return OpenedRange(stat)
            response.raise_for_status()
            skip = position if response.status_code == 200 else 0
            # without an ETag its blob's sha, to which the content's URL belongs
            return OpenedRange(stat, response, response.headers.get("ETag") or stat.etag, skip)

        return ResponseReader(ask, path, start, end, self.limits.retries).open()

    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        items = self._contents(path)
        if not isinstance(items, list):
            raise not_found(path)
        if len(items) >= _LISTED:
            return self._tree(path)
        parent = f"{path.rstrip('/')}/" if path else ""
        entries = [
            Stat(name=parent + entry["name"], is_dir=True)
            if entry["type"] == "dir"
            else Stat(name=parent + entry["name"], size=entry["size"], etag=entry["sha"])
            for entry in items
            if entry["type"] in ("dir", "file")
        ]
        return Page(entries=entries)

    def _tree(self, path: str) -> Page:
        """List a directory that is too large for the contents API: a request for each level."""
        fs = self._filesystem()
        fs.invalidate_cache()
        items: builtins.list[Mapping[str, Any]] = fs.ls(path, detail=True)
        entries = [
            Stat(name=entry["name"], is_dir=True)
            if entry["type"] == "directory"
            else Stat(name=entry["name"], size=entry["size"], etag=entry["sha"])
            for entry in items
        ]
        return Page(entries=entries)
