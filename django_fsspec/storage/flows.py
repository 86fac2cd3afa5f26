"""One alias' filesystem as flows over names: every storage operation, written once."""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.core.exceptions import SuspiciousFileOperation

from django_fsspec.adapters.base import STREAM_CHUNK
from django_fsspec.core import names
from django_fsspec.core.flows import Call, Flow, call
from django_fsspec.core.source import Source
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported, StorageError

from . import object_options
from .open_files import DiskFile, ReadFile, WriteFile
from .options import OptionError
from .reading import Reads

_MAX_CANDIDATES = 100


class Backend(Reads):
    """The filesystem behind a storage, addressed by names relative to its prefix.

    Built without I/O; the filesystem itself is built when first used.
    """

    def open(self, name: str, mode: str) -> Flow[DiskFile | ReadFile | WriteFile]:
        """Open a file for reading (1 request), or for writing: stored when it is closed."""
        plain = mode.replace("b", "").replace("t", "")
        if plain == "r" and self.adapter.opens_files:
            return DiskFile(
                self, name, mode, (yield from call(self.adapter.open_file, self.path(name)))
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
        told: Mapping[str, Any] | None = None,
        checksum: bool | str = True,
        exact: bool = False,
    ) -> Flow[Stat]:
        """Write `content` and return what was stored, its final name included."""
        self.path(name)
        self.require_writable()
        try:
            options = object_options.resolve(self.options, self.adapter.dialect, name, content)
        except OptionError as error:
            raise self.faults.misconfigured(error) from None
        self._tell(options, told or {})
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
            if overwrite:
                stat: Stat = yield from call(self.adapter.write, self.path(name), source, options)
            else:
                name, stat = yield from self._create(name, source, options, max_length, exact)
        finally:
            source.close()
        return replace(stat, name=name, content_type=stat.content_type or options["content_type"])

    def _tell(self, options: dict[str, Any], told: Mapping[str, Any]) -> None:
        """Add what one save says of itself to what the storage says of all."""
        if told.get("metadata") and "metadata" not in self.adapter.dialect.headers:
            raise NotSupported(f"{self.faults.where} can't keep metadata with a file.")
        metadata = {**options.get("metadata", {}), **told.get("metadata", {})}
        options |= {**told, "metadata": metadata} if metadata else told

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
                # a cancelled caller never learns the name: what a thread stores then must go
                undo = functools.partial(self.adapter.delete, path)
                stat: Stat = yield Call(self.adapter.create, (path, source, options), {}, undo)
            except FileExistsError:
                if exact:
                    raise
                source.rewind()
            else:
                return candidate, stat
        raise StorageError(
            f"{self.faults.where}: {_MAX_CANDIDATES} names like {name!r} are taken."
        )

    def _candidates(self, name: str, max_length: int | None) -> Iterator[str]:
        """Yield `name`, then names with a random part that fit into `max_length`.

        Where the backend can't create exclusively, randomness alone keeps writers apart.
        """
        if self.adapter.dialect.atomic_create:
            yield names.truncated(name, max_length)
        directory, root, extension = names.split_extension(name)
        for _ in range(_MAX_CANDIDATES):
            alternative = self._owner.get_alternative_name(root, extension)
            excess = len(names.join(directory, alternative)) - (max_length or len(name) + 1000)
            if excess > 0:
                root = root[:-excess]
                if not root:
                    raise SuspiciousFileOperation(
                        f"Storage can not find an available filename for {name!r}. Please make "
                        'sure that the corresponding file field allows sufficient "max_length".'
                    )
                alternative = self._owner.get_alternative_name(root, extension)
            yield names.join(directory, alternative)

    def delete(self, name: str) -> Flow[None]:
        """Delete a file; a missing one is no error."""
        self.require_writable()
        yield from call(self.adapter.delete, self.path(name))

    def delete_many(self, given: Sequence[str]) -> Flow[None]:
        """Delete files; after all were tried ``StorageError`` tells of those that are left."""
        self.require_writable()
        paths = [self.path(name) for name in given]
        size = max(1, self.adapter.dialect.delete_batch) * self.options.max_concurrency
        failed: dict[str, Exception] = {}
        for start in range(0, len(paths), size):
            failed |= yield from call(self.adapter.delete_many, paths[start : start + size])
        if failed:
            path, error = next(iter(failed.items()))
            told = StorageError(
                f"{self.faults.where}: {len(failed)} of {len(paths)} files could not be deleted, "
                f"first {names.relative(self.root, path)!r}: {self.faults.hidden(str(error))}"
            )
            told.names = [name for name, at in zip(given, paths, strict=True) if at in failed]
            raise told

    def copy(
        self,
        source: str,
        target: str,
        origin: Backend | None = None,
        *,
        overwrite: bool | None = None,
        exact: bool = False,
    ) -> Flow[str]:
        """Copy inside the backend, or through here where it can't; return the copy's name.

        `origin` is where `source` lies when not here: on the same mount, else ``NotSupported``.
        `overwrite` is by default as the options say; `exact` takes no other name.
        """
        self.require_writable()
        if overwrite is None:
            overwrite = self.options.allow_overwrite
        if origin is not None and not self._reads_as(origin):
            raise NotSupported(f"{self.faults.where} can't copy from {origin.faults.where}.")
        path = (origin or self).path(source)
        candidates = [target] if overwrite or exact else self._candidates(target, None)
        for candidate in candidates:
            try:
                yield from call(
                    self.adapter.copy, path, self.path(candidate), exclusive=not overwrite
                )
            except FileExistsError:
                if exact:
                    raise
                continue
            except NotSupported:
                if origin is not None:
                    raise
                return (yield from self._copy_through(source, target))
            return candidate
        raise StorageError(
            f"{self.faults.where}: {_MAX_CANDIDATES} names like {target!r} are taken."
        )

    def _reads_as(self, other: Backend) -> bool:
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
        """Return the backend's own signed URL, or None where it has none."""
        dialect = self.adapter.dialect
        if not (dialect.signs_put if for_upload else dialect.signs_get):
            return None
        url: str | None = yield from call(
            self.adapter.sign, self.path(name), expires_in, for_upload=for_upload, headers=sent
        )
        return url
