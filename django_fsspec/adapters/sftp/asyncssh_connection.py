"""The SSH connection behind an sshfs filesystem: made at the first use, replaced when lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh

from django_fsspec.adapters.errors import missing_file, untrusted
from django_fsspec.adapters.loops import finalized_on_own_loop
from django_fsspec.adapters.retries import RetryPolicy
from django_fsspec.core.source import ContentFailed

from .asyncssh_sessions import LOST, SFTPSessions

if TYPE_CHECKING:
    from django_fsspec.adapters.pool import Pool

T = TypeVar("T")


class SSHConnection:
    """One connection for all storages with the same options.

    sshfs connects in its constructor, which therefore runs in a thread and blocks no event loop.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = weakref.ref(pool)
        self._lock = asyncio.Lock()
        self._fs: Any = None
        self._sessions: SFTPSessions | None = None
        self.pid = os.getpid()
        #: whether the server's plain rename never replaces a file
        self.refuses = False

    @classmethod
    def of(cls, pool: Pool) -> SSHConnection:
        """Return the connection of `pool` in this process."""
        connection = _connections.get(pool)
        if connection is None or connection.pid != os.getpid():
            connection = _connections[pool] = cls(pool)
        return connection

    @property
    def alive(self) -> bool:
        return self._fs is not None and not self._fs.client.is_closed()

    async def _connected(self) -> SFTPSessions:
        async with self._lock:
            if self._fs is None:
                self._fs = await _built(self._first)
            sessions = self._sessions
            if self._fs.client.is_closed() or (sessions is not None and sessions.refused):
                # the old one is not aborted: files that are being read may be open in it
                self._fs = await _built(self._another)
            if sessions is None or sessions.fs is not self._fs:
                sessions = self._sessions = SFTPSessions(self._fs)
            version = str(self._fs.client.get_extra_info("server_version"))
            self.refuses = "OpenSSH" in version
            return sessions

    def _first(self) -> Any:
        pool = self._pool()
        return None if pool is None else pool.instance

    def _another(self) -> Any:
        old = self._fs
        return type(old)(*old.storage_args, **old.storage_options, skip_instance_cache=True)

    async def do(
        self,
        work: Callable[[Any], Awaitable[T]],
        *,
        retries: int = 0,
        again: bool = True,
        seconds: float | None = None,
    ) -> T:
        """Return what `work` gives for an SFTP session, within `seconds`.

        Retried where no connection can be made, and where it is lost under work that may be
        done `again`.
        """
        fs: Any = None

        async def attempt() -> T:
            nonlocal fs
            fs = None
            sessions = await self._connected()
            async with sessions.get() as sftp:
                fs = sessions.fs
                return await asyncio.wait_for(work(sftp), seconds)

        policy = RetryPolicy(retries, lambda error: _is_transient(fs, error, again))
        return await policy.arun(attempt)

    async def do_apart(self, work: Callable[[Any], Awaitable[T]], *, seconds: float) -> T:
        """Return what `work` gives for a new SFTP session, within `seconds`; tried once.

        A server works through the requests of one session in their order: behind one that it does
        not answer, others wait. Where it gives no more sessions, `work` is done in a shared one.
        """
        sessions = await self._connected()

        async def apart() -> T:
            sftp = await sessions.new()
            try:
                return await work(sftp)
            finally:
                # not waited for: a server that does not answer does not close it either
                sftp.exit()

        try:
            return await asyncio.wait_for(apart(), seconds)
        except asyncssh.ChannelOpenError:
            return await self.do(work, seconds=seconds)


def _is_transient(fs: Any, error: Exception, again: bool) -> bool:
    """Return whether to retry after `error`; `fs` is None where no session was there yet."""
    if isinstance(error, ContentFailed):
        return False
    if fs is None:
        return isinstance(error, (*LOST, asyncssh.ChannelOpenError))
    if isinstance(error, TimeoutError):
        # slow is not lost: keepalive finds out when nobody answers in any session
        return False
    return again and (isinstance(error, LOST) or fs.client.is_closed())


_connections: weakref.WeakKeyDictionary[Pool, SSHConnection] = weakref.WeakKeyDictionary()


async def _built(build: Callable[[], Any]) -> Any:
    try:
        fs = await asyncio.to_thread(build)
    except asyncssh.HostKeyNotVerifiable as error:
        raise untrusted(str(error)) from error
    except FileNotFoundError as error:
        raise missing_file(error) from error
    # sshfs closes its connection by this on whatever loop runs where it is freed
    finalize = getattr(type(fs), "_finalize", None)
    if finalize is not None:
        finalized_on_own_loop(fs, finalize)
    return fs


@contextlib.asynccontextmanager
async def opened(opening: Awaitable[Any], seconds: float) -> AsyncIterator[Any]:
    """Give a remote file, and close it; opening and closing have `seconds` each."""
    file = await asyncio.wait_for(opening, seconds)
    try:
        yield file
    finally:
        await asyncio.wait_for(file.close(), seconds)


async def closed(file: Any) -> None:
    """Close a remote file; errors do not matter any more."""
    with contextlib.suppress(Exception):
        await file.close()
