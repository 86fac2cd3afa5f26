"""FTP, through the client of the standard library that fsspec's filesystem holds.

fsspec's own operations list the whole parent directory for each request and cache the listing.
"""

from __future__ import annotations

import contextlib
import ftplib
import io
import socket
import ssl
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fsspec.implementations.ftp import FTPFileSystem

from django_fsspec.adapters.base import Dialect, Page
from django_fsspec.adapters.connection import ConnectedAdapter
from django_fsspec.adapters.errors import (
    classify,
    no_directory,
    not_empty,
    not_found,
    short_write,
)
from django_fsspec.adapters.part_files import parent_of
from django_fsspec.adapters.resuming_readers import OpenedRange
from django_fsspec.exceptions import NotSupported, StorageError

from .facts import (
    Listing,
    answered,
    at,
    code_of,
    exists,
    facts_at,
    file_at,
    is_dir,
    listed,
    lost,
    meaning_of,
    stat_of,
)
from .files import FTPNames, FTPStream
from .tls import IMPLICIT, FTPSFileSystem

if TYPE_CHECKING:
    from django_fsspec.core.source import Source
    from django_fsspec.core.stat import Stat

#: bytes sent at a time
_STEP = 1 << 18


class FTPAdapter(ConnectedAdapter):
    """Verbs on FTP and FTPS."""

    # command lines of 2048 bytes are what servers take
    dialect: ClassVar[Dialect] = Dialect(atomic_create=True, rooted=True, max_key_bytes=2000)

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        context, tls = options.get("ssl_context"), options.get("tls", False)
        if not isinstance(tls, bool) and tls not in IMPLICIT:
            raise ValueError(
                f"'tls' is {tls!r}: write True for explicit FTPS, 'tls' for implicit FTPS."
            )
        if context is not None and not isinstance(context, ssl.SSLContext):
            raise ValueError(
                "'ssl_context' must be an ssl.SSLContext: ssl.create_default_context(cafile='…')."
            )
        if context is not None and not tls:
            raise ValueError("'ssl_context' is of no use without 'tls': True.")
        return {"timeout": timeout, **options}

    @classmethod
    def further_options(cls) -> Collection[str]:
        return ("ssl_context",)

    @classmethod
    def filesystem_class(cls, fs_class: type[Any], options: Mapping[str, Any]) -> type[Any]:
        return FTPSFileSystem if options.get("tls") and fs_class is FTPFileSystem else fs_class

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        if isinstance(fs, FTPSFileSystem) and fs.ftp.context is not fs.ssl_context:
            raise StorageError("This release of fsspec connects in another way: use plain SFTP.")
        if isinstance(fs.ftp, ftplib.FTP_TLS) and not isinstance(fs, FTPSFileSystem):
            # a ready instance, or a class of the user's own: fsspec forgets it for implicit FTPS
            fs.ftp.prot_p()
        try:
            lines = fs.ftp.sendcmd("FEAT").splitlines()[1:-1]
        except ftplib.error_perm:
            lines = []
        fs.features = frozenset(line.split()[0].upper() for line in lines if line.strip())
        if "UTF8" in fs.features and fs.encoding.lower() in ("utf-8", "utf8"):
            with contextlib.suppress(ftplib.error_perm):
                fs.ftp.sendcmd("OPTS UTF8 ON")

    def take(self) -> Any:
        try:
            return super().take()
        except ftplib.error_perm as error:
            if code_of(error) == "530":
                raise
            # of a file, 550 means that there is none; ProFTPD says so of a login without TLS
            raise StorageError(
                f"the server refused the connection ({error}); check 'tls' in fs_options"
            ) from error

    def alive(self, fs: Any) -> bool:
        sock = fs.ftp.sock
        if sock is None:
            return False
        try:
            if isinstance(sock, ssl.SSLSocket):
                fs.ftp.voidcmd("NOOP")
                return True
            sock.settimeout(0)
            # a server that sends something unasked is closing the connection
            sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            sock.settimeout(fs.timeout)
            return True
        except (OSError, EOFError, ftplib.Error):
            return False
        return False

    def answered(self, error: BaseException) -> bool:
        return answered(error)

    def lost(self, error: BaseException) -> bool:
        return lost(error)

    def close(self, fs: Any) -> None:
        fs.ftp.close()

    def classify(self, error: Exception) -> type[OSError] | None:
        return meaning_of(error) or classify(error)

    def explained(self, error: Exception) -> StorageError | None:
        if isinstance(error, UnicodeDecodeError):
            return StorageError(
                f"the server sends text that is not {error.encoding}: "
                "name its encoding as 'encoding' in fs_options, 'latin-1' for example"
            )
        if isinstance(error, ftplib.Error) and not isinstance(
            error, ftplib.error_temp | ftplib.error_perm
        ):
            return StorageError(f"the server does not keep to the FTP protocol: {error}")
        return None

    # reading

    def stat(self, path: str) -> Stat:
        return self.do(lambda fs: file_at(fs, path))

    def open(self, path: str, start: int, end: int | None) -> OpenedRange:
        def opened(fs: Any) -> tuple[Stat, Any, int]:
            stat = file_at(fs, path)
            past = stat.size is not None and start >= stat.size
            if past or (end is not None and end <= start):
                return stat, None, 0
            fs.ftp.voidcmd("TYPE I")
            try:
                return stat, fs.ftp.transfercmd(f"RETR {at(path)}", start or None), 0
            except ftplib.error_perm as error:
                # a server that can't start in the middle
                if not start or code_of(error) not in ("500", "501", "502", "504"):
                    raise
            return stat, fs.ftp.transfercmd(f"RETR {at(path)}"), start

        fs, (stat, data, skip) = self.holding(opened)
        if data is None:
            self.give_back(fs)
            return OpenedRange(stat)
        length = None if end is None else skip + end - start
        stream = FTPStream(fs, data, length, lambda error: self.give_back(fs, error))
        return OpenedRange(stat, stream, skip=skip)

    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        def entries(fs: Any) -> Page:
            try:
                return Page(entries=listed(fs, path, links=recursive))
            except ftplib.error_perm as error:
                if code_of(error) == "501" or meaning_of(error) is FileNotFoundError:
                    raise not_found(path) from error
                raise

        return self.do(entries)

    def is_link(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return self.do(lambda fs: Listing(fs, folder).is_link(name))

    # writing

    def names(self, fs: Any) -> FTPNames:
        return FTPNames(fs)

    def fill(self, fs: Any, partial: str, source: Source) -> Stat:
        if source.size:
            source.rewind()
        content = source if source.data is None else io.BytesIO(source.data)
        command = f"STOR {at(partial)}"
        try:
            fs.ftp.storbinary(command, content, _STEP)
        except ftplib.error_perm:
            self._store_in_new_directory(fs, command, partial, content)
        stat = stat_of(partial, facts_at(fs, partial))
        if stat.size != source.size:
            raise short_write(partial, source.size, stat.size)
        return stat

    def _store_in_new_directory(self, fs: Any, command: str, path: str, content: Any) -> None:
        try:
            self._make_directory(fs, parent_of(path))
            fs.ftp.storbinary(command, content, _STEP)
        except ftplib.error_perm as error:
            if meaning_of(error) is not FileNotFoundError:
                raise
            # of a file that is written, 550 means something else
            raise StorageError(f"the server does not take the file: {error}") from error

    def _make_directory(self, fs: Any, path: str) -> None:
        # the root is there, also where the user may not enter it
        if not path.strip("/") or is_dir(fs, path):
            return
        self._make_directory(fs, parent_of(path))
        try:
            fs.ftp.voidcmd(f"MKD {at(path)}")
        except ftplib.error_perm:
            # somebody else made it meanwhile
            if not is_dir(fs, path):
                if exists(fs, path):
                    raise no_directory(path) from None
                raise

    def delete(self, path: str) -> None:
        def remove(fs: Any) -> None:
            try:
                fs.ftp.delete(at(path))
            except ftplib.error_perm:
                if is_dir(fs, path):
                    # as on a local disk: an empty directory may go, a full one may not
                    try:
                        fs.ftp.rmd(at(path))
                    except ftplib.error_perm as error:
                        raise not_empty(path) from error
                elif exists(fs, path):
                    raise

        self.do(remove)

    def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        raise NotSupported("FTP has no copy inside the server.")
