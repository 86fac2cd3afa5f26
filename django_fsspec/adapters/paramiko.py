"""SFTP through fsspec's own filesystem, which stands on paramiko: one connection a thread.

It serves where sshfs is not installed, or where the class is asked for by name. How a new file
gets its name is told in ``sshfiles``.
"""

from __future__ import annotations

import contextlib
import socket
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import paramiko

from django_fsspec.exceptions import NotSupported
from django_fsspec.names import PARTIAL_SUFFIX, join
from django_fsspec.stat import Stat, utc

from .base import Dialect, Page, Reader, exists_already, short_write
from .blocking import file_only
from .connected import ConnectedAdapter
from .hostkeys import KnownHosts
from .partial import lock_beside, parent_of, partial_beside

if TYPE_CHECKING:
    from django_fsspec.content import Source

T = TypeVar("T")

#: bytes of one step of a transfer, and of the requests that fly together in it
_STEP = 1 << 20
_REQUEST = 1 << 15


def _stat(path: str, attrs: paramiko.SFTPAttributes) -> Stat:
    return Stat(
        name=path,
        size=attrs.st_size,
        is_dir=stat_module.S_ISDIR(attrs.st_mode or 0),
        last_modified=utc(attrs.st_mtime),
        accessed=utc(attrs.st_atime),
    )


class ParamikoReader(Reader):
    """An open remote file; holds its connection until closed."""

    def __init__(
        self, adapter: ParamikoAdapter, fs: Any, file: Any, stat: Stat, start: int, end: int
    ) -> None:
        self.stat = stat
        self._adapter, self._fs, self._file = adapter, fs, file
        self._position, self._end = start, end
        self._buffer = memoryview(b"")
        self._failed: BaseException | None = None
        self._closed = False

    def read(self, size: int) -> bytes:
        if not self._buffer:
            try:
                self._buffer = memoryview(self._step())
            except BaseException as error:
                self._failed = error
                raise
        chunk = bytes(self._buffer[:size])
        self._buffer = self._buffer[size:]
        return chunk

    def _step(self) -> bytes:
        stop = min(self._position + _STEP, self._end)
        starts = range(self._position, stop, _REQUEST)
        data = b"".join(self._file.readv([(at, min(_REQUEST, stop - at)) for at in starts]))
        self._position += len(data)
        return data

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._failed is None:
                # asks for it, and lets the next request find the answer
                self._file._close(async_=True)
            self._adapter.give_back(self._fs, self._failed)


class ParamikoAdapter(ConnectedAdapter):
    """SFTP as plain functions."""

    dialect: ClassVar[Dialect] = Dialect(
        atomic_create=True, rooted=True, max_key_bytes=4095, extra="sftp"
    )

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        waits = ("timeout", "banner_timeout", "auth_timeout", "channel_timeout")
        tuned = {**dict.fromkeys(waits, timeout), **options}
        known_hosts = tuned.pop("known_hosts", "~/.ssh/known_hosts")
        if known_hosts is None:
            tuned.setdefault("host_key_policy", "auto_add")
        if "host_key_policy" not in tuned:
            known = KnownHosts(known_hosts, str(tuned.get("host", "")), tuned.get("port", 22))
            # fsspec would trust any server
            tuned["host_key_policy"] = known
            tuned.setdefault("transport_factory", known.transport)
        return tuned

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        fs.ftp.get_channel().settimeout(timeout)
        fs.client.get_transport().set_keepalive(max(1, int(timeout / 3)))

    def alive(self, fs: Any) -> bool:
        transport = fs.client.get_transport()
        return transport is not None and transport.is_active() and not fs.ftp.sock.closed

    def answered(self, error: BaseException) -> bool:
        return isinstance(error, OSError) and not self.lost(error)

    def lost(self, error: BaseException) -> bool:
        if isinstance(error, paramiko.AuthenticationException):
            return False
        gone = (
            EOFError,
            ConnectionError,
            TimeoutError,
            socket.gaierror,
            paramiko.SSHException,
            paramiko.ssh_exception.NoValidConnectionsError,
        )
        return isinstance(error, gone) or str(error) == "Socket is closed"

    def close(self, fs: Any) -> None:
        fs.client.close()

    def stat(self, path: str) -> Stat:
        return file_only(_stat(path, self.do(lambda fs: fs.ftp.stat(path))))

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        def opened(fs: Any) -> tuple[Any, Stat]:
            file = fs.ftp.open(path, "rb")
            try:
                # OpenSSH opens directories, too
                return file, file_only(_stat(path, file.stat()))
            except BaseException:
                file._close(async_=True)
                raise

        fs, (file, stat) = self.holding(opened)
        size = stat.size or 0
        return ParamikoReader(
            self, fs, file, stat, start, size if end is None else min(end, size)
        )

    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        def listed(fs: Any) -> Page:
            found = (
                (join(path, attrs.filename), attrs)
                for attrs in fs.ftp.listdir_attr(path or ".")
                if not attrs.filename.endswith(PARTIAL_SUFFIX)
            )
            return Page(entries=[_stat(*entry) for entry in _followed(fs, found)])

        return self.do(listed)

    def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._save(path, source, self._create_from)

    def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._save(path, source, _replace_by)

    def _save(
        self, path: str, source: Source, give_name: Callable[[Any, str, str], None]
    ) -> Stat:
        partial = partial_beside(path)
        try:
            stat = self.do(lambda fs: self._fill(fs, partial, source))
            self.do(lambda fs: give_name(fs, partial, path), again=False)
        except BaseException as error:
            # nobody waits another time for a server that does not answer
            if not self.lost(error):
                with contextlib.suppress(Exception):
                    self.do(lambda fs: fs.ftp.remove(partial))
            raise
        return replace(stat, name=path, checksum=source.checksum)

    def _fill(self, fs: Any, partial: str, source: Source) -> Stat:
        if source.size:
            source.rewind()
        with self._new(fs, partial) as file:
            # sent without waiting for each answer: errors show in the size
            file.set_pipelined(True)
            for chunk in source.chunks(min(_STEP, self.limits.chunk_size)):
                file.write(chunk)
            if self.limits.file_mode is not None:
                file.chmod(self.limits.file_mode)
            stat = _stat(partial, file.stat())
        if stat.size != source.size:
            raise short_write(partial, source.size, stat.size)
        return stat

    def _new(self, fs: Any, partial: str) -> Any:
        try:
            return fs.ftp.open(partial, "wb")
        except FileNotFoundError:
            self._make_directory(fs, parent_of(partial))
        return fs.ftp.open(partial, "wb")

    def _make_directory(self, fs: Any, path: str) -> None:
        try:
            fs.ftp.mkdir(path)
        except FileNotFoundError:
            self._make_directory(fs, parent_of(path))
            fs.ftp.mkdir(path)
        except OSError as error:
            # somebody else made it meanwhile
            if self.lost(error) or not stat_module.S_ISDIR(fs.ftp.stat(path).st_mode or 0):
                raise
            return
        if self.limits.directory_mode is not None:
            fs.ftp.chmod(path, self.limits.directory_mode)

    def _create_from(self, fs: Any, partial: str, path: str) -> None:
        if "OpenSSH" not in fs.client.get_transport().remote_version:
            _create_locked(fs, partial, path)
            return
        try:
            fs.ftp.rename(partial, path)
        except OSError as error:
            if not self.lost(error) and _exists(fs, path):
                raise exists_already(path) from error
            raise

    def delete(self, path: str) -> None:
        def remove(fs: Any) -> None:
            try:
                fs.ftp.remove(path)
            except FileNotFoundError:
                return
            except OSError as error:
                if self.lost(error) or not stat_module.S_ISDIR(fs.ftp.stat(path).st_mode or 0):
                    raise
                # as on a local disk: an empty directory may go, a full one may not
                fs.ftp.rmdir(path)

        self.do(remove)

    def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        raise NotSupported("paramiko has no copy inside the server.")


def _followed(
    fs: Any, found: Iterable[tuple[str, paramiko.SFTPAttributes]]
) -> Iterator[tuple[str, paramiko.SFTPAttributes]]:
    """Yield entries with what links point to; a dangling link is no file."""
    for name, attrs in found:
        if stat_module.S_ISLNK(attrs.st_mode or 0):
            with contextlib.suppress(FileNotFoundError):
                yield name, fs.ftp.stat(name)
        else:
            yield name, attrs


def _exists(fs: Any, path: str) -> bool:
    try:
        fs.ftp.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _create_locked(fs: Any, partial: str, path: str) -> None:
    """Name `partial` after `path` unless that exists, in turn with other writers of ours."""
    lock = lock_beside(path)
    try:
        fs.ftp.open(lock, "wxb").close()
    except FileNotFoundError:
        raise
    except OSError as error:
        if _exists(fs, lock) or _exists(fs, path):
            raise exists_already(path) from error
        raise
    try:
        if _exists(fs, path):
            raise exists_already(path)
        _replace_by(fs, partial, path)
    finally:
        with contextlib.suppress(OSError):
            fs.ftp.remove(lock)


def _replace_by(fs: Any, partial: str, path: str) -> None:
    """Name `partial` after `path`, whatever is there."""
    try:
        fs.ftp.posix_rename(partial, path)
    except OSError as error:
        if "nsupported" not in str(error):
            raise
        # this server can't replace in one step: for a moment there is no file
        with contextlib.suppress(FileNotFoundError):
            fs.ftp.remove(path)
        fs.ftp.rename(partial, path)
