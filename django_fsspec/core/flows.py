"""Flows: code written once for sync and async callers, and the drivers that run it.

A flow is a generator that yields :class:`Call` (do this, give me the result) and, when it
produces a sequence, :class:`Emit` (hand this to the consumer). It is written once; `run` and
`iterate` drive it for sync callers, `arun` and `aiterate` for async ones. A coroutine function
runs on its filesystem's own event loop, a plain function where it stands or, for async callers,
in a thread.

Idea: psycopg 3's ``generators.py`` and httpx's ``auth_flow``.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast, overload

P = ParamSpec("P")
T = TypeVar("T")

#: the threads that blocking calls of async callers are made in; None is those of asyncio, which
#: are few on a small machine
threads: contextvars.ContextVar[Executor | None] = contextvars.ContextVar("threads", default=None)


#: seconds that a cancelled or interrupted caller waits while a coroutine cleans up
_PATIENCE = 5.0


class Call(NamedTuple):
    """A function to call; a coroutine function is awaited on the filesystem's loop."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    #: undoes a blocking call that ended after its caller was cancelled
    undo: Callable[[], object] | None = None

    def __repr__(self) -> str:
        """Without the arguments: a path may be a URL with a password."""
        return f"<Call {getattr(self.function, '__qualname__', self.function)}>"


class Emit(NamedTuple):
    """A value for whoever iterates over the flow."""

    value: Any


Flow = Generator[Call, Any, T]
EmittingFlow = Generator[Call | Emit, Any, None]


@overload
def call(
    function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> Flow[T]: ...
@overload
def call(
    function: Callable[P, T | Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> Flow[T]: ...
def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Flow[Any]:
    """Ask the driver for one call: ``stat = yield from call(adapter.stat, path)``."""
    # as Call(function, args, kwargs), at a third of the time
    step = tuple.__new__(Call, (function, args, kwargs, None))
    # debug pages show what this frame holds
    del args, kwargs
    return (yield step)


def emit_all(values: list[Any]) -> EmittingFlow:
    """Emit `values` and empty the list: what was consumed does not stay in memory."""
    values.reverse()
    while values:
        yield Emit(values.pop())


def _coroutine(
    step: Call, loop: asyncio.AbstractEventLoop | None
) -> tuple[Coroutine[Any, Any, Any], asyncio.AbstractEventLoop]:
    if loop is None:
        raise RuntimeError(
            f"{step.function} is a coroutine function of an adapter without a loop."
        )
    return step.function(*step.args, **step.kwargs), loop


class _Waited:
    """A coroutine on fsspec's loop, for a thread that waits for it.

    By a lock: a ``Future`` takes twice the CPU, and another turn of the loop.
    """

    def __init__(self, step: Call, loop: asyncio.AbstractEventLoop | None) -> None:
        self._work, self._loop = _coroutine(step, loop)
        self._result: Any = None
        self._error: BaseException | None = None
        self._is_done = False
        self._waiting = threading.Lock()
        self._waiting.acquire()
        self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            self._result = await self._work
        except BaseException as error:
            self._error = error
        self._is_done = True
        self._waiting.release()

    def result(self) -> Any:
        """Return what the coroutine returns, or raise what it raises."""
        self._waiting.acquire()
        error, self._error = self._error, None
        if isinstance(error, asyncio.CancelledError):
            # what a Future raises; that of asyncio would cancel the caller's task
            raise CancelledError from error
        if error is not None:
            raise error
        return self._result

    def cancel(self) -> Future[None] | None:
        """Cancel the coroutine; return what is done when it has cleaned up, or None."""
        if self._is_done:
            return None
        return asyncio.run_coroutine_threadsafe(self._cancelled(), self._loop)

    async def _cancelled(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task], timeout=_PATIENCE)


class _Submitted:
    """A coroutine on fsspec's loop, for a caller on another loop."""

    def __init__(self, step: Call, loop: asyncio.AbstractEventLoop | None) -> None:
        self._work, self._loop = _coroutine(step, loop)
        self.future = asyncio.run_coroutine_threadsafe(self._work, self._loop)

    def cancel(self) -> Future[None] | None:
        """Cancel the coroutine; return what is done when it has cleaned up, or None.

        A process may end when its caller hears of the cancellation. Whoever waits for it, waits
        some seconds at most.
        """
        if not self.future.cancel():
            return None
        return asyncio.run_coroutine_threadsafe(self._ended(), self._loop)

    async def _ended(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task.get_coro() is self._work]
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)


def perform(step: Call, loop: asyncio.AbstractEventLoop | None) -> Any:
    """Do `step` and wait for it; a coroutine function runs on `loop`, in fsspec's I/O thread.

    An interrupt of the waiting thread cancels the coroutine, and waits while that cleans up.
    """
    if loop is None or not inspect.iscoroutinefunction(step.function):
        return step.function(*step.args, **step.kwargs)
    if running_loop() is loop:
        raise RuntimeError("A storage method that waits was called on fsspec's own I/O loop.")
    submitted = _Waited(step, loop)
    try:
        return submitted.result()
    except BaseException:
        if ended := submitted.cancel():
            with contextlib.suppress(TimeoutError):
                ended.result(_PATIENCE)
        raise


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> asyncio.Future[T]:
    """Call `function` in one of the ``threads``, in the caller's context."""
    run = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
    return asyncio.get_running_loop().run_in_executor(threads.get(), run)


class _Undoable:
    """A blocking call in a thread, which can't be stopped, only undone."""

    def __init__(self, step: Call) -> None:
        self._step = step
        self._lock = threading.Lock()
        self._unwanted = self._done = False

    async def run(self) -> Any:
        try:
            return await in_thread(self._call)
        except asyncio.CancelledError:
            with self._lock:
                self._unwanted, done = True, self._done
            if done:
                await asyncio.shield(in_thread(self._undo))
            raise

    def _call(self) -> Any:
        result = self._step.function(*self._step.args, **self._step.kwargs)
        with self._lock:
            self._done, unwanted = True, self._unwanted
        if unwanted:
            self._undo()
        return result

    def _undo(self) -> None:
        if self._step.undo is not None:
            self._step.undo()


async def aperform(step: Call, loop: asyncio.AbstractEventLoop | None) -> Any:
    """Do `step` without blocking the running loop.

    Cancellation reaches it, and waits while it cleans up.
    """
    if not inspect.iscoroutinefunction(step.function):
        if step.undo is not None:
            return await _Undoable(step).run()
        return await in_thread(step.function, *step.args, **step.kwargs)
    if running_loop() is loop:
        return await step.function(*step.args, **step.kwargs)
    submitted = _Submitted(step, loop)
    try:
        return await asyncio.wrap_future(submitted.future)
    except asyncio.CancelledError:
        if ended := submitted.cancel():
            await asyncio.wrap_future(ended)
        raise


def run(flow: Flow[T], perform: Callable[[Call], Any]) -> T:
    """Drive `flow` from sync code and return its result."""
    try:
        step = next(flow)
        while True:
            try:
                result = perform(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as stop:
        return cast(T, stop.value)


async def arun(flow: Flow[T], aperform: Callable[[Call], Coroutine[Any, Any, Any]]) -> T:
    """Drive `flow` from async code and return its result."""
    try:
        step = next(flow)
        while True:
            try:
                result = await aperform(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as stop:
        return cast(T, stop.value)


def direct(step: Call) -> Any:
    """Do `step` where it stands: for flows that call plain functions only."""
    return step.function(*step.args, **step.kwargs)


async def adirect(step: Call) -> Any:
    """Await `step` where it stands: for flows that call coroutine functions of this loop only."""
    return await step.function(*step.args, **step.kwargs)


def iterate(flow: EmittingFlow, perform: Callable[[Call], Any]) -> Iterator[Any]:
    """Drive `flow` from sync code, yielding what it emits."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Emit):
                yield step.value
                step = next(flow)
                continue
            try:
                result = perform(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration:
        return
    finally:
        flow.close()


async def aiterate(
    flow: EmittingFlow, aperform: Callable[[Call], Coroutine[Any, Any, Any]]
) -> AsyncIterator[Any]:
    """Drive `flow` from async code, yielding what it emits."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Emit):
                yield step.value
                step = next(flow)
                continue
            try:
                result = await aperform(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration:
        return
    finally:
        flow.close()
