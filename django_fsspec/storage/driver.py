"""The filesystem of a storage, and the sync and async driver that run flows on it."""

from __future__ import annotations

import contextlib
import errno
import functools
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self, TypeAlias, TypeVar

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.dispatch import Signal

from django_fsspec import signals
from django_fsspec.adapters.base import Adapter, Limits
from django_fsspec.core import flows, names
from django_fsspec.core.flows import Call, EmittingFlow, Flow
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported, StorageError

from . import object_options, telemetry
from .aliases import alias_of
from .error_translation import ErrorTranslator, clear_locals
from .filesystems import mount, outline
from .mounts import Mount, Outline, check_absolute, root_of
from .options import Arguments, OptionError, StorageOptions
from .prefixes import PrefixCallable, check_plain

T = TypeVar("T")
#: name and size, None where that is not known without a request
_File: TypeAlias = "tuple[str, int | None]"


def _or_default(value: int | None, default: int | None) -> int | None:
    return default if value is None else value


class Driver:
    """The filesystem behind a storage, addressed by names relative to its prefix.

    Built without I/O; the filesystem itself is built when first used.
    """

    def __init__(
        self,
        owner: Any,
        options: StorageOptions,
        arguments: Arguments,
        base: Self | None = None,
    ) -> None:
        self._owner = owner
        self._arguments = arguments
        self.options = options
        #: that of no tenant, where a callable told the prefix
        self._base = base
        #: where the object of a valid name lies inside the filesystem
        self.path = functools.lru_cache(maxsize=1024)(self._path)

    def under(self, prefix: str) -> Self:
        """Return the same with a prefix that a callable told; they share one adapter."""
        options = replace(self.options, prefix=prefix)
        return type(self)(self._owner, options, self._arguments, base=self)

    @property
    def tenant_folder(self) -> str:
        """The prefix with its slash where a callable told it, else ""."""
        return f"{self.options.prefix}/" if self._base and self.options.prefix else ""

    @property
    def alias(self) -> str | None:
        """The alias in ``settings.STORAGES``, where there is one."""
        return alias_of(self._owner, self._arguments)

    @property
    def errors(self) -> ErrorTranslator:
        """The translator of errors, which names this storage in messages."""
        options = self.options
        return ErrorTranslator(options.fs_options, self.alias, options.timeout, options.retries)

    @functools.cached_property
    def mount(self) -> Mount:
        """The filesystem, shared with every storage of the same options; built without I/O."""
        if self._base is not None:
            return self._base.mount
        try:
            mounted = mount(self.options)
            object_options.check_options(self.options, mounted.dialect)
        except OptionError as error:
            raise self.errors.misconfigured(error) from error.__cause__
        return mounted

    def validate(self) -> None:
        """Raise ``OptionError`` for options that can't work; no I/O.

        Raises ``ImproperlyConfigured`` for a storage of static files without STATIC_ROOT.
        """
        if self._base is not None:
            self._base.validate()
            return
        mounted = outline(self.options)
        object_options.check_options(self.options, mounted.dialect)
        told = PrefixCallable.of(self.options.prefix)
        if told is not None:
            told.check()
        else:
            check_plain(str(self.options.prefix))
            root_of(mounted, str(self.options.prefix), self._owner._default_root)
        check_absolute(mounted, "" if told else str(self.options.prefix))

    @functools.cached_property
    def base_root(self) -> str:
        """The path inside the filesystem under which prefixes lie that a callable tells."""
        try:
            return root_of(self.outline, "", self._owner._default_root, is_base=True)
        except OptionError as error:
            raise self.errors.misconfigured(error) from None

    @functools.cached_property
    def outline(self) -> Outline | Mount:
        """What is known of the filesystem, without importing its package where possible."""
        if self._base is not None:
            return self._base.outline
        try:
            return outline(self.options)
        except OptionError as error:
            raise self.errors.misconfigured(error) from error.__cause__

    @functools.cached_property
    def root(self) -> str:
        """The path inside the filesystem under which all names lie."""
        if self._base is not None:
            prefix, base_root = self.options.prefix, self._base.base_root
            return names.join(base_root, str(prefix)) if prefix else base_root
        if PrefixCallable.of(self.options.prefix) is not None:
            raise RuntimeError("The prefix is to be told first: there would be files of all.")
        try:
            return root_of(self.outline, str(self.options.prefix), self._owner._default_root)
        except OptionError as error:
            raise self.errors.misconfigured(error) from None

    @functools.cached_property
    def adapter(self) -> Adapter:
        """The verbs of the filesystem."""
        if self._base is not None:
            return self._base.adapter
        options = self.options
        return self.mount.connect(
            Limits(
                chunk_size=options.chunk_size,
                max_concurrency=options.max_concurrency,
                max_connections=options.max_connections,
                timeout=options.timeout,
                retries=options.retries,
                file_mode=_or_default(
                    options.file_permissions_mode, settings.FILE_UPLOAD_PERMISSIONS
                ),
                directory_mode=_or_default(
                    options.directory_permissions_mode,
                    settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS,
                ),
            )
        )

    @functools.cached_property
    def _key_start(self) -> int:
        """Where in a path the key begins, whose length the service bounds: behind the bucket."""
        path = names.join(self.root, "x")
        return len(path) - len(self.adapter.key_of(path))

    def _path(self, name: str) -> str:
        name = names.check_name(name)
        path = names.join(self.root, name)
        dialect = self.adapter.dialect
        names.check_fits(
            name,
            path[self._key_start :],
            max_key=dialect.max_key_bytes,
            max_characters=dialect.max_key_characters,
            max_segment=dialect.max_segment_bytes,
            forbidden=dialect.forbidden,
            cuts_dots=dialect.cuts_dots,
        )
        return path

    def refusals(self, file_names: Iterable[str]) -> dict[str, Exception]:
        """Return those of names that the storage refuses, each with its error. No request."""
        refused: dict[str, Exception] = {}
        for name in file_names:
            try:
                self.path(name)
            except SuspiciousFileOperation as error:
                refused[name] = error
        return refused

    def path_to_read(self, name: str) -> str:
        """Return where an existing file lies; raises ``FileNotFoundError`` for an empty name.

        A row without a file has that name: no reason for Django to answer 400.
        """
        if not name:
            raise FileNotFoundError(errno.ENOENT, f"No such file in {self.errors.where}", name)
        return self.path(name)

    def room(self, max_length: int | None) -> names.Room:
        """Return how long names may be; `max_length` is in characters."""
        dialect = self.adapter.dialect
        prefix = names.join(self.root, "x")[self._key_start : -1]
        path = dialect.max_key_bytes
        if path is not None:
            path -= len(prefix.encode())
        characters = max_length
        if dialect.max_key_characters is not None:
            most = dialect.max_key_characters - len(prefix)
            characters = most if characters is None else min(characters, most)
        return names.Room(characters, dialect.max_segment_bytes, path)

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
        handled = sys.exception()
        try:
            return flows.perform(step, self.adapter.loop)
        except BaseException as error:
            raise self._translated(error, handled, step)  # noqa: B904 - it sets the cause

    async def aperform(self, step: Call) -> Any:
        """Do one call for an async caller, its errors translated."""
        handled = sys.exception()
        try:
            return await flows.aperform(step, self.adapter.loop)
        except BaseException as error:
            raise self._translated(error, handled, step)  # noqa: B904 - it sets the cause

    def _translated(
        self, error: BaseException, handled: BaseException | None, step: Call
    ) -> BaseException:
        """Return what to raise instead of `error`, whose frames keep no local variables."""
        clear_locals(error, handled)
        if not isinstance(error, Exception):
            return error
        if explained := self.adapter.explained(error):
            explained.__cause__, error = error, explained
        path = step.args[0] if step.args and isinstance(step.args[0], str) else None
        name = names.relative(self.root, path) if path is not None else None
        return self.errors.translate(error, self.adapter.classify(error), name)

    def run(self, flow: Flow[T], operation: str = "", name: str | None = None) -> T:
        """Drive `flow` for a sync caller.

        Logs and OpenTelemetry tell of it as an `operation` on the file `name`; without the name
        of an operation they tell nothing.
        """
        if not operation or not telemetry.is_wanted():
            return flows.run(flow, self.perform)
        with telemetry.Operation(self.alias, operation, name) as told:
            result = flows.run(flow, self.perform)
            told.returned(result)
            return result

    async def arun(self, flow: Flow[T], operation: str = "", name: str | None = None) -> T:
        """See run()."""
        if not operation or not telemetry.is_wanted():
            return await flows.arun(flow, self.aperform)
        with telemetry.Operation(self.alias, operation, name) as told:
            result = await flows.arun(flow, self.aperform)
            told.returned(result)
            return result

    def change(
        self,
        signal: Signal,
        flow: Flow[T],
        operation: str,
        name: str | None = None,
        *,
        deleted: Sequence[str] = (),
    ) -> T:
        """Drive `flow`, which stores a file or deletes `deleted`; send `signal` for each file."""
        if not signals.is_wanted(signal, type(self._owner)):
            return self.run(flow, operation, name)
        began, files = time.perf_counter(), []
        try:
            result = self.run(flow, operation, name)
            files = _changed(result, deleted)
            return result
        except StorageError as error:
            files = _changed_despite(error, deleted)
            raise
        finally:
            for arguments in self._arguments_of(files, began):
                signals.send(signal, type(self._owner), **arguments)

    async def achange(
        self,
        signal: Signal,
        flow: Flow[T],
        operation: str,
        name: str | None = None,
        *,
        deleted: Sequence[str] = (),
    ) -> T:
        """See change()."""
        if not signals.is_wanted(signal, type(self._owner)):
            return await self.arun(flow, operation, name)
        began, files = time.perf_counter(), []
        try:
            result = await self.arun(flow, operation, name)
            files = _changed(result, deleted)
            return result
        except StorageError as error:
            files = _changed_despite(error, deleted)
            raise
        finally:
            for arguments in self._arguments_of(files, began):
                await signals.asend(signal, type(self._owner), **arguments)

    def _arguments_of(self, files: Sequence[_File], began: float) -> list[dict[str, Any]]:
        seconds, alias = time.perf_counter() - began, self.alias if files else None
        return [
            {"alias": alias, "name": name, "size": size, "seconds": seconds, "row": None}
            for name, size in files
        ]

    def iterate(
        self, flow: EmittingFlow, operation: str, name: str | None = None
    ) -> Iterator[Any]:
        """Drive `flow` for a sync caller, yielding what it emits. See run() for the others."""
        if not telemetry.is_wanted():
            return flows.iterate(flow, self.perform)
        return self._iterate(flow, operation, name)

    def _iterate(self, flow: EmittingFlow, operation: str, name: str | None) -> Iterator[Any]:
        emitted: Any = flows.iterate(flow, self.perform)
        with (
            telemetry.Operation(self.alias, operation, name, detached=True) as told,
            contextlib.closing(emitted) as items,
        ):
            for item in items:
                told.emitted(item)
                yield item

    def aiterate(
        self, flow: EmittingFlow, operation: str, name: str | None = None
    ) -> AsyncIterator[Any]:
        """See iterate()."""
        if not telemetry.is_wanted():
            return flows.aiterate(flow, self.aperform)
        return self._aiterate(flow, operation, name)

    async def _aiterate(
        self, flow: EmittingFlow, operation: str, name: str | None
    ) -> AsyncIterator[Any]:
        with telemetry.Operation(self.alias, operation, name, detached=True) as told:
            emitted: Any = flows.aiterate(flow, self.aperform)
            async with contextlib.aclosing(emitted) as items:
                async for item in items:
                    told.emitted(item)
                    yield item

    def require_writable(self) -> None:
        """Raise ``NotSupported`` on a filesystem that is only read."""
        if not self.adapter.dialect.writable:
            raise NotSupported(
                f"{self.errors.where} is read-only: files can't be saved, changed or deleted."
            )


def _changed(result: Any, deleted: Sequence[str]) -> list[_File]:
    """Return the files that an operation changed: one that was stored, or those deleted."""
    if isinstance(result, Stat):
        return [(result.name, result.size)]
    return [(name, None) for name in ([result] if isinstance(result, str) else deleted)]


def _changed_despite(error: StorageError, deleted: Sequence[str]) -> list[_File]:
    """Return the files that were deleted, of which others could not be."""
    left = set(error.names)
    return [(name, None) for name in deleted if name not in left] if left else []
