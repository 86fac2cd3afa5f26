"""Streams over stored objects, decompressed where they were gzipped on write."""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING

from django_fsspec.adapters.base import (
    STREAM_BATCH,
    STREAM_CHUNK,
    Adapter,
    PiecewiseReader,
    Reader,
    joined,
)
from django_fsspec.core.flows import EmittingFlow, Flow, call, emit_all
from django_fsspec.exceptions import StorageError

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat


class Stream:
    """The bytes of one object in order, unpacked when they were gzipped on write.

    ``read()`` is a flow: the storage drives it for sync and async callers alike.
    """

    def __init__(self, reader: Reader, *, unpack: bool, limit: int | None = None) -> None:
        self._reader = reader
        self._left = limit
        self.stat: Stat = reader.stat
        self.packed = unpack and reader.stat.content_encoding == "gzip"
        #: whether opening bytes in the middle means reading all before them
        self.sequential = reader.sequential
        self._decoder = zlib.decompressobj(wbits=31)
        self._rest = b""
        self._fills = reader.fills and not self.packed
        # the reader, where it can give several pieces at once of what is read here
        self._piecewise = (
            reader if isinstance(reader, PiecewiseReader) and not self.packed else None
        )
        #: bytes to read at once where all of them are wanted
        self.batch = STREAM_BATCH if self._fills else STREAM_CHUNK
        if self._piecewise is not None and not self._fills:
            # small, since every open stream may hold a batch while it waits for the event loop
            self.batch = 2 * STREAM_CHUNK
        #: the unbuffered file of this machine whose bytes these are; None where there is none
        self.file = None if self.packed else reader.file
        #: whether the end was reached, as far as that is known before b"" is read
        self.at_end = False

    def pieces(self) -> EmittingFlow:
        """Emit all that is left. The first pieces come early."""
        size = STREAM_CHUNK
        while not self.at_end:
            yield from emit_all((yield from self.several(size)))
            size = self.batch

    def several(self, size: int) -> Flow[list[bytes]]:
        """Return up to `size` bytes in pieces by one call of the reader; [] at the end."""
        if (piece := None if self.packed else self._reader.at_hand(size)) is not None:
            self.at_end = len(piece) < size
            return [piece] if piece else []
        if self._piecewise is not None:
            pieces: list[bytes] = yield from call(self._piecewise.pieces, size)
            self.at_end = sum(map(len, pieces)) < size
            return pieces
        piece = yield from self.read(size)
        self.at_end = not piece
        return [piece] if piece else []

    def rest(self) -> Flow[bytes]:
        """Return all that is left."""
        data = None if self.packed else self._reader.at_hand(sys.maxsize)
        if data is None and self._piecewise is not None:
            data = yield from call(self._piecewise.rest)
        if data is None:
            pieces = []
            while piece := (yield from self.read(self.batch)):
                pieces.append(piece)
            data = joined(pieces)
        self.at_end = True
        return data

    def read(self, size: int) -> Flow[bytes]:
        """Return up to `size` bytes, b"" at the end."""
        if not self.packed:
            chunk = yield from self._stored(size)
            self.at_end = self._fills and len(chunk) < size
            return chunk
        if self._left is not None:
            size = min(size, self._left)
        if size == 0:
            return b""
        while not self._rest:
            packed = yield from self._stored(STREAM_CHUNK)
            if not packed:
                if not self._decoder.eof:
                    raise self._broken("it ends before its end mark")
                break
            self._rest = self._unpacked(packed)
        piece, self._rest = self._rest[:size], self._rest[size:]
        if self._left is not None:
            self._left -= len(piece)
        return piece

    def _stored(self, size: int) -> Flow[bytes]:
        """Return up to `size` of the stored bytes."""
        chunk = self._reader.at_hand(size)
        if chunk is None:
            chunk = yield from call(self._reader.read, size)
        return chunk

    def _unpacked(self, packed: bytes) -> bytes:
        """Unpack some bytes, of as many members as they hold; zeros may follow the last."""
        pieces = []
        while packed:
            if self._decoder.eof:
                packed = packed.lstrip(b"\0")
                if not packed:
                    break
                self._decoder = zlib.decompressobj(wbits=31)
            try:
                pieces.append(self._decoder.decompress(packed))
            except zlib.error as error:
                raise self._broken(str(error)) from error
            packed = self._decoder.unused_data
        return b"".join(pieces)

    def _broken(self, reason: str) -> StorageError:
        return StorageError(
            f"{self.stat.name!r} is stored with the encoding gzip, but is no whole gzip file: "
            f"{reason}. Store it again."
        )

    def skip(self, size: int) -> Flow[None]:
        """Leave out `size` bytes."""
        limit, self._left = self._left, None
        while size > 0 and (piece := (yield from self.read(min(size, STREAM_CHUNK)))):
            size -= len(piece)
        self._left = limit

    def close(self) -> None:
        """Release the connection; never waits."""
        self._reader.close()


def open_stream(
    adapter: Adapter, path: str, start: int, end: int | None, *, unpack: bool
) -> Flow[Stream]:
    """Open bytes `start` to `end` of an object; of what was gzipped, of the unpacked bytes."""
    stream = Stream((yield from call(adapter.reader, path, start, end)), unpack=unpack)
    if stream.packed and (start or end is not None):
        stream.close()
        limit = None if end is None else max(0, end - start)
        stream = Stream((yield from call(adapter.reader, path, 0, None)), unpack=True, limit=limit)
        yield from stream.skip(start)
    return stream
