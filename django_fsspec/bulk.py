"""Many files at once: stored side by side, all of them or none.

The saves are driven from one coroutine on fsspec's I/O loop, for sync and async callers alike.
Files on async filesystems are stored by coroutines there, all others by threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import logging
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import fsspec.asyn
from django.core.files.storage import InMemoryStorage, storages

from .adapters.looped import remember_loop
from .described import Described
from .objects import FileObject
from .pending import AsyncOnce
from .storage import FSSpecStorage

F = TypeVar("F", bound=FileObject)
#: an alias and a name
Ref = tuple[str, str]

logger = logging.getLogger("django_fsspec")


def save_files(file_objects: Iterable[F], *, concurrency: int = 32) -> list[F]:
    """Store what waits in `file_objects`, and return them in their order: 1 request a small file.

    At most `concurrency` saves are under way at once. Files without content that waits are left
    alone. When one save fails, or the call is interrupted, what it stored is deleted, every file
    is what it was before, and the first error is raised with a note that names its file.
    """
    work = _Work(file_objects, concurrency, None)
    if not work.waiting:
        return work.files
    if asyncio._get_running_loop() is work.loop:
        raise RuntimeError("save_files() waits, and was called on fsspec's own I/O loop.")
    running = work.begin(work.run())
    try:
        error = running.result()
    except BaseException:
        work.begin(work.abandon()).result()
        raise
    if error is not None:
        raise error
    return work.files


async def asave_files(file_objects: Iterable[F], *, concurrency: int = 32) -> list[F]:
    """See save_files(). Content may be async iterables as well."""
    work = _Work(file_objects, concurrency, asyncio.get_running_loop())
    if not work.waiting:
        return work.files
    running = asyncio.wrap_future(work.begin(work.run()))
    try:
        error = await asyncio.shield(running)
    except BaseException:
        await asyncio.shield(asyncio.wrap_future(work.begin(work.abandon())))
        raise
    if error is not None:
        raise error
    return work.files


# what can be undone


def state_of(file: Described) -> dict[str, Any]:
    """Return what ``restore()`` needs to make `file` again what it is now."""
    return {**file._state(), "metadata": copy.deepcopy(file.metadata)}


def restore(file: Described, state: Mapping[str, Any]) -> None:
    """Make `file` what it was at ``state_of()``: its content waits again. Nothing is deleted."""
    for key in file._state().keys() - state.keys():
        del file.__dict__[key]
    file.__dict__.update({**state, "metadata": copy.deepcopy(state["metadata"])})


def discard(stored: Iterable[Described | Ref]) -> list[Ref]:
    """Delete stored files, given themselves or as (alias, name): 1 request a thousand.

    Never raises: what can't be deleted is logged and returned.
    """
    names: defaultdict[str, list[str]] = defaultdict(list)
    for one in stored:
        alias, name = (one.backend, one.filename) if isinstance(one, Described) else one
        names[alias].append(name)
    return [(alias, name) for alias, given in names.items() for name in _discarded(alias, given)]


async def adiscard(stored: Iterable[Described | Ref]) -> list[Ref]:
    """See discard()."""
    return await asyncio.to_thread(discard, stored)


def _discarded(alias: str, names: list[str]) -> list[str]:
    """Delete files of one storage, log what is left and return it."""
    left: dict[str, Exception] = {}
    try:
        storage = storages[alias]
        if isinstance(storage, FSSpecStorage):
            storage.delete_many(names)
        else:
            for name in names:
                try:
                    storage.delete(name)
                except Exception as error:
                    left[name] = error
    except Exception as error:
        left = dict.fromkeys(getattr(error, "names", ()) or names, error)
    if left:
        # the kind of error alone: what client libraries say may hold a secret
        kinds = ", ".join(sorted({type(error).__name__ for error in left.values()}))
        logger.warning(
            "Files of %r that are not needed could not be deleted (%s): %s",
            alias,
            kinds,
            ", ".join(map(repr, left)),
        )
    return list(left)


class _Work:
    """One call: its files, what was stored of them, and the way back.

    All that is awaited here runs on `loop`; `home` is the caller's loop, which items of async
    iterables come from.
    """

    def __init__(
        self,
        file_objects: Iterable[Any],
        concurrency: int,
        home: asyncio.AbstractEventLoop | None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, not {concurrency}.")
        self.files = list(file_objects)
        for file in self.files:
            if not isinstance(file, FileObject):
                raise TypeError(f"Only a FileObject can be saved, not {type(file).__name__}.")
        # by identity: files of one name are equal
        self.waiting = list(
            {id(file): file for file in self.files if file.has_pending_data}.values()
        )
        self._home = home
        self._loops: dict[str, asyncio.AbstractEventLoop | None] = {}
        ...
