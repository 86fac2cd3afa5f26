"""The files that the demo starts with, all of them made on the spot."""

from __future__ import annotations

import io
import math
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFilter

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


def recording() -> Iterator[bytes]:
    """Yield nine minutes of quiet chords as a WAV file: a player seeks in it by ranges."""
    length = RECORDING_SIZE - 44
    yield struct.pack(
        *("<4sI4s4sIHHIIHH4sI", b"RIFF", length + 36, b"WAVE", b"fmt ", 16, 1, 1),
        *(RATE, RATE * 2, 2, 16, b"data", length),
    )
    loop = _chords()
    loop *= BLOCK // len(loop) + 1
    while length > 0:
        yield loop[:length]
        length -= len(loop)


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


def _saved(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=88)
    return buffer.getvalue()


def _sky(size: tuple[int, int], top: tuple[int, ...], bottom: tuple[int, ...]) -> Image.Image:
    """Return a vertical gradient."""
    column = Image.new("RGB", (1, size[1]))
    for y in range(size[1]):
        share = y / size[1]
        red, green, blue = (round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True))
        column.putpixel((0, y), (red, green, blue))
    return column.resize(size)


def dunes() -> bytes:
    """Return a picture of dunes at sunset."""
    width, height = size = (1200, 900)
    picture = _sky(size, (88, 60, 128), (255, 178, 110))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((700, 300, 900, 500), fill=(255, 232, 178))
    for layer, colour in enumerate([(214, 120, 82), (176, 84, 70), (122, 54, 64), (66, 32, 52)]):
        base = 480 + layer * 105
        ridge = [
            (x, base + 46 * math.sin(x / (210 - 20 * layer) + layer * 1.9) + 18 * math.sin(x / 83))
            for x in range(0, width + 10, 10)
        ]
        draw.polygon([(0, height), *ridge, (width, height)], fill=colour)
    return _saved(picture, "JPEG")


def northern_lights() -> bytes:
    """Return a picture of green light over black hills."""
    width, height = size = (1200, 900)
    picture = _sky(size, (6, 10, 32), (20, 48, 74))
    light = Image.new("RGB", size)
    draw = ImageDraw.Draw(light)
    for band, colour in enumerate([(40, 220, 140), (70, 150, 220), (150, 80, 200)]):
        for x in range(0, width, 6):
            foot = 520 - band * 70 + 80 * math.sin(x / 170 + band) + 26 * math.sin(x / 47)
            reach = 200 + 90 * math.sin(x / 61 + band * 2)
            draw.line((x, foot - reach, x, foot), fill=colour, width=4)
    light = light.filter(ImageFilter.GaussianBlur(22))
    picture = Image.blend(picture, light, 0.55)
    draw = ImageDraw.Draw(picture)
    for star in range(140):
        x, y = star * 977 % width, star * 613 % 420
        draw.point((x, y), fill=(240, 240, 255))
    hills = [(x, 760 + 60 * math.sin(x / 190) + 20 * math.sin(x / 41)) for x in range(0, 1210, 10)]
    draw.polygon([(0, height), *hills, (width, height)], fill=(5, 9, 16))
    return _saved(picture, "JPEG")


def emblem() -> bytes:
    """Return a picture with a transparent ground: three stacked disks."""
    picture = Image.new("RGBA", (800, 800))
    draw = ImageDraw.Draw(picture)
    for level, colour in enumerate([(18, 94, 84), (26, 138, 120), (64, 190, 160)]):
        top = 500 - level * 170
        draw.ellipse((120, top + 70, 680, top + 230), fill=(*colour, 255))
        draw.rectangle((120, top + 80, 680, top + 150), fill=(*colour, 255))
        draw.ellipse((120, top, 680, top + 160), fill=(*(min(255, c + 40) for c in colour), 255))
    return _saved(picture.resize((400, 400)), "PNG")
