"""Care for the event loop of fsspec's I/O thread: after a fork, and in finalizers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import fsspec.asyn

from django_fsspec.core.flows import running_loop

#: the parent process's instances, kept because freeing them would close them
_inherited: list[Any] = []
_started: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()


def _after_fork() -> None:
    """Let a forked child start its own I/O thread and leave the parent's alone.

    The loop's thread did not survive the fork, but the loop believes that it runs: fsspec's
    finalizers would wait for it, about a second each.
    """
    # fsspec itself forgets its loop, but not the lock around making one
    if hasattr(fsspec.asyn, "reset_lock"):
        fsspec.asyn.reset_lock()
    for loop in _started:
        _cut_off(loop)
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        alive = finalizer.peek()
        # adlfs would wait for the dead loop for ever when this process ends
        if alive is not None and alive[1] is fsspec.asyn.sync and alive[2][0] in _started:
            _inherited.append(alive[0])
            finalizer.detach()


def _cut_off(loop: Any) -> None:
    """Take from a child's copy of the parent's loop whatever reaches the parent's connections.

    Both processes have one epoll: a connection that is freed here would be taken out of it there,
    and the answer to the parent's next request would never come. TLS would even say goodbye.
    """
    # asyncio has no public way to tell a loop that its thread is gone; other loops than asyncio's
    # (uvloop's) refuse new attributes, and are left as they are
    with contextlib.suppress(AttributeError):
        loop._thread_id = None
    loop.set_exception_handler(lambda loop, context: None)
    selector = getattr(loop, "_selector", None)
    if selector is None:
        return
    loop._selector = selectors.SelectSelector()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in {*selector.get_map(), *_sockets(loop)}:
        os.dup2(nothing, descriptor)
    os.close(nothing)
    selector.close()


def _sockets(loop: Any) -> Iterator[int]:
    """Yield the descriptors of the loop's open connections.

    A connection that was closed may be listed still, when something else has its number.
    """
    for descriptor, transport in list(getattr(loop, "_transports", {}).items()):
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.fileno() == descriptor:
            yield descriptor


os.register_at_fork(after_in_child=_after_fork)


def remember_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Remember `loop`, so that forked children, where its thread does not run, leave it alone."""
    _started.add(loop)


def on_own_loop(finalize: Callable[..., object], loop: Any, *args: Any) -> None:
    """Run a filesystem's finalizer, which closes its connections, on the loop they live on.

    s3fs and sshfs do so on whatever loop runs in the thread that frees them, where it fails or
    waits for ever.
    """
    running = running_loop()
    if running is None or running is loop or loop is None or not loop.is_running():
        finalize(loop, *args)
    else:
        loop.call_soon_threadsafe(finalize, loop, *args)


def finalized_on_own_loop(fs: Any, finalize: Callable[..., object]) -> None:
    """Replace the finalizer that `fs` registered when it was made; see on_own_loop()."""
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        alive = finalizer.peek()
        if alive is not None and alive[0] is fs and alive[1] is finalize:
            finalizer.detach()
            weakref.finalize(fs, on_own_loop, finalize, *alive[2])
