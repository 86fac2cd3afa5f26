"""Any Django storage with the methods of ``FSSpecStorage``, called from flows, sync or async.

``wrap()`` gives a storage of another package our methods. ``call_method()`` is the step of a flow
that calls one of them: as it is for a sync caller, by its async twin or in a thread for an async
one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import io
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import IO, Any

from django.core.files.base import File
from django.core.files.storage import Storage

from django_fsspec.adapters.base import STREAM_CHUNK
from django_fsspec.core import flows, names
from django_fsspec.core.content_types import guess_type, safe_type
from django_fsspec.core.flows import Call, EmittingFlow, Flow, call, direct, in_thread
from django_fsspec.core.source import ContentFailed, Source
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported, StorageError

from .fsspec_storage import FSSpecStorage
from .open_files import StoredFile

#: bytes of content that stay in memory
_IN_MEMORY = 2_621_440


class Method:
    """A method of a storage or an open file, and its async twin where it has one."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method."""
        return getattr(self._owner, self._name)(*args, **kwargs)

    @property
    def twin(self) -> Callable[..., Any] | None:
        """The async twin; None for a method of another package's class."""
        ours = isinstance(self._owner, FSSpecStorage | StoredFile)
        return getattr(self._owner, f"a{self._name}", None) if ours else None


def call_method(owner: Any, name: str, *args: Any, **kwargs: Any) -> Flow[Any]:
    """Call a method of a storage or an open file from a flow, and return its result."""
    return (yield Call(Method(owner, name), args, kwargs))


async def acall_method(owner: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method from async code: by its async twin where it has one, else in a thread."""
    return await aperform(Call(Method(owner, name), args, kwargs))


#: does a step for a sync caller
perform = direct


async def aperform(step: Call) -> Any:
    """Do `step` for an async caller: by the method's twin where it has one, else in a thread."""
    twin = getattr(step.function, "twin", None)
    if twin is not None:
        return await twin(*step.args, **step.kwargs)
    return await in_thread(step.function, *step.args, **step.kwargs)


def wrap(storage: Storage) -> FSSpecStorage | ForeignStorage:
    """Return `storage` with our methods: itself when it has them."""
    return storage if isinstance(storage, FSSpecStorage) else ForeignStorage(storage)


class ForeignStorage:
    """The methods of ``FSSpecStorage`` over a storage that has only those of Django's API.

    What the storage raises passes through.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.flows = ForeignFlows(storage)
        self.open = storage.open
        self.exists = storage.exists
        self.delete = storage.delete
        self.listdir = storage.listdir

    def store(
        self,
        name: str,
        content: Any,
        *,
        max_length: int | None = None,
        content_type: str | None = None,
        checksum: bool | str = True,
        exact: bool = False,
        as_sent: bool = False,
    ) -> Stat:
        """Save `content` and return what was stored; see FSSpecStorage.store().

        With `exact` a taken name is a ``FileExistsError``; a storage that names files itself may
        give another one all the same. Names are checked before and after. Then the size is asked,
        and where it is not that of `content`, the file is read: what is read counts, or, with
        `as_sent`, the file is deleted and ``StorageError`` raised.
        """
        if exact and self._storage.exists(name):
            raise FileExistsError(errno.EEXIST, "File exists", name)
        algorithm = checksum if isinstance(checksum, str) else "sha256"
        source = Source(content, limit=_IN_MEMORY, checksum=algorithm)
        stored = self._saved(name, source, max_length)
        if exact:
            self._require_exact(name, stored)
        size, digest = source.size, source.checksum
        if as_sent:
            self._require_as_sent(stored, source, algorithm)
        else:
            # the file is stored: a storage that does not answer now is no failure of the save,
            # whatever its client raises
            with contextlib.suppress(Exception):
                size, digest = self._changed(stored, source, algorithm) or (size, digest)
        return Stat(
            name=stored,
            size=size,
            checksum=digest if checksum else None,
            content_type=safe_type(content_type) if content_type else guess_type(name, content),
            last_modified=self._modified_after_save(stored),
        )

    def _require_exact(self, name: str, stored: str) -> None:
        """Delete what was stored under another name because `name` was taken in between.

        Raises ``FileExistsError`` then.
        """
        own = stored == name or names.folded(stored) == names.folded(name)
        if not own and self._was_taken(name, stored):
            self._storage.delete(stored)
            raise FileExistsError(errno.EEXIST, "File exists", name)

    def _saved(self, name: str, source: Source, max_length: int | None) -> str:
        """Save content under `name`; return the name that the storage gave."""
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
            try:
                source.load()
                for chunk in source.chunks(STREAM_CHUNK):
                    spool.write(chunk)
            except ContentFailed as error:
                raise error.__cause__ or error from None
            finally:
                source.close()
            spool.seek(0)
            file: File[bytes] = File(spool, name)
            stored: str = self._storage.save(name, file, max_length=max_length)
        return stored

    def _changed(self, name: str, source: Source, algorithm: str) -> tuple[int, str] | None:
        """Return size and checksum of a file that reads otherwise than what was sent, or None."""
        if self._size(name) == source.size:
            return None
        # another size may be that of packed bytes, which are unpacked when they are read
        size, checksum = self.digest(name, algorithm)
        return None if (size, checksum) == (source.size, source.checksum) else (size, checksum)

    def _require_as_sent(self, name: str, source: Source, algorithm: str) -> None:
        """Delete a file that reads otherwise than what was sent, and raise ``StorageError``."""
        try:
            changed = self._changed(name, source, algorithm)
        except BaseException:
            self._discard(name)
            raise
        if changed is not None:
            self._discard(name)
            size, checksum = changed
            raise StorageError(
                f"{type(self._storage).__name__} changed the file: {source.size} bytes were sent "
                f"({source.checksum}), {size} are read back ({checksum})"
            )

    def _was_taken(self, name: str, stored: str) -> bool:
        """Return whether `name` exists; where that can't be asked, delete `stored` and raise."""
        try:
            return self._storage.exists(name)
        except BaseException:
            self._discard(stored)
            raise

    def _discard(self, name: str) -> None:
        with contextlib.suppress(Exception):
            self._storage.delete(name)

    def _size(self, name: str) -> int | None:
        """Return the size that the storage says, None where it says none."""
        try:
            return self._storage.size(name)
        except NotImplementedError:
            return None

    def _modified_after_save(self, name: str) -> datetime | None:
        # as for the size in store()
        with contextlib.suppress(Exception):
            return self._modified(name)
        return None

    def _modified(self, name: str) -> datetime | None:
        try:
            modified: datetime | None = self._storage.get_modified_time(name)
        except NotImplementedError:
            return None
        # some return None in place of raising
        return modified.astimezone() if modified else None

    def stat(self, name: str) -> Stat:
        """Return size and time of a file, all that Django's API has."""
        return Stat(name=name, size=self._size(name), last_modified=self._modified(name))

    def get_content(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return the file's bytes from `start` to `end` (exclusive)."""
        with self._storage.open(name) as file:
            if (start or 0) >= 0 and (end or 0) >= 0:
                file.seek(start or 0)
                return bytes(file.read(-1 if end is None else max(0, end - (start or 0))))
            return bytes(file.read()[start:end])

    def stream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> Iterator[bytes]:
        """Yield the file's bytes from `start` to `end` in pieces."""
        with self._storage.open(name) as file:
            first, last = start or 0, end
            if first < 0 or (end or 0) < 0:
                first, last, _ = slice(start, end).indices(file.size)
            file.seek(first)
            # to the end without asking the size, which may be that of packed bytes
            while last is None or first < last:
                piece = file.read(
                    STREAM_CHUNK if last is None else min(STREAM_CHUNK, last - first)
                )
                if not piece:
                    return
                first += len(piece)
                yield piece

    async def astream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See stream()."""
        pieces = self.stream(name, start, end)
        try:
            while (piece := await asyncio.to_thread(next, pieces, b"")) != b"":
                yield piece
        finally:
            pieces.close()  # type: ignore[attr-defined]

    def digest(self, name: str, algorithm: str = "sha256") -> tuple[int, str]:
        """Read a file and return its size and ``"<algorithm>:<hex>"``."""
        digest, size = hashlib.new(algorithm), 0
        for piece in self.stream(name):
            digest.update(piece)
            size += len(piece)
        return size, f"{algorithm}:{digest.hexdigest()}"

    def sign(
        self,
        name: str,
        expires_in: int | None = None,
        for_upload: bool = False,
        **headers: Any,
    ) -> str:
        """Return the storage's own URL.

        Raises ``NotSupported`` for a lifetime, an upload or headers, which Django's API lacks.
        """
        if expires_in is not None or for_upload or headers:
            raise NotSupported(f"{type(self._storage).__name__} can't sign URLs.")
        return self._storage.url(name)


class ForeignFlows:
    """Flows over a storage of another package, as ``StorageFlows`` has them for responses."""

    perform = staticmethod(perform)
    aperform = staticmethod(aperform)

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def iterate(
        self, flow: EmittingFlow, operation: str, name: str | None = None
    ) -> Iterator[Any]:
        """Drive `flow` for a sync caller, yielding what it emits."""
        return flows.iterate(flow, perform)

    def aiterate(
        self, flow: EmittingFlow, operation: str, name: str | None = None
    ) -> AsyncIterator[Any]:
        """See iterate()."""
        return flows.aiterate(flow, aperform)

    def stat(self, name: str) -> Flow[Stat]:
        """Return size and time of a file."""
        return (yield from call(ForeignStorage(self._storage).stat, name))

    def stream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> Flow[ForeignStream]:
        """Open bytes `start` to `end`, both counted from the beginning, for reading in order."""
        stat = yield from self.stat(name)
        file: IO[bytes] = yield from call(self._storage.open, name, "rb")
        if start:
            yield from call(file.seek, start)
        return ForeignStream(file, stat, None if end is None else end - (start or 0))

    def unique(self, name: str, max_length: int | None) -> str:
        """Return `name` with a random part, shortened to `max_length` and to what a disk holds."""
        return names.unique(name, names.Room(max_length, names.PORTABLE))


def raw_file(file: Any) -> IO[bytes] | None:
    """Return the unbuffered file of this machine that Django's own storage opened, or None.

    A class of its own may return other bytes than the file has: it may decrypt.
    """
    if type(file) is not File or type(file.file) is not io.BufferedReader:
        return None
    raw = file.file.raw
    return raw if type(raw) is io.FileIO else None


class ForeignStream:
    """The bytes of an open Django file in order; ``read()`` is a flow, as ``Stream``'s is."""

    packed = sequential = False
    batch = STREAM_CHUNK

    def __init__(self, file: IO[bytes], stat: Stat, limit: int | None) -> None:
        self.stat, self._file, self._left = stat, file, limit
        #: the unbuffered file of this machine whose bytes these are; None where there is none
        self.file = raw_file(file)

    def read(self, size: int) -> Flow[bytes]:
        """Return up to `size` bytes, b"" at the end."""
        if self._left is not None:
            size = min(size, self._left)
        piece: bytes = (yield from call(self._file.read, size)) if size else b""
        if self._left is not None:
            self._left -= len(piece)
        return piece

    def several(self, size: int) -> Flow[list[bytes]]:
        """Return up to `size` bytes in pieces; [] at the end."""
        piece = yield from self.read(size)
        return [piece] if piece else []

    def close(self) -> None:
        """Close the file."""
        self._file.close()
