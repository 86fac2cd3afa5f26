"""Saving: options and name of a new file, and another name after a clash, as flows."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from django_fsspec.adapters.errors import AnswerLost
from django_fsspec.core import names
from django_fsspec.core.content_types import guess_type, safe_type
from django_fsspec.core.flows import Call, Flow, call
from django_fsspec.core.source import Source
from django_fsspec.core.stat import SAVE_TOKEN, Stat
from django_fsspec.exceptions import NotSupported, StorageError

from . import object_options
from .driver import Driver
from .options import OptionError

#: names tried for a file before the save fails
MAX_CANDIDATES = 100


class SavingFlows(Driver):
    """The operations that store content under a name."""

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
        dialect, given = self.adapter.dialect, own.get("metadata")
        if given and "metadata" not in dialect.headers:
            raise NotSupported(f"{self.errors.where} can't keep metadata with a file.")
        if given and (reason := object_options.metadata_fault(given, dialect)):
            raise NotSupported(f"{self.errors.where}: the save {reason}")
        metadata = {**options.get("metadata", {}), **own.get("metadata", {})}
        options |= {**own, "metadata": metadata} if metadata else own
        options["content_type"] = safe_type(options["content_type"])

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
        for candidate in [name] if exact else self.candidates(name, max_length):
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
        raise StorageError(f"{self.errors.where}: {MAX_CANDIDATES} names like {name!r} are taken.")

    def candidates(self, name: str, max_length: int | None) -> Iterator[str]:
        """Yield `name`, then names with a random part, as long as the service can hold.

        They fit into `max_length` characters too. Where the service can't create exclusively,
        only randomness keeps writers apart.
        """
        if self.adapter.dialect.atomic_create:
            yield name
        room = self.room(max_length)
        directory, root, extension = names.split_extension(name)
        for _ in range(MAX_CANDIDATES):
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
