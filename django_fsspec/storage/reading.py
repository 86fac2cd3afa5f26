"""Reading flows: every way to look at what is stored, written once."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace

from django_fsspec.adapters.base import STREAM_CHUNK, Page
from django_fsspec.core import names
from django_fsspec.core.flows import Emit, EmittingFlow, Flow, call
from django_fsspec.core.stat import Stat

from .driver import Driver
from .streams import Stream, open_stream


class Reads(Driver):
    """The operations that change nothing."""

    def stat(self, name: str) -> Flow[Stat]:
        """Return what the backend tells about a file."""
        stat: Stat = yield from call(self.adapter.stat, self.path(name))
        return replace(stat, name=name)

    def exists(self, name: str) -> Flow[bool]:
        """Return whether there is a file; a directory is none."""
        found: bool = yield from call(self.adapter.exists, self.path(name))
        return found

    def size(self, name: str) -> Flow[int | None]:
        """Return a file's size in bytes as stored, None where the backend does not tell."""
        size: int | None = yield from call(self.adapter.size, self.path(name))
        return size

    def bounds(
        self, name: str, start: int | None, end: int | None
    ) -> Flow[tuple[int, int | None]]:
        """Return a range as offsets from the beginning; counting from the end asks the size."""
        if (start is not None and start < 0) or (end is not None and end < 0):
            size = (yield from self.stat(name)).size or 0
            first, last, _ = slice(start, end).indices(size)
            return first, max(first, last)
        return start or 0, end

    def content(self, name: str, start: int | None, end: int | None) -> Flow[bytes]:
        """Return bytes `start` to `end`, unpacked when they were gzipped on write."""
        first, last = yield from self.bounds(name, start, end)
        if last is not None and last <= first:
            return b""
        if not self.options.gzip:
            data: bytes = yield from call(self.adapter.read, self.path(name), first, last)
            return data
        stream = yield from self.stream(name, first, last)
        try:
            pieces = []
            while piece := (yield from stream.read(STREAM_CHUNK)):
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            stream.close()

    def stream(self, name: str, start: int | None = None, end: int | None = None) -> Flow[Stream]:
        """Open bytes `start` to `end` for reading in order."""
        first, last = yield from self.bounds(name, start, end)
        unpack = bool(self.options.gzip)
        stream = yield from open_stream(self.adapter, self.path(name), first, last, unpack=unpack)
        return stream

    def chunks(self, name: str, start: int | None, end: int | None) -> EmittingFlow:
        """Emit bytes `start` to `end` in pieces."""
        first, last = yield from self.bounds(name, start, end)
        if last is not None and last <= first:
            return
        stream = yield from self.stream(name, first, last)
        try:
            while chunk := (yield from stream.read(STREAM_CHUNK)):
                yield Emit(chunk)
        finally:
            stream.close()

    def digest(self, name: str, algorithm: str) -> Flow[tuple[int, str]]:
        """Return size and ``"<algorithm>:<hex>"`` of the stored bytes, packed or not."""
        found, size = hashlib.new(algorithm), 0
        stream = yield from open_stream(self.adapter, self.path(name), 0, None, unpack=False)
        try:
            while chunk := (yield from stream.read(STREAM_CHUNK)):
                found.update(chunk)
                size += len(chunk)
        finally:
            stream.close()
        return size, f"{algorithm}:{found.hexdigest()}"

    def listdir(self, name: str) -> Flow[tuple[list[str], list[str]]]:
        """Return the names of directories and of files directly in a directory."""
        directory = self.directory(name)
        directories: list[str] = []
        files: list[str] = []
        after = None
        while True:
            try:
                page: Page = yield from call(self.adapter.list, directory, after=after)
            except FileNotFoundError:
                if directory == self.root:
                    return directories, files
                raise
            for entry in page.entries:
                label = entry.name.rpartition("/")[2]
                if label and not label.endswith(names.PARTIAL_SUFFIX):
                    (directories if entry.is_dir else files).append(label)
            after = page.next
            if after is None:
                break
        if self.adapter.dialect.flat and directory != self.root and not (directories or files):
            # where directories are but parts of names, an empty one does not exist
            raise FileNotFoundError(
                errno.ENOENT, f"No such directory in {self.faults.where}", name
            )
        return directories, files

    def walk(self, prefix: str) -> EmittingFlow:
        """Emit every file under the directory `prefix`, in the order of whole names."""
        pending: list[str | Stat] = [self.directory(prefix)]
        while pending:
            directory = pending.pop()
            if isinstance(directory, Stat):
                if (found := self.named(directory)) is not None:
                    yield Emit(found)
                continue
            after = None
            below: list[Stat] = []
            while True:
                try:
                    page: Page = yield from call(
                        self.adapter.list, directory, recursive=True, after=after
                    )
                except FileNotFoundError:
                    break
                kept = [e for e in page.entries if not e.name.endswith(names.PARTIAL_SUFFIX)]
                if self.adapter.dialect.flat:
                    for stat in filter(None, map(self.named, kept)):
                        yield Emit(stat)
                else:
                    below += kept
                after = page.next
                if after is None:
                    break
            # a directory sorts as the names inside it do, with its slash
            below.sort(key=lambda e: e.name + "/" if e.is_dir else e.name, reverse=True)
            pending += [entry.name if entry.is_dir else entry for entry in below]
