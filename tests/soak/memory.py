"""How much memory a worker takes above idle, by the kernel's own account."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from django.core.files.base import ContentFile, File

from django_fsspec.storage import FSSpecStorage

from .jobs import storage

MEGABYTE = 1_000_000
_BLOCK = hashlib.shake_256(b"memory").digest(1 << 16)


class Peak(NamedTuple):
    #: bytes above idle at the highest point
    above: int
    #: bytes that went through
    moved: int
    digest: str


def _status(field: str, process: int | str = "self") -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


class Watched(NamedTuple):
    """What a process came to."""

    said: str
    seconds: float
    #: the most bytes it had, apart from the code it maps, which others share and the kernel drops
    own: int
    #: and with that
    resident: int


def watched(command: Sequence[str], **options: Any) -> Watched:
    """Run a command that must end well, and look at its memory every 10 ms."""
    own = resident = 0
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, **options)
        try:
            while process.poll() is None:
                # as it ends it has no memory
                with contextlib.suppress(LookupError):
                    own = max(own, _status("RssAnon", process.pid))
                    resident = _status("VmHWM", process.pid)
                time.sleep(0.01)
        finally:
            process.kill()
        said.seek(0)
        text = said.read()
    assert process.returncode == 0, text
    return Watched(text, time.monotonic() - start, own, resident)


class Generated:
    """A file of `size` bytes that lies nowhere; `seekable` or as a pipe."""

    closed = False

    def __init__(self, size: int, *, seekable: bool = True) -> None:
        self._seekable, self._total, self._position = seekable, size, 0
        if seekable:
            self.size = size
        self.digest = hashlib.sha256()

    def seekable(self) -> bool:
        return self._seekable

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        assert self._seekable
        assert position == 0
        self._position, self.digest = 0, hashlib.sha256()
        return position

    def read(self, size: int) -> bytes:
        size = min(size, self._total - self._position)
        # each block begins with its place, so that one lost or sent twice is seen
        start = self._position.to_bytes(8, "big")
        chunk = (start + _BLOCK * (size // len(_BLOCK) + 1))[:size]
        self._position += size
        self.digest.update(chunk)
        return chunk


def _save(store: FSSpecStorage, size: int) -> tuple[int, str]:
    content = Generated(size)
    store.save("big.bin", File(cast(Any, content), "big.bin"))
    return size, content.digest.hexdigest()


def _save_pipe(store: FSSpecStorage, size: int) -> tuple[int, str]:
    content = Generated(size, seekable=False)
    store.save("big.bin", File(cast(Any, content), "big.bin"))
    return size, content.digest.hexdigest()


async def _asave(store: FSSpecStorage, size: int) -> tuple[int, str]:
    content = Generated(size)
    await store.asave("big.bin", File(cast(Any, content), "big.bin"))
    return size, content.digest.hexdigest()


def _digest(chunks: Iterator[bytes]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


async def _adigest(chunks: AsyncIterator[bytes]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    async for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def _stream(store: FSSpecStorage, size: int) -> tuple[int, str]:
    return _digest(store.stream("big.bin"))


async def _astream(store: FSSpecStorage, size: int) -> tuple[int, str]:
    return await _adigest(store.astream("big.bin"))


def _read(store: FSSpecStorage, size: int) -> tuple[int, str]:
    with store.open("big.bin") as file:
        return _digest(iter(lambda: file.read(MEGABYTE), b""))


async def _aread(store: FSSpecStorage, size: int) -> tuple[int, str]:
    async with await store.aopen("big.bin") as file:
        return await _adigest(file.achunks())  # type: ignore[attr-defined]


WAYS: dict[str, Callable[[FSSpecStorage, int], Any]] = {
    "save": _save,
    "save from a pipe": _save_pipe,
    "asave": _asave,
    "stream": _stream,
    "astream": _astream,
    "open, read": _read,
    "aopen, achunks": _aread,
}
WRITES = ("save", "save from a pipe", "asave")


def measure(options: dict[str, Any], way: str, size: int) -> Peak:
    """Move `size` bytes in one of the `WAYS` and return the highest point above idle."""
    store = storage(options)

    async def warm_up() -> None:
        name = await store.asave("warm-up.txt", ContentFile(b"x" * 1000))
        await store.aget_content(name)
        await store.adelete(name)

    name = store.save("warm-up.txt", ContentFile(b"x" * 1000))
    store.get_content(name)
    asyncio.run(warm_up())
    _forget_peak()
    idle = _status("VmRSS")
    done = WAYS[way](store, size)
    moved, digest = asyncio.run(done) if asyncio.iscoroutine(done) else done
    return Peak(_status("VmHWM") - idle, moved, digest)
