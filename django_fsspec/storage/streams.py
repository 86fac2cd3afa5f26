"""Streams over stored objects, decompressed where they were gzipped on write."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from django_fsspec.adapters.base import STREAM_CHUNK, Adapter, Reader
from django_fsspec.core.flows import Flow, call

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
        self._decoder = zlib.decompressobj(wbits=31) if self.packed else None
        self._rest = b""

    def read(self, size: int) -> Flow[bytes]:
        """Return up to `size` bytes, b"" at the end."""
        if self._decoder is None:
            chunk: bytes = yield from call(self._reader.read, size)
            return chunk
        if self._left is not None:
            size = min(size, self._left)
        if size == 0:
            return b""
        while not self._rest and not self._decoder.eof:
            packed: bytes = yield from call(self._reader.read, STREAM_CHUNK)
            if not packed:
                raise EOFError("A gzipped object ended before its end mark.")
            self._rest = self._decoder.decompress(packed)
        piece, self._rest = self._rest[:size], self._rest[size:]
        if self._left is not None:
            self._left -= len(piece)
        return piece

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
