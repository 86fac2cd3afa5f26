"""SFTP through fsspec's own filesystem, which stands on paramiko: one connection a thread.

It serves where sshfs is not installed, or where the class is named in the settings.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar

import paramiko

from django_fsspec.adapters import families
from django_fsspec.adapters.base import Dialect, Page
from django_fsspec.adapters.blocking import file_only
from django_fsspec.adapters.connection import ConnectedAdapter
from django_fsspec.adapters.errors import (
    classify,
    no_directory,
    not_empty,
    short_write,
)
from django_fsspec.adapters.part_files import parent_of
from django_fsspec.adapters.resuming_readers import OpenedRange
from django_fsspec.core.names import PARTIAL_SUFFIX, join
from django_fsspec.exceptions import NotSupported

from .paramiko_files import (
    STEP,
    ParamikoNames,
    ParamikoStream,
    close_unasked,
    is_dir,
    is_link,
    listed,
    lost,
    stat_of,
)
from .paramiko_hostkeys import KnownHosts

if TYPE_CHECKING:
    from django_fsspec.core.source import Source
    from django_fsspec.core.stat import Stat


class ParamikoAdapter(ConnectedAdapter):
    """Verbs on SFTP by paramiko, as plain functions."""

    dialect: ClassVar[Dialect] = families.PARAMIKO.dialect

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        waits = ("timeout", "banner_timeout", "auth_timeout", "channel_timeout")
        tuned = {**dict.fromkeys(waits, timeout), **options}
        known_hosts = tuned.pop("known_hosts", "~/.ssh/known_hosts")
        if known_hosts is not None and "host_key_policy" not in tuned:
            # fsspec would trust any server
            factory = tuned.get("transport_factory") or paramiko.Transport
            host, port = str(tuned.get("host", "")), tuned.get("port", 22)
            tuned["transport_factory"] = KnownHosts(known_hosts, host, port, factory).transport
        return tuned

    @classmethod
    def further_options(cls) -> Collection[str]:
        connect = inspect.signature(paramiko.SSHClient.connect).parameters
        return {*connect, "host_key_policy", "known_hosts", "temppath"} - {"self", "hostname"}

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
        return lost(error)

    def classify(self, error: Exception) -> type[OSError] | None:
        # paramiko's words for a server that says nothing
        if str(error) in ("Error reading SSH protocol banner", "No existing session"):
            return TimeoutError
        return classify(error)

    def close(self, fs: Any) -> None:
        fs.client.close()

    def stat(self, path: str) -> Stat:
        return file_only(stat_of(path, self.do(lambda fs: fs.ftp.stat(path))))

    def open(self, path: str, start: int, end: int | None) -> OpenedRange:
        def opened(fs: Any) -> tuple[Any, Stat]:
            # before it is opened: a server that opens a FIFO answers no further request
            file_only(stat_of(path, fs.ftp.stat(path)))
            file = fs.ftp.open(path, "rb")
            try:
                return file, stat_of(path, file.stat())
            except BaseException:
                close_unasked(file)
                raise

        fs, (file, stat) = self.holding(opened)
        size = stat.size or 0
        stop = size if end is None else min(end, size)
        stream = ParamikoStream(file, start, stop, lambda error: self.give_back(fs, error))
        return OpenedRange(stat, stream)

    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        def entries(fs: Any) -> Page:
            stats = (
                listed(fs, join(path, attrs.filename), attrs)
                for attrs in fs.ftp.listdir_attr(path or ".")
                if not attrs.filename.endswith(PARTIAL_SUFFIX)
            )
            return Page(entries=[stat for stat in stats if stat is not None])

        return self.do(entries)

    def is_link(self, path: str) -> bool:
        return is_link(self.do(lambda fs: fs.ftp.lstat(path)))

    def names(self, fs: Any) -> ParamikoNames:
        return ParamikoNames(fs)

    def refuses(self, fs: Any) -> bool:
        return "OpenSSH" in fs.client.get_transport().remote_version

    def fill(self, fs: Any, partial: str, source: Source) -> Stat:
        if source.size:
            source.rewind()
        with self._new(fs, partial) as file:
            if self.limits.file_mode is not None:
                # before the first byte: paramiko's open() takes no mode
                file.chmod(self.limits.file_mode)
            # sent without waiting for each answer: errors show in the size
            file.set_pipelined(True)
            for chunk in source.chunks(min(STEP, self.limits.chunk_size)):
                file.write(chunk)
            stat = stat_of(partial, file.stat())
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
        if path.strip("/"):
            try:
                self._mkdir(fs, path)
            except FileNotFoundError:
                self._make_directory(fs, parent_of(path))
                self._mkdir(fs, path)

    def _mkdir(self, fs: Any, path: str) -> None:
        try:
            mode = self.limits.directory_mode
            fs.ftp.mkdir(path, 0o777 if mode is None else mode & 0o777)
        except FileNotFoundError:
            raise
        except OSError as error:
            # somebody else made it meanwhile
            if self.lost(error):
                raise
            if not is_dir(fs, path):
                raise no_directory(path) from error
        else:
            if self.limits.directory_mode is not None:
                fs.ftp.chmod(path, self.limits.directory_mode)

    def delete(self, path: str) -> None:
        def remove(fs: Any) -> None:
            try:
                fs.ftp.remove(path)
            except FileNotFoundError:
                return
            except OSError as error:
                if self.lost(error) or not is_dir(fs, path):
                    raise
                # as on a local disk: an empty directory may go, a full one may not
                try:
                    fs.ftp.rmdir(path)
                except OSError as full:
                    raise not_empty(path) from full

        self.do(remove)

    def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        raise NotSupported("paramiko has no copy inside the server.")
