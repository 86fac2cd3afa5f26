"""What workers are asked to do."""

from __future__ import annotations

import hashlib
import io
import pickle
import time
from functools import cache
from typing import Any

import fsspec
from django.core.files.base import ContentFile, File

from django_fsspec.storage import FSSpecStorage
from tests.helpers.workers import wait_until

# with sshfs installed the protocol "sftp" is sshfs
fsspec.register_implementation(
    "paramiko", "fsspec.implementations.sftp.SFTPFileSystem", clobber=True
)


def unique_bytes(seed: str, size: int) -> bytes:
    """Return bytes that no other seed gives; every part of them tells the seed."""
    block = hashlib.shake_256(seed.encode()).digest(min(size, 1 << 16))
    repeated = b"".join(
        block[:-8] + number.to_bytes(8, "big") for number in range(-(-size // len(block)))
    )
    return repeated[:size]


def storage(options: dict[str, Any]) -> FSSpecStorage:
    """Return the one storage of this process for `options`."""
    return _storage(pickle.dumps(options))


@cache
def _storage(options: bytes) -> FSSpecStorage:
    return FSSpecStorage(**pickle.loads(options))


def warm_up(options: dict[str, Any]) -> None:
    """Connect, so that a race is a race of saves and not of handshakes."""
    storage(options).exists("warm-up")


def save(options: dict[str, Any], name: str, seed: str, size: int, moment: float) -> str:
    """Save unique bytes at `moment` and return the name they got."""
    store, content = storage(options), ContentFile(unique_bytes(seed, size))
    wait_until(moment)
    return store.save(name, content)


class SlowFile(io.BytesIO):
    """A file that comes a little at a time, as from a slow disk: `seconds` in all."""

    def __init__(self, data: bytes, seconds: float) -> None:
        super().__init__(data)
        self.size = len(data)
        self._pause = seconds / self.size

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        time.sleep(self._pause * len(data))
        return data


def save_slowly(
    options: dict[str, Any], name: str, seed: str, size: int, seconds: float, moment: float
) -> float:
    """Save unique bytes that come in over `seconds`; return how long it took."""
    store = storage(options)
    content = File(SlowFile(unique_bytes(seed, size), seconds), name)
    wait_until(moment)
    start = time.monotonic()
    assert store.save(name, content) == name
    return time.monotonic() - start


def fetch(options: dict[str, Any], name: str) -> bytes:
    """Return a file's bytes."""
    return storage(options).get_content(name)


def delete(options: dict[str, Any], name: str) -> None:
    """Delete a file."""
    storage(options).delete(name)


def listed(options: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the names that listing and walking show."""
    store = storage(options)
    return sorted(store.listdir("")[1]), [stat.name for stat in store.walk()]
