"""Dropbox, through the official SDK's client that ``dropboxdrivefs`` holds.

The filesystem's own operations swallow errors and fail above one block of 4 MB; the client's are
what they should have been. Dropbox does not tell apart names that differ in case alone.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import requests
from dropbox.exceptions import ApiError, HttpError, InternalServerError, RateLimitError
from dropbox.files import (
    CommitInfo,
    FileMetadata,
    FolderMetadata,
    UploadSessionAppendError,
    UploadSessionCursor,
    WriteMode,
)

from django_fsspec.core.stat import Stat, utc
from django_fsspec.exceptions import NotSupported

from . import families
from .base import Dialect, Page, Reader
from .blocking import BlockingAdapter
from .errors import not_found, short_write
from .requests_client import ResponseReader, meaning
from .resuming_readers import OpenedRange, byte_range
from .retries import RetryPolicy

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

#: Dropbox stores blocks of this size
_BLOCK = 4 * 1024 * 1024
#: bytes that one request may carry (150 MiB), in whole blocks
_MAX_REQUEST = 148 * 1024 * 1024
#: entries of one page of a listing
_PAGE = 2000
_MEANINGS: dict[str, type[OSError]] = {
    "not_found": FileNotFoundError,
    "not_file": FileNotFoundError,
    "not_folder": FileNotFoundError,
    "conflict/file": FileExistsError,
    "conflict/folder": FileExistsError,
    "conflict/file_ancestor": NotADirectoryError,
    "no_write_permission": PermissionError,
    "access_restricted": PermissionError,
    "restricted_content": PermissionError,
}


def tags(error: BaseException) -> str:
    """Return what Dropbox calls an error: ``"path/conflict/file"``."""
    names = []
    value = getattr(error, "error", None)
    while value is not None:
        value = getattr(value, "reason", value)
        # the SDK's unions have an is_x() for each x that they may be, a get_x() for its details
        asked = (name for name in dir(value) if name.startswith("is_"))
        tag = next((name[3:] for name in asked if getattr(value, name)()), None)
        if tag is None:
            break
        names.append(tag)
        value = getattr(value, f"get_{tag}", lambda: None)()
    return "/".join(names)


def _is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed when it is made again."""
    if isinstance(error, ApiError):
        return "too_many_write_operations" in tags(error)
    return isinstance(
        error,
        InternalServerError | RateLimitError | requests.ConnectionError | requests.Timeout,
    )


class DropboxAdapter(BlockingAdapter):
    """Dropbox: one request an operation, two to delete, to copy and to write above a chunk.

    Files are created without renaming and with ``strict_conflict``: of simultaneous writers one
    wins, even when all bring the same bytes. An unfinished upload session is invisible and
    expires at Dropbox by itself.
    """

    dialect: ClassVar[Dialect] = families.DROPBOX.dialect
    #: the SDK's client shares one pool of connections among threads
    thread_safe: ClassVar[bool] = True

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        # the SDK tries again on HTTP errors only, and waits for rate limits for ever: we retry
        fs.dbx = fs.dbx.clone(timeout=timeout, max_retries_on_error=0, max_retries_on_rate_limit=0)
        # a client given ready may have connections that were opened before a fork
        fs.dbx.close()

    def classify(self, error: Exception) -> type[OSError] | None:
        if isinstance(error, ApiError):
            tag = tags(error)
            return next((_MEANINGS[end] for end in _MEANINGS if tag.endswith(end)), None)
        return meaning(error)

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client, retried while that may help; raise built-in errors."""
        call = getattr(self.pool.instance.dbx, method)
        policy = RetryPolicy(
            self.limits.retries,
            _is_transient,
            requested_pause=lambda error: getattr(error, "backoff", None) or None,
            first_pause=0.2,
            longest_pause=self.limits.timeout,
        )
        try:
            return policy.run(lambda: call(*args, **kwargs))
        except ApiError as error:
            built_in = self.classify(error)
            if built_in is None:
                raise
            raise built_in(errno.EIO, f"Dropbox: {tags(error)}") from error

    @staticmethod
    def _at(path: str) -> str:
        """Return `path` as Dropbox wants it; its root is the empty string."""
        path = path.strip("/")
        return f"/{path}" if path else ""

    def _stat(self, path: str, metadata: Any) -> Stat:
        if not isinstance(metadata, FileMetadata):
            raise not_found(path)
        return Stat(
            name=path,
            size=metadata.size,
            last_modified=utc(metadata.server_modified),
            etag=metadata.rev,
            version_id=metadata.rev,
        )

    def stat(self, path: str) -> Stat:
        return self._stat(path, self._call("files_get_metadata", self._at(path)))

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        def ask(position: int) -> OpenedRange:
            headers = {"Accept-Encoding": "identity", **byte_range(position, end)}
            try:
                metadata, response = self._call(
                    "files_download", self._at(path), extra_headers=headers
                )
            except HttpError as error:
                if error.status_code != 416:
                    raise
                # the range begins past the end
                return OpenedRange(self.stat(path))
            skip = position if response.status_code == 200 else 0
            return OpenedRange(self._stat(path, metadata), response, metadata.rev, skip)

        return ResponseReader(ask, path, start, end, self.limits.retries).open()

    def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._upload(path, source, WriteMode.add, strict=True)

    def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._upload(path, source, WriteMode.overwrite, strict=False)

    def _upload(self, path: str, source: Source, mode: Any, *, strict: bool) -> Stat:
        commit: dict[str, Any] = {
            "path": self._at(path),
            "mode": mode,
            "autorename": False,
            "strict_conflict": strict,
            "mute": True,
        }
        if source.data is not None and len(source.data) <= _MAX_REQUEST:
            metadata = self._call("files_upload", source.data, **commit)
        else:
            metadata = self._upload_session(source, CommitInfo(**commit))
        if metadata.size != source.size:
            raise short_write(path, source.size, metadata.size)
        return replace(self._stat(path, metadata), checksum=source.checksum)

    def _upload_session(self, source: Source, commit: Any) -> Any:
        """Send content in pieces; nothing exists under its name before the last request."""
        size = self.limits.chunk_size // _BLOCK * _BLOCK
        chunks = source.chunks(min(max(size, _BLOCK), _MAX_REQUEST))
        chunk = next(chunks, b"")
        session = self._call("files_upload_session_start", chunk).session_id
        offset = len(chunk)
        for chunk in chunks:
            self._append(session, offset, chunk)
            offset += len(chunk)
        cursor = UploadSessionCursor(session_id=session, offset=offset)
        return self._call("files_upload_session_finish", b"", cursor, commit)

    def _append(self, session: str, offset: int, chunk: bytes) -> None:
        cursor = UploadSessionCursor(session_id=session, offset=offset)
        try:
            self._call("files_upload_session_append_v2", chunk, cursor)
        except ApiError as error:
            # of a try whose answer was lost, the bytes have arrived
            refused = error.error
            if not (
                isinstance(refused, UploadSessionAppendError)
                and refused.is_incorrect_offset()
                and refused.get_incorrect_offset().correct_offset == offset + len(chunk)
            ):
                raise

    def delete(self, path: str) -> None:
        try:
            # Dropbox deletes a folder with all it holds, and a name is of a file
            self.stat(path)
            self._call("files_delete_v2", self._at(path))
        except FileNotFoundError:
            return

    def delete_many(self, paths: Sequence[str]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}

        def delete(path: str) -> None:
            try:
                self.delete(path)
            except Exception as error:
                failed[path] = error

        with ThreadPoolExecutor(self.limits.max_concurrency) as workers:
            for _ in workers.map(delete, paths):
                pass
        return failed

    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        if after is None:
            listing = self._call("files_list_folder", self._at(path), limit=_PAGE)
        else:
            listing = self._call("files_list_folder_continue", after)
        parent = f"{path.rstrip('/')}/" if path else ""
        entries = [
            # not path_display: only the last part of that has the case it was written in
            Stat(name=parent + entry.name, is_dir=True)
            if isinstance(entry, FolderMetadata)
            else self._stat(parent + entry.name, entry)
            for entry in listing.entries
            if isinstance(entry, FileMetadata | FolderMetadata)
        ]
        return Page(entries=entries, next=listing.cursor if listing.has_more else None)

    def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        # a folder would be copied with all it holds
        self.stat(source)
        try:
            self._call("files_copy_v2", self._at(source), self._at(target), autorename=False)
        except FileExistsError:
            if exclusive:
                raise
            raise NotSupported("Dropbox has no copy that replaces a file.") from None
