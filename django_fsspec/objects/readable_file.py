"""``ReadableFile``: open, read and close a file, and compare it with what its storage says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django_fsspec.core import flows
from django_fsspec.core.content_types import GENERIC_TYPES
from django_fsspec.core.flows import Emit, EmittingFlow, Flow, call
from django_fsspec.storage.foreign import ForeignStorage, aperform, call_method, perform, wrap
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.prefixes import pinned_storage

from . import pending_content
from .file_in_storage import FileInStorage

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

T = TypeVar("T")


class ReadableFile(FileInStorage):
    """The part of ``FileObject`` that opens, reads and compares the stored file."""

    #: the open file, and whether closing it is ours
    _handle: Any = None
    _ours = False
    #: the storage of the open file, under the prefix of that time
    _opened_in: Any = None
    mode = "rb"

    def _wrapped_storage(self) -> FSSpecStorage | ForeignStorage:
        return wrap(self.storage)

    def _pinned_storage(self) -> FSSpecStorage | ForeignStorage:
        """Reach the storage under the prefix of now, for what goes on elsewhere."""
        return wrap(pinned_storage(self.storage))

    # drivers

    def _run(self, flow: Flow[T]) -> T:
        return flows.run(flow, perform)

    async def _arun(self, flow: Flow[T]) -> T:
        return await flows.arun(flow, aperform)

    def _call_storage(self, method: str, *args: Any, **kwargs: Any) -> Flow[Any]:
        """Call a method of the storage on this file."""
        stored_name = self._stored_name()
        with self._naming_row():
            return (
                yield from call_method(
                    self._wrapped_storage(), method, stored_name, *args, **kwargs
                )
            )

    # reading

    def open(self, mode: str = "rb") -> Self:  # type: ignore[override]
        """Open the file, or its unsaved content, and return self: 1 request.

        What is written (``"wb"``) is stored by ``close()``, which also reads the new size. Raises
        ``FileNotFoundError``, ``StorageError``, and ``ValueError`` for a wrong mode.
        """
        return self._run(self._opening(mode))

    async def aopen(self, mode: str = "rb") -> Self:
        """See open()."""
        return await self._arun(self._opening(mode))

    def _opening(
        self, mode: str, place: FSSpecStorage | ForeignStorage | None = None
    ) -> Flow[Self]:
        if not self.closed and mode == self.mode and "r" in mode:
            self._handle.seek(0)
            return self
        yield from self._closing()
        if self.has_pending_data:
            self._handle, self._ours = yield from call(pending_content.opened, self._pending, mode)
        else:
            stored_name = self._stored_name()
            self._opened_in = place or self._pinned_storage()
            with self._naming_row():
                self._handle = yield from call_method(self._opened_in, "open", stored_name, mode)
            self._ours = True
        self.mode = mode
        return self

    def read(self, size: int = -1) -> Any:
        """Return the next bytes, up to `size`; -1 for all. Opens a closed file."""
        return self._run(self._reading(size))

    async def aread(self, size: int = -1) -> Any:
        """See read()."""
        return await self._arun(self._reading(size))

    def _reading(self, size: int) -> Flow[Any]:
        if self.closed:
            yield from self._opening("rb")
        return (yield from call_method(self._handle, "read", size))

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """Yield the content from its start, in pieces of up to `chunk_size` bytes (64 KiB)."""
        return flows.iterate(self._chunking(chunk_size, self._place_to_read()), perform)

    def achunks(self, chunk_size: int | None = None) -> AsyncIterator[Any]:
        """See chunks()."""
        return flows.aiterate(self._chunking(chunk_size, self._place_to_read()), aperform)

    def _place_to_read(self) -> FSSpecStorage | ForeignStorage | None:
        """Return the storage of now, from which chunks are read once somebody asks for them."""
        if self.has_pending_data or not self.closed:
            return None
        self._stored_name()  # raises now, not when the first chunk is read
        return self._pinned_storage()

    def _chunking(
        self, chunk_size: int | None, place: FSSpecStorage | ForeignStorage | None
    ) -> EmittingFlow:
        yield from self._opening("rb" if self.closed else self.mode, place)
        while chunk := (yield from self._reading(chunk_size or self.DEFAULT_CHUNK_SIZE)):
            yield Emit(chunk)

    def get_content(self, start: int | None = None, end: int | None = None) -> bytes:
        """Return the bytes from `start` up to `end`, as a slice does: 1 request.

        Raises ``FileNotFoundError``, ``StorageError``, and ``ValueError`` for unsaved content.
        """
        return bytes(self._run(self._call_storage("get_content", start, end)))

    async def aget_content(self, start: int | None = None, end: int | None = None) -> bytes:
        """See get_content()."""
        return bytes(await self._arun(self._call_storage("get_content", start, end)))

    def stream(self, start: int | None = None, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `end` in pieces: 1 request, flat memory.

        Raises as ``get_content()`` does.
        """
        stored_name = self._stored_name()
        return self._pinned_storage().stream(stored_name, start, end)

    def astream(self, start: int | None = None, end: int | None = None) -> AsyncIterator[bytes]:
        """See stream()."""
        stored_name = self._stored_name()
        return self._pinned_storage().astream(stored_name, start, end)

    # the open file

    @property
    def file(self) -> Any:  # type: ignore[override]
        """The open file. Reading this opens a closed file."""
        if self.closed:
            self.open()
        return self._handle

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._handle is None or self._handle.closed

    def close(self) -> None:
        """Close the file. A file that was given as content stays open.

        After writing, this stores the content: raises ``StorageError`` and other ``OSError``.
        """
        self._run(self._closing())

    async def aclose(self) -> None:
        """See close()."""
        await self._arun(self._closing())

    def _closing(self) -> Flow[None]:
        handle, ours = self._handle, self._ours
        self._handle = None
        if handle is None or handle.closed or not ours:
            return
        yield from call_method(handle, "close")
        if self.mode.strip("bt") != "r":
            self.checksum = None
            yield from self._refreshing(self._opened_in)

    def _drop(self) -> None:
        """Close the open file without storing what was written."""
        handle, self._handle = self._handle, None
        if handle is not None and self._ours:
            getattr(handle, "discard", handle.close)()

    def __exit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        if exc_type is not None:
            self._drop()
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        if exc_type is not None:
            self._drop()
        await self.aclose()

    # metadata

    def exists(self) -> bool:
        """Return whether the file exists in the storage: 1 request."""
        return bool(self._run(self._call_storage("exists")))

    async def aexists(self) -> bool:
        """See exists()."""
        return bool(await self._arun(self._call_storage("exists")))

    def refresh(self) -> Self:
        """Read size, content type, time, etag and version from the storage: 1 request.

        If the bytes changed, checksum, width and height are dropped. Raises
        ``FileNotFoundError``, ``StorageError``, and ``ValueError`` for unsaved content.
        """
        return self._run(self._refreshing())

    async def arefresh(self) -> Self:
        """See refresh()."""
        return await self._arun(self._refreshing())

    def _refreshing(self, place: FSSpecStorage | ForeignStorage | None = None) -> Flow[Self]:
        stored_name = self._stored_name()
        with self._naming_row():
            stat: Stat = yield from call_method(
                place or self._wrapped_storage(), "stat", stored_name
            )
        if self._differs(stat):
            self.checksum = None
            self._drop_dimensions()
        self._take_stat(stat)
        return self

    def _differs(self, stat: Stat) -> bool:
        if None not in (stat.size, self._size) and stat.size != self._size:
            return True
        # an etag in quotes was computed by advanced-alchemy; ours have none
        if stat.etag and self.etag and not self.etag.startswith('"'):
            return stat.etag != self.etag
        if stat.last_modified is None or self.last_modified is None:
            return False
        # some services answer with another second than they did to the upload
        return abs(stat.last_modified.timestamp() - self.last_modified) > 2

    def verify(self) -> bool:
        """Read the whole file; return whether its checksum and size match: 1 request.

        Raises ``ValueError`` where no checksum is known, ``FileNotFoundError`` and
        ``StorageError``.
        """
        return self._run(self._verifying())

    async def averify(self) -> bool:
        """See verify()."""
        return await self._arun(self._verifying())

    def _verifying(self) -> Flow[bool]:
        algorithm, colon, _ = (self.checksum or "").partition(":")
        if not colon:
            raise ValueError(
                f"{self!r} can't be verified: its checksum is {self.checksum!r}, "
                "not '<algorithm>:<hex>'."
            )
        size, checksum = yield from self._call_storage("digest", algorithm)
        return checksum == self.checksum and self._size in (None, size)

    def _take_stat(self, stat: Stat) -> None:
        self.filename = stat.name
        self._size = stat.size
        content_type = stat.content_type
        # services answer with a generic type for files that were stored without a type
        if content_type and (self._content_type is None or content_type not in GENERIC_TYPES):
            self._content_type = content_type
        modified = stat.last_modified
        self.last_modified = None if modified is None else modified.timestamp()
        self.etag, self.version_id = stat.etag, stat.version_id
        self.checksum = stat.checksum or self.checksum

    #: advanced-alchemy's name
    get_content_async = aget_content
