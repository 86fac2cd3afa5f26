"""Content that is being saved: any kind of it, read once, counted, hashed and compressed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from django.core.files.base import File
from django.core.files.uploadedfile import InMemoryUploadedFile

#: the ``chunks()`` of Django's that yield what ``read()`` returns
_READING = (File.chunks, InMemoryUploadedFile.chunks)


class ContentFailed(Exception):
    """The content being saved raised while it was read; the cause says what."""


def _guarded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    # what the caller's own file raises is not a failure of the storage
    while True:
        try:
            chunk = next(chunks)
        except StopIteration:
            return
        except Exception as error:
            raise ContentFailed(str(error)) from error
        yield chunk


def own_chunks(content: Any) -> bool:
    """Return whether ``chunks()`` is what to store: the file may encrypt what ``read()`` gives.

    False where it does nothing but read, so that larger pieces can be read.
    """
    if not (hasattr(content, "read") and hasattr(content, "chunks")):
        return False
    return getattr(content.chunks, "__func__", None) not in _READING


def _chunks_of(content: Any, size: int) -> Iterator[bytes]:
    """Yield the bytes of a file-like object, a Django ``File`` or an iterable, text encoded."""
    if hasattr(content, "read") and not own_chunks(content):
        while chunk := content.read(size):
            yield as_bytes(chunk)
    elif hasattr(content, "chunks"):
        for chunk in content.chunks():
            yield as_bytes(chunk)
    else:
        for chunk in content:
            yield as_bytes(chunk)


def as_bytes(chunk: Any) -> bytes:
    """Return the bytes of a piece of content; text is UTF-8. Raises ``TypeError`` for others."""
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, str):
        return chunk.encode()
    if isinstance(chunk, bytearray | memoryview):
        return bytes(chunk)
    raise TypeError(f"File content must give bytes or str, not {type(chunk).__name__}.")


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # wbits 31 is gzip with a zero time: the same bytes in give the same bytes out.
    compressor = zlib.compressobj(wbits=31)
    for chunk in chunks:
        if packed := compressor.compress(chunk):
            yield packed
    yield compressor.flush()


def part_size(number: int, first: int, most: int, total: int | None) -> int:
    """Return the size in bytes of part `number` of content, counted from 1, of `most` parts.

    Parts of a known `total` are alike. Those of a stream grow from the middle of the numbers on,
    by twice `first` after each twentieth of `most`: 6.5 times as much fits as if all were alike.
    Not before, because some stores (Cloudflare R2) take parts of one size only.
    """
    if total is not None:
        return max(first, -(-total // most))
    late = number - 1 - most // 2
    return first if late < 0 else first * (3 + 2 * (late // max(1, most // 20)))


class Source:
    """The bytes of one save.

    ``load()`` reads up to `limit` bytes; content that ends there is `small` and lies in `data`.
    Larger content is then taken in exact pieces with ``read()``. ``rewind()`` starts over for a
    second try under another name: content that can neither seek nor be asked again (its attribute
    ``repeats`` is true) is kept in an unnamed temporary file as it passes, so memory stays bounded
    by `limit` either way.

    The caller's file is never closed. `checksum` and `size` describe what was read since the
    last rewind, which after a complete write are the stored bytes. What the content raises while
    it is read is the cause of a ``ContentFailed``.
    """

    def __init__(
        self, content: Any, *, limit: int, checksum: str | None = None, gzip: bool = False
    ) -> None:
        if isinstance(content, str | bytes | bytearray | memoryview):
            content = io.BytesIO(as_bytes(content))
        self._content = content
        self._limit = limit
        self._algorithm = checksum
        self._gzip = gzip
        self._spool: IO[bytes] | None = None
        self._spools: list[IO[bytes]] = []
        self._closed = False
        self._seekable = seekable(content)
        own = own_chunks(content)
        # whether it can be started over, and need not be kept as it passes; a cipher may have a
        # state: no second call of chunks(), which Django calls once
        self._repeats = (self._seekable and not own) or getattr(content, "repeats", False)
        self.data: bytes | None = None
        #: whether loading is quick enough for an event loop
        in_memory = isinstance(getattr(content, "file", content), io.BytesIO)
        self.in_memory = in_memory and not gzip and not own
        # of a file that chunks() encrypts, the size is that of the plain content
        self.size_hint = None if gzip or own else _size_hint(content)
        if self._seekable and content.tell() != 0:
            content.seek(0)
        self._reset(self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        chunks = _guarded(_chunks_of(self._content, min(self._limit, 1 << 20)))
        return _compressed(chunks) if self._gzip else chunks

    def _reset(self, chunks: Iterator[bytes]) -> None:
        self._iterator = chunks
        self._rest = b""
        self._hash = hashlib.new(self._algorithm) if self._algorithm else None
        self.size = 0

    @property
    def small(self) -> bool:
        """Whether all of the content lies in `data`."""
        return self.data is not None

    @property
    def checksum(self) -> str | None:
        """``"<algorithm>:<hex>"`` of the bytes read so far, or None when turned off."""
        return f"{self._algorithm}:{self._hash.hexdigest()}" if self._hash else None

    @property
    def temporary_path(self) -> str | None:
        """The path of the temporary file of an upload, where it holds just the bytes to be stored.

        Django moves that file into its storage.
        """
        content: Any = self._content
        # a class of its own may store other bytes than the file's
        plain = getattr(type(content), "read", None) is File.read and not own_chunks(content)
        if self._gzip or not plain or not hasattr(content, "temporary_file_path"):
            return None
        with contextlib.suppress(OSError, ValueError):
            content.flush()
            path = str(content.temporary_file_path())
            if os.path.samestat(os.fstat(content.fileno()), Path(path).stat()):
                return path
        return None

    def load(self) -> None:
        """Read the content into `data` when it is at most `limit` bytes."""
        if self.data is not None or self.size or self._rest:
            return
        if self.size_hint is not None and self.size_hint > self._limit:
            return
        if self.in_memory and self.size_hint is not None and hasattr(self._content, "read"):
            # in one piece: passing on pieces takes as long as writing a small file
            try:
                self.data = as_bytes(self._content.read())
            except Exception as error:
                raise ContentFailed(str(error)) from error
            self._account(self.data)
            return
        pieces: deque[bytes] = deque()
        length = 0
        for piece in self._iterator:
            pieces.append(piece)
            length += len(piece)
            if length > self._limit:
                # not joined: that would be a copy more of what is large anyway
                self._iterator = _resumed(pieces, self._iterator)
                return
        self.data = b"".join(pieces)
        self._account(self.data)

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes, or fewer at the end, or b""."""
        chunk = self._take(size)
        self._account(chunk)
        return chunk

    def _take(self, size: int) -> bytes:
        if self._closed:
            # the save was cancelled while a thread of its own still reads
            raise ContentFailed("The content was given up.")
        if len(self._rest) >= size:
            taken, self._rest = self._rest[:size], self._rest[size:]
            return taken
        # grows where it is, and gives what it holds without a copy: parts are large
        gathered, missing = io.BytesIO(), size - len(self._rest)
        gathered.write(self._rest)
        self._rest = b""
        for piece in self._iterator:
            gathered.write(piece if len(piece) <= missing else piece[:missing])
            self._rest = piece[missing:]
            missing -= min(len(piece), missing)
            if not missing:
                break
        return gathered.getvalue()

    def ended(self) -> bool:
        """Return whether content is exhausted; may read up to 1 MiB ahead."""
        while not self._rest:
            piece = next(self._iterator, None)
            if piece is None:
                return True
            self._rest = piece
        return False

    def _account(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._hash:
            self._hash.update(chunk)
        if not self._repeats and self.data is None and not self._closed:
            if self._spool is None:
                self._spool = tempfile.TemporaryFile()  # noqa: SIM115
                self._spools.append(self._spool)
            self._spool.seek(0, os.SEEK_END)
            self._spool.write(chunk)

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the whole content in pieces of `size` bytes, or `data` in one."""
        if self.data is not None:
            yield self.data
            return
        while chunk := self.read(size):
            yield chunk

    def rewind(self) -> None:
        """Start over for another try; small content needs nothing."""
        if self.data is not None:
            return
        if self._repeats:
            if self._seekable:
                self._content.seek(0)
            self._reset(self._chunks())
            return
        rest, iterator, spool = self._rest, self._iterator, self._spool
        self._spool = None
        self._reset(_replay(spool, rest, iterator, self._limit))

    def close(self) -> None:
        """Drop the temporary copy, if there is one; the caller's file stays open.

        Further reads raise: a write still under way ends without storing anything.
        """
        self._closed = True
        for spool in self._spools:
            spool.close()


def _resumed(pieces: deque[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    while pieces:
        yield pieces.popleft()
    yield from rest


def _replay(
    spool: IO[bytes] | None, rest: bytes, iterator: Iterator[bytes], size: int
) -> Iterator[bytes]:
    if spool is not None:
        with spool:
            spool.seek(0)
            while chunk := spool.read(min(size, 1 << 20)):
                yield chunk
    if rest:
        yield rest
    yield from iterator


def seekable(content: Any) -> bool:
    """Return whether a file can be read from its start again. Raises ``ValueError`` if closed."""
    can_seek = getattr(content, "seekable", None)
    try:
        # Django's File says yes for any object it wraps: ask for the position as well
        return bool(callable(can_seek) and can_seek() and content.tell() >= 0)
    except (AttributeError, OSError):  # io.UnsupportedOperation is a ValueError too
        return False
    except ValueError as error:
        raise ValueError("The content's file is closed: nothing can be read from it.") from error


def _size_hint(content: Any) -> int | None:
    with contextlib.suppress(Exception):
        size = getattr(content, "size", None)
        if size is None and isinstance(content, io.BytesIO):
            return content.getbuffer().nbytes
        return int(size) if size is not None and not _is_text(content) else None
    return None


def _is_text(content: Any) -> bool:
    inner = getattr(content, "file", content)
    return isinstance(inner, io.TextIOBase) or "b" not in getattr(content, "mode", "b")
