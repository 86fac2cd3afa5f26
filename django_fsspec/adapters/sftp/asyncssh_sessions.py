"""SFTP sessions over one SSH connection, each shared by a few coroutines."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncssh

#: errors of a connection or session that was lost, could not be made, or does not answer
LOST = (
    ConnectionError,
    TimeoutError,
    asyncssh.ConnectionLost,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
)

#: what OpenSSH's server allows unless told otherwise, and sshfs takes for granted
_MAX_SESSIONS = 10
#: left to clean-ups apart, and to the filesystem's own operations
_RESERVED = 4
#: coroutines that share a session before there is another one
_SHARED = 4


class SFTPSessions:
    """The sessions of a filesystem's connection; get() gives the one with the fewest users.

    sshfs has such a pool, but it keeps sessions that do not answer, and gives them first: nobody
    uses them.

    Enter one by ``async with sessions.get() as sftp``.
    """

    def __init__(self, fs: Any) -> None:
        self.fs = fs
        most = fs.storage_options.get("max_sessions", _MAX_SESSIONS)
        self._most = max(1, most - _RESERVED)
        self._lock = asyncio.Lock()
        #: sessions to give
        self._usable: set[Any] = set()
        #: coroutines in each session, also in those that are given to nobody else
        self._users: Counter[Any] = Counter()
        #: whether the server gave no session at all, so that another connection is needed
        self.refused = False

    def new(self) -> Any:
        """Return a session of one's own, to be awaited.

        Raises ``asyncssh.ChannelOpenError`` where the server gives no more.
        """
        options = self.fs.storage_options.get("sftp_client_kwargs") or {}
        return self.fs.client.start_sftp_client(**options)

    @contextlib.asynccontextmanager
    async def get(self) -> AsyncIterator[Any]:
        """Give a session; after a timeout or a loss under it, nobody else gets that one.

        It is closed when its last user leaves. Raises ``asyncssh.ChannelOpenError`` where the
        server gives none.
        """
        sftp = await self._chosen()
        self._users[sftp] += 1
        try:
            yield sftp
        except LOST:
            # what is asked in it next would wait behind what is not answered
            self._usable.discard(sftp)
            raise
        finally:
            self._users[sftp] -= 1
            if sftp not in self._usable and not self._users[sftp]:
                del self._users[sftp]
                with contextlib.suppress(OSError):
                    sftp.exit()

    async def _chosen(self) -> Any:
        sftp = self._least_used()
        if not self._wants_another(sftp):
            return sftp
        async with self._lock:
            # another coroutine may have opened one while this one waited
            sftp = self._least_used()
            return await self._opened() if self._wants_another(sftp) else sftp

    def _least_used(self) -> Any:
        return min(self._usable, key=self._users.__getitem__, default=None)

    def _wants_another(self, sftp: Any) -> bool:
        if sftp is None:
            return True
        return self._users[sftp] >= _SHARED and len(self._usable) < self._most

    async def _opened(self) -> Any:
        try:
            sftp = await self.new()
        except asyncssh.ChannelOpenError:
            sftp = self._least_used()
            self.refused = sftp is None
            if self.refused:
                raise
            self._most = len(self._usable)
        else:
            self._usable.add(sftp)
        return sftp
