"""Content that waits to be saved: what kinds there are, and that nothing is read twice by half."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import threading
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import UploadedFile

_PIECE = 1 << 20
_END: Any = object()


def accepted(content: Any) -> Any:
    """Return `content` as it is kept until it is saved.

    Raises ``TypeError`` for what can't become a file. Nothing is read.
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
    """Whether a file, or what has ``chunks()``, gives the same bytes a second time."""
    if not hasattr(content, "read"):
        return True
    seekable = getattr(content, "seekable", None)
    try:
        return bool(callable(seekable) and seekable() and content.tell() >= 0)
    except ValueError:
        return True  # closed: saving it says so
    except (AttributeError, OSError):
        return False


class Once:
    """Content that can be read a single time: a second try would store what is left of it."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self._spent = False
        self.size = None if hasattr(content, "read") else getattr(content, "size", None)
        self.content_type = getattr(content, "content_type", None)

    def chunks(self) -> Iterator[Any]:
        """Yield the content; ``ValueError`` the second time."""
        if self._spent:
            raise ValueError(
                "This content was read by a save that failed, and can be read only once: "
                "give it again."
            )
        self._spent = True
        yield from self._pieces()

    def _pieces(self) -> Iterator[Any]:
        if hasattr(self._content, "read"):
            while piece := self._content.read(_PIECE):
                yield piece
        else:
            yield from self._content


class AsyncOnce(Once):
    """An async iterable, read by the thread that saves it through the loop of who called."""

    def __init__(self, content: AsyncIterable[Any]) -> None:
        super().__init__(content)
        #: where it was given: a thread that this loop waits for can take the items from it
        self._home = asyncio._get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._future: Future[Any] | None = None
        self._lock = threading.Lock()

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Say on which loop the items come; ``TypeError`` without one."""
        home = self._home
        if loop is None and home is not None and home.is_running():
            loop = home if asyncio._get_running_loop() is not home else None
        if loop is None:
            raise TypeError(
                "An async iterable can't be saved by save(), which has no event loop: "
                "await asave()."
            )
        self._loop = loop

    def detach(self) -> None:
        """Stop waiting for the next item: the save has ended, or was cancelled."""
        with self._lock:
            self._loop, future = None, self._future
        if future is not None:
            future.cancel()

    def _pieces(self) -> Iterator[Any]:
        iterator = aiter(self._content)

        async def following() -> Any:
            return await anext(iterator, _END)

        while True:
            with self._lock:
                if self._loop is None:
                    # an end here would be taken for the end of the content
                    raise RuntimeError("The save that read this content has ended.")
                self._future = asyncio.run_coroutine_threadsafe(following(), self._loop)
            piece = self._future.result()
            if piece is _END:
                return
            yield piece


def size_of(content: Any) -> int | None:
    """Return the size in bytes where it is known without reading, else None."""
    if isinstance(content, str | bytes):
        return len(content.encode() if isinstance(content, str) else content)
    try:
        size = content.stat().st_size if isinstance(content, Path) else content.size
        return int(size)
    except Exception:
        return None


def name_of(content: Any) -> str | None:
    """Return the name that a user knows `content` by: of an upload, or of a path."""
    if isinstance(content, Path):
        return content.name
    if isinstance(content, UploadedFile | ContentFile) and content.name:
        return Path(content.name).name
    return None


def opened(content: Any, mode: str) -> tuple[Any, bool]:
    """Return a Django file at the start of `content`, and whether it is ours to close."""
    if mode != "rb":
        raise ValueError(f"Content that was not saved yet opens as 'rb' only, not {mode!r}.")
    if isinstance(content, Path):
        return File(content.open("rb")), True
    if isinstance(content, str | bytes):
        return File(io.BytesIO(content.encode() if isinstance(content, str) else content)), True
    if isinstance(content, File):
        content.open()
        return content, False
    if hasattr(content, "read") and hasattr(content, "seek"):
        content.seek(0)
        return File(content), False
    raise ValueError("This content can't be read before it is saved.")


def check_picklable(content: Any) -> None:
    """Raise ``TypeError`` for content that can't go into another process."""
    if isinstance(content, bytes | str | Path):
        return
    try:
        pickle.dumps(content)
    except Exception as error:
        raise TypeError(
            f"A FileObject whose content ({type(content).__name__}) was not saved yet can't be "
            "pickled: save() it first."
        ) from error
