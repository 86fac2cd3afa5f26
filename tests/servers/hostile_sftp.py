"""An SFTP server over a folder that lists what a test tells, and may not answer a rename."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal

import asyncssh

from .ports import HOST

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class _Open(asyncssh.SSHServer):
    """Lets everybody in; `connections` takes those that are made."""

    def __init__(self, connections: list[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return False


class HostileSFTP:
    """The server, in a thread of its own; clients see `root` as "/"."""

    def __init__(self, root: Path) -> None:
        self.root = root
        #: name in the listing of every folder -> permissions, of which the type counts
        self.listed: dict[bytes, int] = {}
        #: what happens to renames: "hang", they are never answered; "cut", as the connection
        self.renames: Literal["", "hang", "cut"] = ""
        #: what happens when files are deleted
        self.removes: Literal["", "hang"] = ""
        self.port = 0
        #: all that were made
        self.connections: list[asyncssh.SSHServerConnection] = []
        self._released = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._do(self._start())
        self.port = self._listener.get_port()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("ssh", ...)`, that is sshfs."""
        return {**self._address, "client_keys": None}

    @property
    def paramiko_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.implementations.sftp.SFTPFileSystem`."""
        return {**self._address, "look_for_keys": False, "allow_agent": False}

    def release(self) -> None:
        """Go on with what hangs, and let nothing hang any more."""
        self.renames = self.removes = ""
        self._loop.call_soon_threadsafe(self._released.set)

    @property
    def _address(self) -> dict[str, Any]:
        login = {"username": "u", "password": "p", "known_hosts": None}
        return {"host": HOST, "port": self.port, **login}

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            HOST,
            0,
            server_factory=lambda: _Open(self.connections),
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=self._session,
        )

    async def _stop(self) -> None:
        self._listener.close()
        for connection in self.connections:
            connection.abort()
            await connection.wait_closed()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _session(self, channel: Any) -> asyncssh.SFTPServer:
        server = self

        class Session(asyncssh.SFTPServer):
            async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
                for name, mode in server.listed.items():
                    attrs = asyncssh.SFTPAttrs(size=1, permissions=mode, atime=0, mtime=0)
                    yield asyncssh.SFTPName(name, attrs=attrs)
                # what is listed need not exist
                with contextlib.suppress(FileNotFoundError):
                    async for entry in super().scandir(path):
                        yield entry

            async def rename(self, oldpath: bytes, newpath: bytes) -> None:
                if server.renames == "cut":
                    self.connection.abort()
                if server.renames:
                    await server._released.wait()
                super().rename(oldpath, newpath)

            async def remove(self, path: bytes) -> None:
                if server.removes:
                    await server._released.wait()
                super().remove(path)

            async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
                await self.rename(oldpath, newpath)

        return Session(channel, chroot=str(self.root).encode())
