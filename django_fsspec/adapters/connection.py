"""The base adapter for filesystems that are one connection each: FTP, SFTP by paramiko."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from django_fsspec.core.flows import direct, run
from django_fsspec.core.source import ContentFailed

from .base import Reader
from .blocking import BlockingAdapter
from .errors import missing_file
from .part_files import (
    Leftovers,
    NameCalls,
    clean_up,
    give_name,
    save,
    warn_of_leftovers,
)
from .resuming_readers import BlockingResumingReader, OpenedRange
from .retries import RetryPolicy

if TYPE_CHECKING:
    from django_fsspec.core.source import Source
    from django_fsspec.core.stat import Stat

T = TypeVar("T")


class ConnectedReader(BlockingResumingReader):
    """A stream over a connection; opened again over another connection when that is lost."""

    def __init__(self, adapter: ConnectedAdapter, path: str, start: int, end: int | None) -> None:
        super().__init__(path, start, end, adapter.limits.retries)
        self._adapter = adapter

    def _open(self) -> OpenedRange:
        opened = self._adapter.open(self._path, self._position, self._end)
        return opened._replace(version=replace(opened.stat, accessed=None))

    def _is_broken(self, error: Exception) -> bool:
        return self._adapter.lost(error)


class ConnectedAdapter(BlockingAdapter):
    """Verbs over a connection that one thread uses at a time, and that is replaced when lost."""

    clonable = True

    @abstractmethod
    def alive(self, fs: Any) -> bool:
        """Return whether the connection is open, where possible without asking the server."""

    @abstractmethod
    def answered(self, error: BaseException) -> bool:
        """Return whether `error` is an answer of the server, so that the connection is usable."""

    @abstractmethod
    def lost(self, error: BaseException) -> bool:
        """Return whether `error` means that the connection was lost or could not be made."""

    @abstractmethod
    def close(self, fs: Any) -> None:
        """Close the connection without waiting for the server."""

    @abstractmethod
    def open(self, path: str, start: int, end: int | None) -> OpenedRange:
        """Open bytes `start` to `end` as a stream that ends with its connection."""

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        return ConnectedReader(self, path, start, end).open()

    def take(self) -> Any:
        """Return a filesystem with a live connection that no other thread uses."""
        fs = self.pool.take()
        if not self.alive(fs):
            self.close(fs)
            fs = self.pool.another()
        return fs

    def give_back(self, fs: Any, error: BaseException | None = None) -> None:
        """Give a filesystem back after use; close its connection after an unknown `error`."""
        if error is not None and not self.answered(error):
            self.close(fs)
            self.pool.give_back(fs, error)
        else:
            self.pool.give_back(fs)

    def do(self, work: Callable[[Any], T], *, again: bool = True, retries: int | None = None) -> T:
        """Call `work` with a connected filesystem and return its result; see holding()."""
        fs, result = self.holding(work, again=again, retries=retries)
        self.give_back(fs)
        return result

    def holding(
        self, work: Callable[[Any], T], *, again: bool = True, retries: int | None = None
    ) -> tuple[Any, T]:
        """Return a connected filesystem, still taken, and what `work` gives for it.

        Retried where no connection can be made, and where it is lost under work that may be
        done `again`: `retries` times, by default as often as the storage's limits say.
        """
        retries = self.limits.retries if retries is None else retries
        connected = False

        def attempt() -> tuple[Any, T]:
            nonlocal connected
            connected = False
            fs = self.take()
            connected = True
            try:
                return fs, work(fs)
            except BaseException as error:
                self.give_back(fs, error)
                raise

        def transient(error: Exception) -> bool:
            final = ContentFailed if connected else FileNotFoundError
            return (again or not connected) and not isinstance(error, final) and self.lost(error)

        try:
            return RetryPolicy(retries, transient).run(attempt)
        except FileNotFoundError as error:
            if connected:
                raise
            raise missing_file(error) from error

    @abstractmethod
    def fill(self, fs: Any, partial: str, source: Source) -> Stat:
        """Write all of `source` to the part file `partial`; describe it as the server does."""

    @abstractmethod
    def names(self, fs: Any) -> NameCalls:
        """Return the calls on names of a connected filesystem."""

    def refuses(self, fs: Any) -> bool:
        """Return whether the server's rename refuses a name that is taken."""
        return False

    def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._save(path, source, exclusive=True)

    def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._save(path, source, exclusive=False)

    def _save(self, path: str, source: Source, *, exclusive: bool) -> Stat:
        left = Leftovers()

        def fill(partial: str) -> Stat:
            return self.do(lambda fs: self._filled(fs, partial, source, left))

        def named(partial: str, path: str) -> None:
            self.do(
                lambda fs: self._named(fs, partial, path, left, exclusive=exclusive), again=False
            )
            if left.pending:
                self._clean_up(partial, left)

        def discard(partial: str, error: BaseException) -> None:
            self._clean_up(partial, left)

        stat = run(save(path, fill, named, discard), direct)
        return replace(stat, name=path, checksum=source.checksum)

    def _filled(self, fs: Any, partial: str, source: Source, left: Leftovers) -> Stat:
        left.connected = True
        return self.fill(fs, partial, source)

    def _named(
        self, fs: Any, partial: str, path: str, left: Leftovers, *, exclusive: bool
    ) -> None:
        refuses = self.refuses(fs)
        flow = give_name(self.names(fs), partial, path, left, exclusive=exclusive, refuses=refuses)
        run(flow, direct)
        if left.pending:
            # named, and lost before everything was undone
            self.close(fs)

    def _clean_up(self, partial: str, left: Leftovers) -> None:
        """Undo what a save has left; where no connection can be made, give up at once."""

        def undo(fs: Any) -> bool:
            done = run(clean_up(self.names(fs), partial, left), direct)
            if not done:
                self.close(fs)
            return done

        if not left.connected:
            return
        try:
            if not self.do(undo, retries=0):
                warn_of_leftovers(partial, left)
        except Exception as failure:
            warn_of_leftovers(partial, left, failure)
