"""The files that the demo starts with, all of them made on the spot."""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from .pictures import dunes, emblem, northern_lights

RECORDING = "recording-50MB.wav"
RECORDING_SIZE = 50 * 1024 * 1024
RATE = 48_000
BLOCK = 1024 * 1024

LETTER = """\
Dear reader,

this file went through Django's plain storage API:

    from django.core.files.storage import default_storage, storages

    default_storage.save("letters/welcome.txt", file)    # a folder on this machine
    storages["s3"].save("letters/welcome.txt", file)     # a real S3 server

The same class, FSSpecStorage, stands behind both. Only OPTIONS in STORAGES differ.
"""


@dataclass(frozen=True)
class Sample:
    """A file as a name, a size in bytes and a way to make it piece by piece."""

    name: str
    size: int
    pieces: Callable[[], Iterable[bytes]]

    def part(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, without holding the rest."""
        found, position = [], 0
        for piece in self.pieces():
            found.append(piece[max(0, start - position) : max(0, end - position)])
            position += len(piece)
            if position >= end:
                break
        return b"".join(found)


@cache
def samples() -> tuple[Sample, ...]:
    """Return all of them; the large one is made only as it is read."""
    whole = {
        "letters/welcome.txt": LETTER.encode(),
        "dunes.jpg": dunes(),
        "northern-lights.jpg": northern_lights(),
        "emblem.png": emblem(),
    }
    small = [Sample(name, len(data), _once(data)) for name, data in whole.items()]
    return *small, Sample(RECORDING, RECORDING_SIZE, recording)


def _once(data: bytes) -> Callable[[], Iterable[bytes]]:
    return lambda: [data]


def recording(length: int = RECORDING_SIZE - 44) -> Iterator[bytes]:
    """Yield nine minutes of quiet chords as a WAV file: a player seeks in it by ranges."""
    yield struct.pack(
        *("<4sI4s4sIHHIIHH4sI", b"RIFF", length + 36, b"WAVE", b"fmt ", 16, 1, 1),
        *(RATE, RATE * 2, 2, 16, b"data", length),
    )
    loop = _chords()
    loop *= BLOCK // len(loop) + 1
    while length > 0:
        yield loop[:length]
        length -= len(loop)


def chime() -> bytes:
    """Return two seconds of it."""
    length = RATE * 4
    return next(recording(length)) + _chords()[:length]


@cache
def _chords() -> bytes:
    # whole frequencies over whole seconds: the loop closes without a click
    samples = array("h")
    for tones in ((220, 262, 330), (175, 220, 262), (131, 330, 392), (196, 247, 294)):
        steps = [2 * math.pi * tone / RATE for tone in tones]
        for moment in range(2 * RATE):
            swell = math.sin(math.pi * moment / (2 * RATE)) ** 2
            value = sum(math.sin(step * moment) for step in steps)
            samples.append(int(3500 * swell * value))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
