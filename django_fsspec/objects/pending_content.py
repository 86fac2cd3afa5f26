"""Unsaved content: accepted types; one-shot content is never read twice."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import threading
from abc import abstractmethod
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import UploadedFile

from django_fsspec.core.flows import running_loop
from django_fsspec.core.source import as_bytes, own_chunks, seekable

_PIECE = 1 << 20
#: characters of a text file that are enough to detect its type
_GLANCE = 8192
_END: Any = object()


class Unreadable(Exception):
    """Content can't be read before it is saved; the message says why."""


def accepted(content: Any) -> Any:
    """Return `content` in the form in which it is kept until it is saved. Reads nothing.

    Raises ``TypeError`` for a type that can't be saved as a file.
    """
    if isinstance(content, str | bytes | Path | Once):
        return content
    if isinstance(content, bytearray | memoryview):
        return bytes(content)
    if asyncio.iscoroutinefunction(getattr(content, "read", None)):
        if isinstance(content, AsyncIterable):
            return AsyncOnce(content)
    elif hasattr(content, "read") or hasattr(content, "chunks"):
        return content if _repeatable(content) else Once(content)
    elif isinstance(content, os.PathLike):
        return Path(content)
    elif isinstance(content, AsyncIterable):
        return AsyncOnce(content)
    elif isinstance(content, Iterable) and not isinstance(content, Mapping):
        return Once(content) if isinstance(content, Iterator) else content
    raise TypeError(
        "The content of a file must be bytes, str, a file, a Path, or an iterable or async "
        f"iterable of bytes, not {type(content).__name__}."
    )


def _repeatable(content: Any) -> bool:
    """Return whether a file, or an object with ``chunks()``, can be read twice."""
    try:
        return not hasattr(content, "read") or seekable(content)
    except ValueError:
        return True  # closed: saving it raises


class Once:
    """One-shot content: a second read would only get the rest, so it raises."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self._spent = False
        #: what ``peek()`` read ahead, the rest of the content, and the error that reading raised
        self._seen = bytearray()
        self._rest: Iterator[Any] | None = None
        self._failure: Exception | None = None
        self.size = None if hasattr(content, "read") else getattr(content, "size", None)
        self.content_type = getattr(content, "content_type", None)

    def chunks(self) -> Iterator[Any]:
        """Yield the content. Raises ``ValueError`` the second time."""
        self._check_unspent()
        self._spent = True
        seen, self._seen = bytes(self._seen), bytearray()
        if seen:
            yield seen
        if self._failure is not None:
            # returning would look like the end of the content
            raise self._failure
        yield from self._pieces() if self._rest is None else self._rest

    def peek(self, size: int | None, start: int = 0) -> bytes:
        """Return up to `size` bytes from `start` on, or all; ``chunks()`` still yields them.

        Reads only as many pieces as needed. Raises what the content raises (``chunks()`` raises it
        again), and ``ValueError`` after a read.
        """
        self._check_unspent()
        if self._rest is None:
            self._rest = iter(self._pieces())
        end = None if size is None else start + size
        while end is None or len(self._seen) < end:
            if self._failure is not None:
                raise self._failure
            try:
                self._seen += as_bytes(next(self._rest))
            except StopIteration:
                break
            except Exception as error:
                self._failure = error
                raise
        return bytes(self._seen[start:end])

    def _check_unspent(self) -> None:
        if self._spent:
            raise ValueError(
                "This content can be read only once, and a save that failed has read it: give it "
                "again."
            )

    def _pieces(self) -> Iterator[Any]:
        if own_chunks(self._content):
            yield from self._content.chunks()
        elif hasattr(self._content, "read"):
            while piece := self._content.read(_PIECE):
                yield piece
        else:
            yield from self._content


class Released(Once):
    """In place of content that was released from memory, which can't be saved any more."""

    def __init__(self) -> None:
        super().__init__(())
        self._spent = True

    def _check_unspent(self) -> None:
        raise ValueError(
            "The content of this file was released from memory before its transaction was rolled "
            "back: assign the file again, or raise DJANGO_FSSPEC_UNDO_MEMORY."
        )


class AsyncOnce(Once):
    """An async iterable, which the saving thread reads through the event loop of the caller."""

    def __init__(self, content: AsyncIterable[Any]) -> None:
        super().__init__(content)
        #: the loop on which it was created: a thread can read it through that loop
        self._home = running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._future: Future[Any] | None = None
        self._lock = threading.Lock()

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the loop to iterate on. Raises ``TypeError`` where there is none."""
        home = self._home
        if loop is None and home is not None and home.is_running():
            loop = home if running_loop() is not home else None
        if loop is None:
            raise TypeError(
                "save() has no event loop to read an async iterable with: await asave() instead."
            )
        self._loop = loop

    def detach(self) -> None:
        """Stop waiting for the next item: the save has ended or was cancelled."""
        with self._lock:
            self._loop, future = None, self._future
        if future is not None:
            future.cancel()

    def peek(self, size: int | None, start: int = 0) -> bytes:
        """Raise ``Unreadable``: the items can only be awaited."""
        raise Unreadable(
            "An async iterable can't be read before it is saved: give bytes or a file."
        )

    def _pieces(self) -> Iterator[Any]:
        iterator = aiter(self._content)

        async def following() -> Any:
            return await anext(iterator, _END)

        while True:
            with self._lock:
                if self._loop is None:
                    # returning would look like the end of the content
                    raise RuntimeError("The save that read this content has ended.")
                self._future = asyncio.run_coroutine_threadsafe(following(), self._loop)
            piece = self._future.result()
            if piece is _END:
                return
            yield piece


class AsyncAgain(AsyncOnce):
    """An async iterable that can be iterated over more than once."""

    repeats = True

    def chunks(self) -> Iterator[Any]:
        """Yield the content from its start."""
        return self._pieces()


class _View(io.RawIOBase):
    """Content as a file for reading ahead, whatever kind of content it is."""

    @abstractmethod
    def _take(self, size: int) -> bytes:
        """Return up to `size` bytes at the position, and go on."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _reasons():
            piece = self._take(len(buffer))
            buffer[: len(piece)] = piece
        return len(piece)

    def tell(self) -> int:
        return self.seek(0, io.SEEK_CUR)


class _Look(_View):
    """A view of an open file: closing the view leaves the file open."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def _take(self, size: int) -> bytes:
        return as_bytes(self._file.read(size))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _reasons():
            self._file.seek(offset, whence)
            return int(self._file.tell())


class _Ahead(_View):
    """One-shot content as a file, read ahead."""

    def __init__(self, once: Once) -> None:
        self._once, self._at = once, 0

    def _take(self, size: int) -> bytes:
        piece = self._once.peek(size, self._at)
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = 0 if whence == io.SEEK_SET else self._at
        if whence == io.SEEK_END:
            with _reasons():
                base = len(self._once.peek(None))
        self._at = max(0, base + offset)
        return self._at


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn what reading the content raises into ``Unreadable``."""
    try:
        yield
    except Unreadable:
        raise
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    except Exception as error:
        raise Unreadable(str(error) or type(error).__name__) from error


@contextmanager
def looking(content: Any) -> Iterator[IO[bytes]]:
    """Open `content` for reading ahead, at its start; later readers still get all of it.

    Raises ``Unreadable``, here or on reading, for content that can't be read or not ahead.
    """
    with _reasons():
        file = _ahead(content)
        where = content.tell() if isinstance(file, _Look) else None
        file.seek(0)
    try:
        yield io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
    finally:
        file.close()
        if where is not None:
            with _reasons():
                content.seek(where)


def _ahead(content: Any) -> Any:
    if isinstance(content, str | bytes):
        return io.BytesIO(as_bytes(content))
    if isinstance(content, Path):
        return content.open("rb")
    if isinstance(content, Once):
        content.peek(0)
        return _Ahead(content)
    if not hasattr(content, "read"):
        pieces = content.chunks() if hasattr(content, "chunks") else iter(content)
        return _Ahead(Once(pieces))
    if getattr(content, "closed", False):
        raise Unreadable("It is closed.")
    if not _repeatable(content):
        raise Unreadable("It can be read only once: give bytes, or a file that can seek.")
    if _is_text(content):
        where = content.tell()
        content.seek(0)
        try:
            return io.BytesIO(content.read(_GLANCE).encode())
        finally:
            content.seek(where)
    return _Look(content)


def _is_text(content: Any) -> bool:
    return isinstance(getattr(content, "file", content), io.TextIOBase)


def size_of(content: Any) -> int | None:
    """Return the size in bytes, None where that needs reading. Never raises."""
    if isinstance(content, str | bytes):
        return len(as_bytes(content))
    try:
        if isinstance(content, Path):
            return content.stat().st_size
        if hasattr(content, "size") or not hasattr(content, "seek") or _is_text(content):
            return int(content.size)
        where = content.tell()
        try:
            return int(content.seek(0, os.SEEK_END))
        finally:
            content.seek(where)
    except Exception:
        return None


def memory_of(content: Any) -> int:
    """Return how many bytes of memory `content` takes; 0 for what is on a disk. Never raises."""
    if isinstance(content, str | bytes):
        return len(content)
    if isinstance(content, list | tuple):
        return sum(map(memory_of, content))
    file = getattr(content, "file", content)
    return size_of(content) or 0 if isinstance(file, io.BytesIO | io.StringIO) else 0


def name_of(content: Any) -> str | None:
    """Return the name of an upload, a named ``ContentFile`` or a path, else None."""
    if isinstance(content, Path):
        return content.name
    if isinstance(content, UploadedFile | ContentFile) and content.name:
        return Path(content.name).name
    return None


def opened(content: Any, mode: str) -> tuple[Any, bool]:
    """Return a Django file at the start of `content`, and whether to close it afterwards.

    Raises ``ValueError`` for a mode other than ``"rb"`` and for one-shot content.
    """
    if mode != "rb":
        raise ValueError(f"Unsaved content can be opened as 'rb' only, not {mode!r}.")
    if isinstance(content, Path):
        return File(content.open("rb")), True
    if isinstance(content, str | bytes):
        return File(io.BytesIO(as_bytes(content))), True
    if isinstance(content, File):
        content.open()
        return content, False
    if hasattr(content, "read") and hasattr(content, "seek"):
        content.seek(0)
        return File(content), False
    raise ValueError("This content can be read only once, and so not before it is saved.")


def check_picklable(content: Any) -> None:
    """Raise ``TypeError`` for content that can't be pickled."""
    if isinstance(content, bytes | str | Path):
        return
    try:
        pickle.dumps(content)
    except Exception as error:
        raise TypeError(
            f"A FileObject with unsaved content ({type(content).__name__}) can't be pickled: "
            "save() it first."
        ) from error
