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

if TYPE_CHECKING:
    from django_fsspec.adapters.pool import Pool

T = TypeVar("T")

#: errors of a connection that was lost or could not be made
LOST = (
    ConnectionError,
    TimeoutError,
    asyncssh.ConnectionLost,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
)


class SSHConnection:
    """One connection for all storages with the same options.

    sshfs connects in its constructor, which therefore runs in a thread and blocks no event loop.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = weakref.ref(pool)
        self._lock = asyncio.Lock()
        self._fs: Any = None
        #: a session of our own, and the filesystem whose connection it uses
        self._session: tuple[Any, Any] = None, None
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

    async def _connected(self) -> Any:
        async with self._lock:
            if self._fs is None:
                self._fs = await _built(self._first)
            if self._fs.client.is_closed():
                self._fs = await _built(self._another)
            version = str(self._fs.client.get_extra_info("server_version"))
            self.refuses = "OpenSSH" in version
            return self._fs

    @contextlib.asynccontextmanager
    async def _sftp(self, fs: Any) -> AsyncIterator[Any]:
        """Give one of the sessions that sshfs keeps; where it hides them, one for all of ours."""
        pool = getattr(fs, "_pool", None)
        if pool is not None:
            async with pool.get() as sftp:
                yield sftp
            return
        async with self._lock:
            if self._session[0] is not fs:
                self._session = fs, await _new_session(fs)
        yield self._session[1]

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
            fs = await self._connected()
            async with self._sftp(fs) as sftp:
                try:
                    return await asyncio.wait_for(work(sftp), seconds)
                except TimeoutError:
                    # what is asked in this session next would wait behind it
                    sftp.exit()
                    raise

        policy = RetryPolicy(retries, lambda error: self._is_transient(fs, error, again))
        return await policy.arun(attempt)

    async def do_apart(self, work: Callable[[Any], Awaitable[T]], *, seconds: float) -> T:
        """Return what `work` gives for a new SFTP session, within `seconds`; tried once.

        A server works through the requests of one session in their order: behind one that it does
        not answer, others wait.
        """
        fs = await self._connected()

        async def apart() -> T:
            async with _new_session(fs) as sftp:
                return await work(sftp)

        return await asyncio.wait_for(apart(), seconds)

    def _is_transient(self, fs: Any, error: Exception, again: bool) -> bool:
        if isinstance(error, ContentFailed):
            return False
        if fs is None:
            return isinstance(error, LOST)
        if isinstance(error, TimeoutError):
            # slow is not lost: keepalive finds out when nobody answers in any session
            return False
        if not isinstance(error, LOST) and not fs.client.is_closed():
            return False
        # an SFTP session may die under a connection that lives
        fs.client.abort()
        return again


_connections: weakref.WeakKeyDictionary[Pool, SSHConnection] = weakref.WeakKeyDictionary()


def _new_session(fs: Any) -> Any:
    """Return a new SFTP session, to be awaited or entered by ``async with``."""
    options = fs.storage_options.get("sftp_client_kwargs") or {}
    return fs.client.start_sftp_client(**options)


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
