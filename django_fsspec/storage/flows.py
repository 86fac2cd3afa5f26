"""Every operation of a storage, written once as a flow for sync and async callers."""

from __future__ import annotations

import errno
import functools
import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django_fsspec.adapters.base import STREAM_CHUNK, Page
from django_fsspec.adapters.errors import AnswerLost
from django_fsspec.core import names
from django_fsspec.core.content_types import guess_type
from django_fsspec.core.flows import Call, Emit, EmittingFlow, Flow, call
from django_fsspec.core.source import Source
from django_fsspec.core.stat import SAVE_TOKEN, Stat
from django_fsspec.exceptions import NotSupported, StorageError

from . import object_options
from .driver import Driver
from .open_files import DiskFile, ReadFile, WriteFile
from .options import OptionError
from .streams import Stream, open_stream

#: names tried for a file before the save fails
_MAX_CANDIDATES = 100


class StorageFlows(Driver):
    """The operations of one storage, as flows over names relative to its prefix.

    ``FSSpecStorage`` drives them by ``run()`` and ``iterate()``, or by their async twins.
    """

    # reading

    def stat(self, name: str) -> Flow[Stat]:
        """Return what the service says about a file."""
        stat: Stat = yield from call(self.adapter.stat, self.path_to_read(name))
        return replace(stat, name=name)

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
            while chunk := (yield from stream.read(STREAM_CHUNK)):
                yield Emit(chunk)
        finally:
            stream.close()

    def digest(self, name: str, algorithm: str) -> Flow[tuple[int, str]]:
        """Return size and ``"<algorithm>:<hex>"`` of the stored bytes, packed or not."""
        digest, size = hashlib.new(algorithm), 0
        stream = yield from open_stream(
            self.adapter, self.path_to_read(name), 0, None, unpack=False
        )
        try:
            while chunk := (yield from stream.read(STREAM_CHUNK)):
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
                page: Page = yield from call(
                    # links are told apart where directories are to be descended into
                    self.adapter.list,
                    directory,
                    recursive=not (links or flat),
                    after=after,
                )
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
            page: Page = yield from call(self.adapter.list, directory)
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
        page: Page = yield from call(self.adapter.list, self.directory(name), recursive=True)
        return [stat for stat in map(self.named, page.entries) if stat and not stat.is_dir]

    def walk(self, prefix: str) -> EmittingFlow:
        """Emit every file under the directory `prefix`, in the order of whole names.

        Directories that are links are not descended into, `prefix` itself may be one.
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
            below = [entry for entry in below if not (entry.is_dir and entry.is_link)]
            below.sort(key=lambda e: e.name + "/" if e.is_dir else e.name, reverse=True)
            pending += [entry.name if entry.is_dir else entry for entry in below]

    # writing

    def open(self, name: str, mode: str) -> Flow[DiskFile | ReadFile | WriteFile]:
        """Open a file for reading (1 request), or for writing: stored when it is closed."""
        plain = mode.replace("b", "").replace("t", "")
        if plain == "r" and self.adapter.opens_files:
            return DiskFile(
                self,
                name,
                mode,
                (yield from call(self.adapter.open_file, self.path_to_read(name))),
            )
        if plain == "r":
            return ReadFile(self, name, mode, (yield from self.stream(name)))
        if plain not in ("w", "x", "a", "r+", "w+", "x+", "a+"):
            raise ValueError(f"invalid mode: {mode!r}")
        self.path(name)
        self.require_writable()
        if plain[0] == "x" and (yield from self.exists(name)):
            raise FileExistsError(errno.EEXIST, "File exists", name)
        file = WriteFile(self, name, mode)
        if plain[0] in "ra":
            yield from self._fill(file, name, missing_ok=plain[0] == "a")
        return file

    def _fill(self, file: WriteFile, name: str, *, missing_ok: bool) -> Flow[None]:
        try:
            stream = yield from self.stream(name)
        except FileNotFoundError:
            if missing_ok:
                return
            file.discard()
            raise
        try:
            while chunk := (yield from stream.read(STREAM_CHUNK)):
                file.fill(chunk)
        except BaseException:
            file.discard()
            raise
        finally:
            stream.close()
        file.start(at_end=missing_ok)

    def save(
        self,
        name: str,
        content: Any,
        *,
        overwrite: bool,
        max_length: int | None = None,
        own_options: Mapping[str, Any] | None = None,
        checksum: bool | str = True,
        exact: bool = False,
    ) -> Flow[Stat]:
        """Write `content` and return what was stored, its final name included."""
        self.path(name)
        self.require_writable()
        options = self._object_options(name, content)
        self._add_own_options(options, own_options or {})
        source = Source(
            content,
            limit=self.options.chunk_size,
            checksum=(self.options.checksum if checksum is True else checksum) or None,
            gzip=options.get("content_encoding") == "gzip" and bool(self.options.gzip),
        )
        try:
            if source.in_memory:
                source.load()
            else:
                yield from call(source.load)
            if not (overwrite and source.small):
                # a request that is repeated may meet what it made before
                self._add_token(options)
            if overwrite:
                stat = yield from self._write(name, source, options)
            else:
                name, stat = yield from self._create(name, source, options, max_length, exact)
        finally:
            source.close()
        return replace(stat, name=name, content_type=stat.content_type or options["content_type"])

    def _object_options(self, name: str, content: Any) -> dict[str, Any]:
        """Return what the options of the storage say about a file; may be changed."""
        if not (self.options.object_options or self.options.gzip):
            return {"content_type": guess_type(name, content)}
        try:
            return object_options.resolve(self.options, self.adapter.dialect, name, content)
        except OptionError as error:
            raise self.errors.misconfigured(error) from None

    def _add_own_options(self, options: dict[str, Any], own: Mapping[str, Any]) -> None:
        """Add the object options of one save, which go before those of the storage."""
        if own.get("metadata") and "metadata" not in self.adapter.dialect.headers:
            raise NotSupported(f"{self.errors.where} can't keep metadata with a file.")
        metadata = {**options.get("metadata", {}), **own.get("metadata", {})}
        options |= {**own, "metadata": metadata} if metadata else own

    def _add_token(self, options: dict[str, Any]) -> None:
        """Have an object keep what its save is known by, where metadata is kept."""
        if "metadata" in self.adapter.dialect.headers:
            token = {SAVE_TOKEN: secrets.token_hex(8)}
            options["metadata"] = {**(options.get("metadata") or {}), **token}

    def _write(self, name: str, source: Source, options: Mapping[str, Any]) -> Flow[Stat]:
        path = self.path(name)
        try:
            stat: Stat = yield from call(self.adapter.write, path, source, options)
        except AnswerLost:
            own = yield from self._own(path, source, options)
            if own is None:
                raise
            return own
        return stat

    def _own(self, path: str, source: Source, options: Mapping[str, Any]) -> Flow[Stat | None]:
        """Describe what is at `path` if this save made it, though it was told otherwise."""
        token = (options.get("metadata") or {}).get(SAVE_TOKEN)
        try:
            stat: Stat = yield from call(self.adapter.stat, path)
        except (FileNotFoundError, PermissionError):
            # also for credentials that may write and not read: taken, as far as is known
            return None
        if token is None or stat.save_token != token:
            return None
        return replace(stat, checksum=source.checksum)

    def _create(
        self,
        name: str,
        source: Source,
        options: Mapping[str, Any],
        max_length: int | None,
        exact: bool,
    ) -> Flow[tuple[str, Stat]]:
        for candidate in [name] if exact else self._candidates(name, max_length):
            try:
                path = self.path(candidate)
                # a thread goes on after its caller was cancelled, who never learns the name: undo
                # deletes what it stores
                undo = functools.partial(self.adapter.delete, path)
                stat: Stat = yield Call(self.adapter.create, (path, source, options), {}, undo)
            except FileExistsError as error:
                if isinstance(error, AnswerLost):
                    own = yield from self._own(path, source, options)
                    if own is not None:
                        return candidate, own
                if exact:
                    raise
                source.rewind()
            else:
                return candidate, stat
        raise StorageError(
            f"{self.errors.where}: {_MAX_CANDIDATES} names like {name!r} are taken."
        )

    def _candidates(self, name: str, max_length: int | None) -> Iterator[str]:
        """Yield `name`, then names with a random part, as long as the service can hold.

        They fit into `max_length` characters too. Where the service can't create exclusively,
        only randomness keeps writers apart.
        """
        if self.adapter.dialect.atomic_create:
            yield name
        room = self.room(max_length)
        directory, root, extension = names.split_extension(name)
        for _ in range(_MAX_CANDIDATES):
            alternative = self._owner.get_alternative_name(root, extension)
            excess = room.excess(names.join(directory, alternative))
            if excess != (0, 0):
                root = names.shorter(root, *excess)
                if not root:
                    raise names.no_room(name)
                alternative = self._owner.get_alternative_name(root, extension)
            yield names.join(directory, alternative)

    def unique(self, name: str, max_length: int | None) -> str:
        """Return `name` with a random part, shortened to what the service can hold. No request.

        Raises ``SuspiciousFileOperation`` for a name that is unsafe, or too long all the same.
        """
        room = self.room(max_length)
        most = min(room.last_part or names.PORTABLE, names.PORTABLE)
        name = names.unique(name, room._replace(last_part=most))
        self.path(name)
        return name

    def delete(self, name: str) -> Flow[None]:
        """Delete a file; a missing one is no error. Raises ``ValueError`` for an empty name."""
        if not name:
            raise ValueError("The name must be given to delete().")
        self.require_writable()
        yield from call(self.adapter.delete, self.path(name))

    def delete_many(self, deleted: Sequence[str]) -> Flow[None]:
        """Delete files; raise ``StorageError`` for those that are left after all were tried."""
        self.require_writable()
        paths = [self.path(name) for name in deleted]
        size = max(1, self.adapter.dialect.delete_batch) * self.options.max_concurrency
        failed: dict[str, Exception] = {}
        for start in range(0, len(paths), size):
            failed |= yield from call(self.adapter.delete_many, paths[start : start + size])
        if failed:
            path, error = next(iter(failed.items()))
            summary = StorageError(
                f"{self.errors.where}: {len(failed)} of {len(paths)} files could not be deleted, "
                f"first {names.relative(self.root, path)!r}: {self.errors.hidden(str(error))}"
            )
            summary.names = [name for name, at in zip(deleted, paths, strict=True) if at in failed]
            raise summary

    def copy(
        self,
        source: str,
        target: str,
        origin: StorageFlows | None = None,
        *,
        overwrite: bool | None = None,
        exact: bool = False,
    ) -> Flow[str]:
        """Copy a file and return the copy's name.

        The service copies; where it can't, the bytes are read and written here. `origin` are the
        flows of the storage of `source` when it is another one. `overwrite` is by default the
        option `allow_overwrite`. Raises ``NotSupported`` unless both storages share a mount, and
        with `exact` ``FileExistsError`` for a name that is taken.
        """
        self.path(target)
        self.require_writable()
        if overwrite is None:
            overwrite = self.options.allow_overwrite
        if origin is not None and not self._reads_as(origin):
            raise NotSupported(f"{self.errors.where} can't copy from {origin.errors.where}.")
        path = (origin or self).path_to_read(source)
        candidates = [target] if overwrite or exact else self._candidates(target, None)
        for candidate in candidates:
            try:
                yield from call(
                    self.adapter.copy, path, self.path(candidate), exclusive=not overwrite
                )
            except FileExistsError as error:
                if isinstance(error, AnswerLost) and (
                    yield from self._is_own_copy(path, self.path(candidate))
                ):
                    return candidate
                if exact:
                    raise
                continue
            except NotSupported:
                if origin is not None:
                    raise
                return (yield from self._copy_through(source, target))
            return candidate
        raise StorageError(
            f"{self.errors.where}: {_MAX_CANDIDATES} names like {target!r} are taken."
        )

    def _is_own_copy(self, source: str, target: str) -> Flow[bool]:
        """Return whether `target` is the copy whose making was not answered.

        Services copy metadata as it is, so no token tells: a random part and the same bytes do.
        """
        if not names.has_random_part(target):
            return False
        try:
            copied: Stat = yield from call(self.adapter.stat, source)
            stat: Stat = yield from call(self.adapter.stat, target)
        except (FileNotFoundError, PermissionError):
            return False
        if copied.save_token is None and stat.etag != copied.etag:
            return False
        return (stat.size, stat.save_token) == (copied.size, copied.save_token)

    def _reads_as(self, other: StorageFlows) -> bool:
        """Whether bytes that `other` stored are what this storage would read."""
        same = self.options.gzip == other.options.gzip
        return same and self.mount.pool is other.mount.pool

    def _copy_through(self, source: str, target: str) -> Flow[str]:
        # spooled: the stream must outlive retries under other names
        file = WriteFile(self, target, "wb")
        try:
            yield from self._fill(file, source, missing_ok=False)
            stat = yield from self.save(
                target, file.spooled, overwrite=self.options.allow_overwrite, checksum=False
            )
        finally:
            file.discard()
        return stat.name

    def sign(
        self, name: str, expires_in: int, *, for_upload: bool, sent: Mapping[str, Any]
    ) -> Flow[str | None]:
        """Return a URL that the service signs, or None where it signs none."""
        dialect = self.adapter.dialect
        if not (dialect.signs_put if for_upload else dialect.signs_get):
            return None
        url: str | None = yield from call(
            self.adapter.sign, self.path(name), expires_in, for_upload=for_upload, headers=sent
        )
        return url

    def signature_life(self, expires_in: int) -> Flow[float]:
        """Return the seconds that a URL signed now is valid; see ``Adapter.signature_life()``."""
        life: float = yield from call(self.adapter.signature_life, expires_in)
        return life
