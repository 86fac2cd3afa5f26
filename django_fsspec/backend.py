"""One alias' filesystem as flows over names: every storage operation, written once."""

from __future__ import annotations

import errno
import functools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation

from . import flows, headers, names
from .adapters.base import STREAM_CHUNK, Adapter, Limits, Page
from .content import Source
from .exceptions import NotSupported, StorageError
from .faults import Translator, alias_of
from .files import ReadFile, Stream, WriteFile, open_stream
from .filesystems import Mount, check_absolute, mount, root_of
from .flows import Call, Emit, EmittingFlow, Flow, call
from .options import OptionError, StorageOptions
from .stat import Stat

T = TypeVar("T")

_MAX_CANDIDATES = 100


def _or(value: int | None, default: int | None) -> int | None:
    return default if value is None else value


class Backend:
    """The filesystem behind a storage, addressed by names relative to its prefix.

    Built without I/O; the filesystem itself is built when first used.
    """

    def __init__(self, owner: Any, options: StorageOptions, given: Mapping[str, Any]) -> None:
        self._owner = owner
        self._given = given
        self.options = options

    @property
    def alias(self) -> str | None:
        """The alias in ``settings.STORAGES``, where there is one."""
        return alias_of(self._owner, self._given)

    @property
    def faults(self) -> Translator:
        options = self.options
        return Translator(options.fs_options, self.alias, options.timeout, options.retries)

    @functools.cached_property
    def mount(self) -> Mount:
        try:
            mounted = mount(self.options)
            headers.check_options(self.options, mounted.adapter.dialect)
        except OptionError as error:
            raise self.faults.misconfigured(error) from error.__cause__
        return mounted

    def validate(self) -> None:
        """Raise ``OptionError`` for options that can't work; no I/O."""
        mounted = mount(self.options)
        headers.check_options(self.options, mounted.adapter.dialect)
        root_of(mounted, self.options)
        check_absolute(mounted, self.options)

    @functools.cached_property
    def root(self) -> str:
        try:
            return root_of(self.mount, self.options)
        except OptionError as error:
            raise self.faults.misconfigured(error) from None

    @functools.cached_property
    def adapter(self) -> Adapter:
        options = self.options
        return self.mount.connect(
            Limits(
                chunk_size=options.chunk_size,
                max_concurrency=options.max_concurrency,
                timeout=options.timeout,
                retries=options.retries,
                file_mode=_or(options.file_permissions_mode, settings.FILE_UPLOAD_PERMISSIONS),
                directory_mode=_or(
                    options.directory_permissions_mode,
                    settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS,
                ),
            )
        )

    def path(self, name: str) -> str:
        """Return where the object of a valid name lies inside the filesystem."""
        name = names.check_name(name)
        path = names.join(self.root, name)
        dialect = self.adapter.dialect
        names.check_fits(
            name,
            path,
            max_key=dialect.max_key_bytes,
            max_segment=dialect.max_segment_bytes,
            forbidden=dialect.forbidden,
        )
        return path

    def directory(self, name: str) -> str:
        """Return where the directory `name` lies inside the filesystem; "" is the root."""
        return names.join(self.root, names.check_directory(name))

    def named(self, stat: Stat) -> Stat | None:
        """Return `stat` under its name in the storage, or None when it lies outside."""
        name = names.relative(self.root, stat.name)
        return None if name is None else replace(stat, name=name)

    # drivers

    def perform(self, step: Call) -> Any:
        """Do one call for a sync caller, its errors translated."""
        try:
            return flows.perform(step, self.adapter.loop)
        except Exception as error:
            raise self._translated(error, step)  # noqa: B904 - the translation sets the cause

    async def aperform(self, step: Call) -> Any:
        """Do one call for an async caller, its errors translated."""
        try:
            return await flows.aperform(step, self.adapter.loop)
        except Exception as error:
            raise self._translated(error, step)  # noqa: B904 - the translation sets the cause

    def _translated(self, error: Exception, step: Call) -> Exception:
        path = step.args[0] if step.args and isinstance(step.args[0], str) else None
        name = names.relative(self.root, path) if path is not None else None
        return self.faults.translate(error, self.adapter.classify(error), name)

    def run(self, flow: Flow[T]) -> T:
        """Drive `flow` for a sync caller."""
        return flows.run(flow, self.perform)

    async def arun(self, flow: Flow[T]) -> T:
        """See run()."""
        return await flows.arun(flow, self.aperform)

    def iterate(self, flow: EmittingFlow) -> Iterator[Any]:
        """Drive `flow` for a sync caller, yielding what it emits."""
        return flows.iterate(flow, self.perform)

    def aiterate(self, flow: EmittingFlow) -> AsyncIterator[Any]:
        """See iterate()."""
        return flows.aiterate(flow, self.aperform)

    # reading

    def stat(self, name: str) -> Flow[Stat]:
        stat: Stat = yield from call(self.adapter.stat, self.path(name))
        return replace(stat, name=name)

    def exists(self, name: str) -> Flow[bool]:
        try:
            yield from call(self.adapter.stat, self.path(name))
        except FileNotFoundError:
            return False
        return True

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
        first, last = yield from self.bounds(name, start, end)
        unpack = bool(self.options.gzip)
        stream = yield from open_stream(self.adapter, self.path(name), first, last, unpack=unpack)
        return stream

    def chunks(self, name: str, start: int | None, end: int | None) -> EmittingFlow:
        stream = yield from self.stream(name, start, end)
        try:
            while chunk := (yield from stream.read(STREAM_CHUNK)):
                yield Emit(chunk)
        finally:
            stream.close()

    def open(self, name: str, mode: str) -> Flow[ReadFile | WriteFile]:
        plain = mode.replace("b", "").replace("t", "")
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

    def listdir(self, name: str) -> Flow[tuple[list[str], list[str]]]:
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

    # writing

    def require_writable(self) -> None:
        if not self.adapter.dialect.writable:
            raise NotSupported(
                f"{self.faults.where} is read-only: files can't be saved, changed or deleted."
            )

    def save(
        self,
        name: str,
        content: Any,
        *,
        overwrite: bool,
        max_length: int | None = None,
        told: Mapping[str, Any] | None = None,
        exact: bool = False,
    ) -> Flow[Stat]:
        """Write `content` and return what was stored, its final name included."""
        self.path(name)
        self.require_writable()
        try:
            options = headers.object_options(self.options, self.adapter.dialect, name, content)
        except OptionError as error:
            raise self.faults.misconfigured(error) from None
        options |= told or {}
        source = Source(
            content,
            limit=self.options.chunk_size,
            checksum=self.options.checksum,
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
                stat: Stat = yield from call(self.adapter.create, self.path(candidate), source, options)
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
        self.require_writable()
        yield from call(self.adapter.delete, self.path(name))

    def delete_many(self, given: Sequence[str]) -> Flow[None]:
        self.require_writable()
        paths = [self.path(name) for name in given]
        size = max(1, self.adapter.dialect.delete_batch) * self.options.max_concurrency
        failed: dict[str, Exception] = {}
        for start in range(0, len(paths), size):
            failed |= yield from call(self.adapter.delete_many, paths[start : start + size])
        if failed:
            path, error = next(iter(failed.items()))
            raise StorageError(
                f"{self.faults.where}: {len(failed)} of {len(paths)} files could not be deleted, "
                f"first {names.relative(self.root, path)!r}: {self.faults.hidden(str(error))}"
            )

    def copy(self, source: str, target: str) -> Flow[str]:
        """Copy inside the backend, or through here where it can't; return the copy's name."""
        self.require_writable()
        overwrite = self.options.allow_overwrite
        path = self.path(source)
        candidates = [target] if overwrite else self._candidates(target, None)
        for candidate in candidates:
            try:
                yield from call(
                    self.adapter.copy, path, self.path(candidate), exclusive=not overwrite
                )
            except FileExistsError:
                continue
            except NotSupported:
                return (yield from self._copy_through(source, target))
            return candidate
        raise StorageError(
            f"{self.faults.where}: {_MAX_CANDIDATES} names like {target!r} are taken."
        )

    def _copy_through(self, source: str, target: str) -> Flow[str]:
        # spooled: the stream must outlive retries under other names
        file = WriteFile(self, target, "wb")
        try:
            yield from self._fill(file, source, missing_ok=False)
            stat = yield from self.save(
                target, file.spooled, overwrite=self.options.allow_overwrite
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
