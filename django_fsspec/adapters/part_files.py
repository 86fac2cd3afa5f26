"""Part files: write a new file under a temporary name in its directory, then rename it.

Where a server's rename overwrites files, processes that use this package take a lock before they
create a name: a file or directory that only one of them can make. A killed process may leave the
lock behind; that one name can't be created then. Written as flows, for sync and async clients.

When a connection is lost in the middle, nothing more is asked over it. ``Leftovers`` says what is
to be undone, and ``clean_up()`` does that over another connection.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from django_fsspec.core.flows import Flow, call
from django_fsspec.core.log_fields import log_fields
from django_fsspec.core.names import PARTIAL_SUFFIX, folded

from .base import Verb
from .errors import exists_already

T = TypeVar("T")

logger = logging.getLogger("django_fsspec")


def parent_of(path: str) -> str:
    """Return the directory of `path`; "" is where relative paths start, "/" the root."""
    directory, slash, _ = path.rpartition("/")
    return directory or slash


def partial_beside(path: str) -> str:
    """Return a fresh name in the directory of `path`."""
    return _beside(path, secrets.token_hex(8))


def lock_beside(path: str) -> str:
    """Return the name of the lock for creating `path`: a digest, which is short for any name.

    Names that a server may take for one have one lock.
    """
    label = folded(path.rpartition("/")[2])
    return _beside(path, hashlib.sha256(label.encode()).hexdigest()[:32])


def _beside(path: str, label: str) -> str:
    directory, slash, _ = path.rpartition("/")
    return f"{directory}{slash}.{label}{PARTIAL_SUFFIX}"


@dataclass(slots=True)
class Leftovers:
    """What a save has made on the server besides its part file, and has not undone yet."""

    #: whether a connection was there, so that a part file may be
    connected: bool = False
    #: whether the part file was deleted, or had its name already
    part_gone: bool = False
    #: the lock that this save holds
    lock: str | None = None
    #: where the file that is being replaced may be meanwhile, and its name
    aside: tuple[str, str] | None = None
    #: whether that move was sent and not answered, so that the server may still make it
    moving: bool = False

    @property
    def pending(self) -> bool:
        """Whether there is anything but the part file."""
        return self.lock is not None or self.aside is not None


class NameCalls(Protocol):
    """A client's own calls on names of files; they raise the client's own errors."""

    def refused(self, error: BaseException) -> bool:
        """Return whether `error` is the server's refusal, after which it can be asked again."""

    def usable(self, error: BaseException) -> bool:
        """Return whether the connection can be asked again after `error`."""

    def exists(self, path: str) -> Verb[bool]:
        """Return whether anything, a directory or dangling link included, has this name."""

    def lock(self, path: str) -> Verb[None]:
        """Make `path`, which is refused when it exists."""

    def unlock(self, path: str) -> Verb[None]:
        """Remove what lock() made; a refusal is no error."""

    def rename(self, source: str, target: str) -> Verb[None]:
        """Rename a file to a name that is free."""

    def replace(self, source: str, target: str) -> Verb[bool]:
        """Rename a file to any name in one step; False where the server has no such step."""

    def remove(self, path: str) -> Verb[None]:
        """Delete a file."""


def save(
    path: str,
    fill: Callable[[str], Verb[T]],
    give_name: Callable[[str, str], Verb[None]],
    discard: Callable[[str, BaseException], Verb[None]],
) -> Flow[T]:
    """Write a part file with `fill`, rename it to `path` with `give_name`; return fill's result.

    When either fails, `discard` is called with the part file and the error, to delete the file.
    """
    partial = partial_beside(path)
    try:
        result: T = yield from call(fill, partial)
        yield from call(give_name, partial, path)
    except BaseException as error:
        yield from call(discard, partial, error)
        raise
    return result


def create_by_rename(names: NameCalls, partial: str, path: str) -> Flow[None]:
    """Rename `partial` to `path` on a server whose rename refuses a name that is taken.

    OpenSSH's server makes a hard link, then removes the old name. On a disk without hard links it
    checks and then renames, so another writer may create the file in between. Raises
    ``FileExistsError`` when `path` exists.
    """
    try:
        yield from call(names.rename, partial, path)
    except Exception as error:
        if names.refused(error) and (yield from call(names.exists, path)):
            raise exists_already(path) from error
        raise


def create_locked(names: NameCalls, partial: str, path: str, left: Leftovers) -> Flow[None]:
    """Rename `partial` to `path` under a lock that all processes of this package respect.

    Raises ``FileExistsError`` when `path` exists, or when another process has the lock.
    """
    lock = lock_beside(path)
    try:
        yield from call(names.lock, lock)
    except Exception as error:
        if names.refused(error) and (
            (yield from call(names.exists, lock)) or (yield from call(names.exists, path))
        ):
            raise exists_already(path) from error
        raise
    left.lock = lock
    try:
        if (yield from call(names.exists, path)):
            raise exists_already(path)  # noqa: TRY301 - the lock goes then, too
        # not replace(): another program may have created the name since, without our lock
        yield from call(names.rename, partial, path)
    except BaseException as error:
        if names.usable(error):
            yield from _unlock(names, left)
        raise
    yield from _unlock(names, left)


def _unlock(names: NameCalls, left: Leftovers) -> Flow[None]:
    """Remove the lock; where the connection is lost meanwhile, it stays among the leftovers."""
    if left.lock is not None and (yield from _done(names, names.unlock, left.lock)):
        left.lock = None


def _done(names: NameCalls, change: Callable[..., Verb[object]], *paths: str) -> Flow[bool]:
    """Make a change that may have been made before; return False where the connection is lost."""
    try:
        yield from call(change, *paths)
    except Exception as error:
        return names.usable(error)
    return True


def replace_by(names: NameCalls, partial: str, path: str, left: Leftovers) -> Flow[None]:
    """Rename `partial` to `path` and replace what is there.

    Where the server can't do that in one step, `path` does not exist for a moment.
    """
    if (yield from call(names.replace, partial, path)):
        return
    aside = partial_beside(path)
    left.aside, left.moving = (aside, path), True
    try:
        yield from call(names.rename, path, aside)
    except Exception as error:
        left.moving = not names.usable(error)
        if not names.refused(error):
            raise
        left.aside = None
        if (yield from call(names.exists, path)):
            raise
        # there is nothing to replace, or not any more
        yield from call(names.rename, partial, path)
        return
    left.moving = False
    try:
        yield from call(names.rename, partial, path)
    except BaseException as error:
        if names.usable(error):
            yield from _put_back(names, left)
        raise
    if (yield from _done(names, names.remove, aside)):
        left.aside = None


def _put_back(names: NameCalls, left: Leftovers) -> Flow[None]:
    """Give the replaced file its name back, unless a file has that by now.

    It stays among the leftovers where the server may still move it, or does not move it back.
    """
    if left.aside is None:
        return
    aside, path = left.aside
    # first: as long as it is not there, the file at `path` may be the one to be moved
    if not (yield from call(names.exists, aside)):
        done = not left.moving
    elif (yield from call(names.exists, path)):
        done = yield from _done(names, names.remove, aside)
    else:
        done = yield from _done(names, names.rename, aside, path)
        done = done and not (yield from call(names.exists, aside))
    if done:
        left.aside = None


def give_name(
    names: NameCalls, partial: str, path: str, left: Leftovers, *, exclusive: bool, refuses: bool
) -> Flow[None]:
    """Rename `partial` to `path`, replacing a file there unless `exclusive`.

    `refuses` is whether the server's rename refuses a name that is taken. Raises
    ``FileExistsError`` when `exclusive` and `path` exists.
    """
    if not exclusive:
        yield from replace_by(names, partial, path, left)
    elif refuses:
        yield from create_by_rename(names, partial, path)
    else:
        yield from create_locked(names, partial, path, left)


def clean_up(names: NameCalls, partial: str, left: Leftovers) -> Flow[bool]:
    """Undo what a save has left, over a connection that works; return whether it still does.

    The part file goes first: a rename that was sent and not answered must find nothing when the
    server comes to it. The lock goes last, as it keeps others from the name. Returns False, too,
    where a move that was not answered had not been made at a second look.
    """
    if not (yield from _done(names, names.remove, partial)):
        return False
    left.part_gone = True
    yield from _put_back(names, left)
    yield from _unlock(names, left)
    if left.moving:
        yield from _put_back(names, left)
    return not left.pending


def warn_of_leftovers(partial: str, left: Leftovers, error: BaseException | None = None) -> None:
    """Log what may be on the server after clean_up() failed, with `error` or without."""
    # only the type of the error: messages of client libraries may hold a secret
    reason = "no answer" if error is None else type(error).__name__
    parts = [name for name in (None if left.part_gone else partial, left.lock) if name]
    if parts:
        logger.warning(
            "A save may have left %s on the server (%s). Delete it when no save is under way.",
            " and ".join(map(repr, parts)),
            reason,
            extra=log_fields(operation="save", files=[(None, part) for part in parts]),
        )
    if left.aside is not None:
        aside, path = left.aside
        logger.warning(
            "A save that was to replace %r may have left that file under the name %r (%s). Where "
            "%r is missing, rename it back.",
            *(path, aside, reason, path),
            extra=log_fields(name=path, operation="save"),
        )
