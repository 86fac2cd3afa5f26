"""Reading and listing: the operations of a storage that change nothing, as flows."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace
from typing import Any

from django_fsspec.adapters.base import Page
from django_fsspec.core import names
from django_fsspec.core.flows import Emit, EmittingFlow, Flow, call
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import StorageError

from .driver import Driver
from .streams import Stream, open_stream


class ReadingFlows(Driver):
    """The operations that read files and list directories."""

    def stat(self, name: str) -> Flow[Stat]:
        """Return what the service says about a file."""
        stat: Stat = yield from call(self.adapter.stat, self.path_to_read(name))
        return replace(stat, name=str(name))

    def exists(self, name: str) -> Flow[bool]:
        """Return whether there is a file; a directory is none."""
        if not name:
            return False
        exists: bool = yield from call(self.adapter.exists, self.path(name))
        return exists

    def size(self, name: str) -> Flow[int | None]:
        """Return a file's size in bytes as stored, None where the service does not say it."""
        size: int | None = yield from call(self.adapter.size, self.path_to_read(name))
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
            data: bytes = yield from call(self.adapter.read, self.path_to_read(name), first, last)
            return data
        stream = yield from self.stream(name, first, last)
        try:
            return (yield from stream.rest())
        finally:
            stream.close()

    def stream(self, name: str, start: int | None = None, end: int | None = None) -> Flow[Stream]:
        """Open bytes `start` to `end` for reading in order."""
        first, last = yield from self.bounds(name, start, end)
        unpack = bool(self.options.gzip)
        stream = yield from open_stream(
            self.adapter, self.path_to_read(name), first, last, unpack=unpack
        )
        return stream

    def chunks(self, name: str, start: int | None, end: int | None) -> EmittingFlow:
        """Emit bytes `start` to `end` in pieces."""
        first, last = yield from self.bounds(name, start, end)
        if last is not None and last <= first:
            return
        stream = yield from self.stream(name, first, last)
        try:
            yield from stream.pieces()
        finally:
            stream.close()

    def digest(self, name: str, algorithm: str) -> Flow[tuple[int, str]]:
        """Return size and ``"<algorithm>:<hex>"`` of the stored bytes, packed or not."""
        digest, size = hashlib.new(algorithm), 0
        stream = yield from open_stream(
            self.adapter, self.path_to_read(name), 0, None, unpack=False
        )
        try:
            while not stream.at_end:
                for chunk in (yield from stream.several(stream.batch)):
                    digest.update(chunk)
                    size += len(chunk)
        finally:
            stream.close()
        return size, f"{algorithm}:{digest.hexdigest()}"

    def listdir(self, name: str, *, links: bool = True) -> Flow[tuple[list[str], list[str]]]:
        """Return the names of directories and of files directly in a directory.

        Without `links`, directories that are links are left out.
        """
        directory = self.directory(name)
        flat = self.adapter.dialect.flat
        directories: dict[str, None] = {}
        files: list[str] = []
        after, marked = None, False
        while True:
            try:
                # links are told apart where directories are to be descended into
                page = yield from self._page(directory, recursive=not (links or flat), after=after)
            except FileNotFoundError:
                if directory == self.root:
                    return list(directories), files
                raise
            for entry in page.entries:
                if entry.name == directory:
                    marked = True
                    continue
                label = entry.name.rpartition("/")[2]
                linked_directory = entry.is_dir and entry.is_link and not links
                if label and not label.endswith(names.PARTIAL_SUFFIX) and not linked_directory:
                    if entry.is_dir:
                        # once, also where a marker and the files in it are listed
                        directories[label] = None
                    else:
                        files.append(label)
            after = page.next
            if after is None:
                break
        if flat and directory != self.root and not (directories or files or marked):
            # where directories are but parts of names, an empty one does not exist
            raise FileNotFoundError(
                errno.ENOENT, f"No such directory in {self.errors.where}", name
            )
        return list(directories), files

    def is_directory(self, name: str) -> Flow[bool]:
        """Return whether there is a directory; the root always is. Lists at most one page."""
        directory = self.directory(name)
        if directory == self.root:
            return True
        try:
            page = yield from self._page(directory)
        except FileNotFoundError:
            return False
        # where directories are but parts of names, an empty one does not exist
        return bool(page.entries) or not self.adapter.dialect.flat

    def is_link(self, name: str) -> Flow[bool]:
        """Return whether a directory or file is a symbolic link itself."""
        linked: bool = yield from call(self.adapter.is_link, self.directory(name))
        return linked

    def files_in(self, name: str) -> Flow[list[Stat]]:
        """Describe the files directly in a directory, and tell which are links.

        For filesystems with directories: a flat one lists the whole tree.
        """
        page = yield from self._page(self.directory(name), recursive=True)
        return [stat for stat in map(self.named, page.entries) if stat and not stat.is_dir]

    def walk(self, prefix: str) -> EmittingFlow:
        """Emit every file under the directory `prefix`, in the order of whole names.

        Directories that are links are not descended into, `prefix` itself may be one. Left out is
        what lies in more than ``names.MAX_DEPTH`` directories.
        """
        pending: list[str | Stat] = [self.directory(prefix)]
        while pending:
            directory = pending.pop()
            if isinstance(directory, Stat):
                if (stat := self.named(directory)) is not None:
                    yield Emit(stat)
                continue
            after = None
            below: list[Stat] = []
            while True:
                try:
                    page = yield from self._page(directory, recursive=True, after=after)
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
            below = [entry for entry in below if not entry.is_dir or self._descends(entry)]
            below.sort(key=lambda e: e.name + "/" if e.is_dir else e.name, reverse=True)
            pending += [entry.name if entry.is_dir else entry for entry in below]

    def _descends(self, directory: Stat) -> bool:
        """Return whether ``walk()`` lists a directory that it met."""
        name = names.relative(self.root, directory.name) or ""
        return not directory.is_link and name.count("/") < names.MAX_DEPTH

    def _page(self, directory: str, *, recursive: bool = False, after: Any = None) -> Flow[Page]:
        """Return a page of a listing; what a server lists besides the directory is left out.

        Raises ``StorageError`` for a service that gives the same page again.
        """
        page: Page = yield from call(
            self.adapter.list, directory, recursive=recursive, after=after
        )
        if after is not None and page.next == after:
            raise StorageError(
                f"{self.errors.where}: the service lists one page of "
                f"{names.relative(self.root, directory) or '/'!r} again and again."
            )
        tree = recursive and self.adapter.dialect.flat
        inside = names.relative if tree else names.label_in
        return replace(
            page,
            entries=[
                entry
                for entry in page.entries
                if inside(directory, entry.name) is not None
                or (entry.name == directory and not recursive)
            ],
        )
