"""SFTP through sshfs, which stands on asyncssh.

Requests go to asyncssh's SFTP client: the file operations of sshfs ignore ranges and exclusive
modes, and copy with a shell command.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import asyncssh
import fsspec.asyn

from django_fsspec.adapters import families
from django_fsspec.adapters.asynchronous import LoopedAdapter
from django_fsspec.adapters.base import Dialect, Page, Reader
from django_fsspec.adapters.blocking import file_only
from django_fsspec.adapters.errors import (
    classify,
    no_directory,
    not_empty,
    short_write,
)
from django_fsspec.adapters.loops import remember_loop
from django_fsspec.adapters.part_files import (
    Leftovers,
    clean_up,
    give_name,
    parent_of,
    save,
    warn_of_leftovers,
)
from django_fsspec.core.flows import adirect, arun, in_thread
from django_fsspec.core.names import PARTIAL_SUFFIX, join
from django_fsspec.exceptions import NotSupported

from .asyncssh_connection import SSHConnection, closed, opened
from .asyncssh_files import (
    MISSING,
    STEP,
    RemoteFile,
    SFTPNames,
    SFTPReader,
    is_link,
    stat_of,
)
from .asyncssh_sessions import LOST

if TYPE_CHECKING:
    from django_fsspec.core.source import Source
    from django_fsspec.core.stat import Stat

T = TypeVar("T")

_MEANINGS: tuple[tuple[type[Exception], type[OSError]], ...] = (
    (asyncssh.SFTPNoSuchFile, FileNotFoundError),
    (asyncssh.SFTPNoSuchPath, FileNotFoundError),
    (asyncssh.SFTPFileAlreadyExists, FileExistsError),
    (asyncssh.SFTPPermissionDenied, PermissionError),
    (asyncssh.SFTPWriteProtect, PermissionError),
)


def _attrs(mode: int | None) -> asyncssh.SFTPAttrs:
    """Return the attributes to create a file or directory with; its server's umask counts too."""
    return asyncssh.SFTPAttrs(permissions=None if mode is None else mode & 0o777)


class SSHFSAdapter(LoopedAdapter):
    """Verbs on SFTP by asyncssh: concurrent requests over one connection a process."""

    dialect: ClassVar[Dialect] = families.ASYNCSSH.dialect

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        tuned = {
            "connect_timeout": timeout,
            "login_timeout": timeout,
            "keepalive_interval": max(1.0, timeout / 3),
            "keepalive_count_max": 3,
            # sshfs trusts any server unless told otherwise; () is ~/.ssh/known_hosts
            "known_hosts": (),
            **options,
        }
        if isinstance(tuned["known_hosts"], str):
            tuned["known_hosts"] = os.path.expanduser(tuned["known_hosts"])
        # a name that is not UTF-8 must not spoil the listing around it
        client = {"path_errors": "surrogateescape", **(tuned.get("sftp_client_kwargs") or {})}
        return {**tuned, "sftp_client_kwargs": client}

    @classmethod
    def further_options(cls) -> Collection[str]:
        connect = inspect.signature(asyncssh.connect).parameters
        options = inspect.signature(asyncssh.SSHClientConnectionOptions.prepare).parameters
        return {*connect, *options, "max_sessions", "timeout"} - {"self"}

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        # not the filesystem's: building one connects, and an async caller must not wait for that
        loop: asyncio.AbstractEventLoop = fsspec.asyn.get_loop()
        remember_loop(loop)
        return loop

    def classify(self, error: Exception) -> type[OSError] | None:
        for refusal, meaning in _MEANINGS:
            if isinstance(error, refusal):
                return meaning
        return classify(error)

    async def _do(self, work: Callable[[Any], Awaitable[T]], *, again: bool = True) -> T:
        """Await `work`, a few short requests, within the timeout."""
        limits = self.limits
        return await SSHConnection.of(self.pool).do(
            work, retries=limits.retries, again=again, seconds=limits.timeout
        )

    async def _transfer(
        self, work: Callable[[Any], Awaitable[T]], *, seconds: float | None = None
    ) -> T:
        """Await `work`, which may take long; without `seconds` its own steps have a timeout."""
        link = SSHConnection.of(self.pool)
        return await link.do(work, retries=self.limits.retries, seconds=seconds)

    async def stat(self, path: str) -> Stat:
        return file_only(stat_of(path, await self._do(lambda sftp: sftp.stat(path))))

    async def _open(self, path: str) -> tuple[RemoteFile, Stat]:
        """Return an open remote file and its description."""

        async def described(sftp: Any) -> tuple[RemoteFile, Stat]:
            # before it is opened: a server that opens a FIFO answers no further request
            file_only(stat_of(path, await sftp.stat(path)))
            file = await sftp.open(path, "rb", block_size=0)
            try:
                return RemoteFile(file, sftp.limits), stat_of(path, await file.stat())
            except BaseException:
                await asyncio.shield(closed(file))
                raise

        return await self._do(described)

    async def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        return await SFTPReader(self._open, self.limits, path, start, end).open()

    async def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        async def listed(sftp: Any) -> Page:
            entries = []
            async for entry in sftp.scandir(path or "."):
                if entry.filename in (".", "..") or entry.filename.endswith(PARTIAL_SUFFIX):
                    continue
                stat = await self._listed(sftp, join(path, entry.filename), entry.attrs)
                if stat is not None:
                    entries.append(stat)
            return Page(entries=entries)

        # not _timed(), which would leave a session that does not answer to others
        limits = self.limits
        return await self._transfer(listed, seconds=limits.timeout * (limits.retries + 1))

    async def _listed(self, sftp: Any, name: str, attrs: asyncssh.SFTPAttrs) -> Stat | None:
        """Describe an entry of a directory, None for what is no file and no directory."""
        linked = is_link(attrs)
        try:
            stat = stat_of(name, await sftp.stat(name) if linked else attrs)
        except FileNotFoundError:
            return None
        except asyncssh.SFTPError as error:
            # a link that leads nowhere, or to where we may not look
            if isinstance(error, LOST):
                raise
            return None
        return replace(stat, is_link=linked)

    async def is_link(self, path: str) -> bool:
        return is_link(await self._do(lambda sftp: sftp.lstat(path)))

    async def _put(
        self, path: str, source: Source, options: Mapping[str, Any], *, exclusive: bool
    ) -> Stat:
        async def fill(sftp: Any, partial: str) -> Stat:
            if source.size:
                source.rewind()
            async with opened(self._new(sftp, partial), self.limits.timeout) as file:
                await self._send(RemoteFile(file, sftp.limits), source)
                finishing = self._finished(file)
                stat = stat_of(path, await asyncio.wait_for(finishing, self.limits.timeout))
            if stat.size != source.size:
                raise short_write(path, source.size, stat.size)
            return stat

        stat = await self._filled(path, fill, exclusive=exclusive)
        return replace(stat, checksum=source.checksum)

    async def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        async def fill(sftp: Any, partial: str) -> None:
            if not sftp.supports_remote_copy:
                raise NotSupported("This SFTP server has no copy of its own.")
            file_only(stat_of(source, await sftp.stat(source)))
            async with (
                sftp.open(source, "rb") as original,
                opened(self._new(sftp, partial), self.limits.timeout) as file,
            ):
                await sftp.remote_copy(original, file)
                await self._finished(file)

        await self._filled(target, fill, exclusive=exclusive)

    async def _filled(
        self, path: str, fill: Callable[[Any, str], Awaitable[T]], *, exclusive: bool
    ) -> T:
        """Fill a part file, then give it its name."""
        left = Leftovers()

        async def begun(sftp: Any, partial: str) -> T:
            left.connected = True
            return await fill(sftp, partial)

        async def filled(partial: str) -> T:
            return await self._transfer(lambda sftp: begun(sftp, partial))

        async def named(partial: str, path: str) -> None:
            await self._named(partial, path, left, exclusive=exclusive)
            if left.pending:
                await self._clean_up(partial, left)

        async def discard(partial: str, error: BaseException) -> None:
            # a caller that is cancelled does not wait for another connection
            if SSHConnection.of(self.pool).alive or not isinstance(error, asyncio.CancelledError):
                await asyncio.shield(self._clean_up(partial, left, error))
            elif left.connected:
                warn_of_leftovers(partial, left, error)

        return await arun(save(path, filled, named, discard), adirect)

    async def _clean_up(
        self, partial: str, left: Leftovers, error: BaseException | None = None
    ) -> None:
        """Undo what a save has left; where no connection can be made, give up at once.

        After an `error` that the server answered, its sessions can be asked again. Only after
        another one, such as a timeout, a session apart is worth its place among the few.
        """

        async def undo(sftp: Any) -> bool:
            return await arun(clean_up(SFTPNames(sftp), partial, left), adirect)

        if not left.connected:
            return
        link = SSHConnection.of(self.pool)
        answered = isinstance(error, Exception) and not isinstance(error, LOST)
        try:
            do = link.do if answered else link.do_apart
            if not await do(undo, seconds=self.limits.timeout):
                warn_of_leftovers(partial, left)
        except Exception as failure:
            warn_of_leftovers(partial, left, failure)

    async def _named(self, partial: str, path: str, left: Leftovers, *, exclusive: bool) -> None:
        async def named(sftp: Any) -> None:
            flow = give_name(
                SFTPNames(sftp),
                partial,
                path,
                left,
                exclusive=exclusive,
                refuses=SSHConnection.of(self.pool).refuses,
            )
            await arun(flow, adirect)

        naming = asyncio.ensure_future(self._do(named, again=False))
        try:
            await asyncio.shield(naming)
        except asyncio.CancelledError:
            # the request is on its way: what was cancelled must not be there in the end
            with contextlib.suppress(Exception):
                await naming
                if exclusive:
                    await self.delete(path)
            raise

    async def _new(self, sftp: Any, partial: str) -> Any:
        # created with its mode: nobody may read it who may not read it in the end
        attrs = _attrs(self.limits.file_mode)
        try:
            return await sftp.open(partial, "wb", attrs, block_size=0)
        except MISSING:
            await self._make_directory(sftp, parent_of(partial))
        return await sftp.open(partial, "wb", attrs, block_size=0)

    async def _make_directory(self, sftp: Any, path: str) -> None:
        if path.strip("/"):
            try:
                await self._mkdir(sftp, path)
            except MISSING:
                await self._make_directory(sftp, parent_of(path))
                await self._mkdir(sftp, path)

    async def _mkdir(self, sftp: Any, path: str) -> None:
        try:
            await sftp.mkdir(path, _attrs(self.limits.directory_mode))
        except asyncssh.SFTPFailure as error:
            # somebody else made it meanwhile
            if not await sftp.isdir(path):
                raise no_directory(path) from error
        else:
            if self.limits.directory_mode is not None:
                await sftp.chmod(path, self.limits.directory_mode)

    async def _send(self, file: RemoteFile, source: Source) -> None:
        free = asyncio.Semaphore(self.limits.max_concurrency)

        async def put(chunk: bytes, offset: int) -> None:
            try:
                await asyncio.wait_for(file.write(chunk, offset), self.limits.timeout)
            finally:
                free.release()

        try:
            async with asyncio.TaskGroup() as group:
                offset = 0
                async for chunk in self._steps(source):
                    await free.acquire()
                    group.create_task(put(chunk, offset))
                    offset += len(chunk)
        except BaseExceptionGroup as failed:
            error = failed.exceptions[0]
            # its own cause tells what the caller's content raised
            raise error from error.__cause__

    async def _steps(self, source: Source) -> AsyncIterator[bytes]:
        if source.data is not None:
            for start in range(0, len(source.data), STEP):
                yield source.data[start : start + STEP]
            return
        while chunk := await in_thread(source.read, min(STEP, self.limits.chunk_size)):
            yield chunk

    async def _finished(self, file: Any) -> asyncssh.SFTPAttrs:
        if self.limits.file_mode is not None:
            await file.chmod(self.limits.file_mode)
        attrs: asyncssh.SFTPAttrs = await file.stat()
        return attrs

    async def delete(self, path: str) -> None:
        async def remove(sftp: Any) -> None:
            try:
                await sftp.remove(path)
            except MISSING:
                return
            except asyncssh.SFTPFailure:
                if not await sftp.isdir(path):
                    raise
                # as on a local disk: an empty directory may go, a full one may not
                try:
                    await sftp.rmdir(path)
                except asyncssh.SFTPFailure as error:
                    raise not_empty(path) from error

        await self._do(remove)
