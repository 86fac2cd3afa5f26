"""A short film, drawn and packed on the spot: VP8 pictures, as WebP has them, in WebM.

A picture of a lossy WebP is a key frame of VP8 (RFC 9649 2.5), so every point of the film can
be jumped to, and its table of cues says where that point lies in the file.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from functools import cache

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 480, 270
SECONDS, A_SECOND = 20, 8
_TIMES = range(SECONDS * A_SECOND)

# names of elements: RFC 8794 (EBML), RFC 9559 (Matroska)
EBML, SEGMENT, INFO, TRACKS, CUES, CLUSTER = (
    "1A45DFA3", "18538067", "1549A966", "1654AE6B", "1C53BB6B", "1F43B675",
)  # fmt: skip


def element(name: str, content: bytes) -> bytes:
    """Return an element of EBML; its size takes eight bytes, whatever it is."""
    return bytes.fromhex(name) + b"\x01" + len(content).to_bytes(7, "big") + content


def number(name: str, value: int) -> bytes:
    return element(name, value.to_bytes(8, "big"))


def text(name: str, value: str) -> bytes:
    return element(name, value.encode())


@cache
def film() -> bytes:
    """Return a film of a ball over waves."""
    clusters = [_cluster(second) for second in range(SECONDS)]
    head = number("4286", 1) + number("42F7", 1) + number("42F2", 4) + number("42F3", 8)
    head += text("4282", "webm") + number("4287", 2) + number("4285", 2)
    duration = element("4489", struct.pack(">d", SECONDS * 1000.0))
    about = number("2AD7B1", 1_000_000) + duration + text("4D80", "demo") + text("5741", "demo")
    size = number("B0", WIDTH) + number("BA", HEIGHT)
    track = number("D7", 1) + number("73C5", 1) + number("83", 1) + text("86", "V_VP8")
    front = element(INFO, about) + element(TRACKS, element("AE", track + element("E0", size)))
    # as long as it will be: numbers have one size
    start = len(front) + len(_cues([0] * SECONDS))
    places = [start + sum(map(len, clusters[:second])) for second in range(SECONDS)]
    return element(EBML, head) + element(SEGMENT, front + _cues(places) + b"".join(clusters))


def _cues(places: list[int]) -> bytes:
    points = (
        element(
            "BB", number("B3", second * 1000) + element("B7", number("F7", 1) + number("F1", at))
        )
        for second, at in enumerate(places)
    )
    return element(CUES, b"".join(points))


def _cluster(second: int) -> bytes:
    blocks = (
        element("A3", b"\x81" + struct.pack(">hB", step * 1000 // A_SECOND, 0x80) + frame)
        for step, frame in enumerate(_frames(second))
    )
    return element(CLUSTER, number("E7", second * 1000) + b"".join(blocks))


def _frames(second: int) -> Iterator[bytes]:
    for step in range(A_SECOND):
        packed = io.BytesIO()
        _drawn(second * A_SECOND + step).save(packed, "WEBP", quality=60, method=0)
        data = packed.getvalue()
        at = data.index(b"VP8 ")
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at + 8 : at + 8 + length]


def _drawn(time: int) -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), (16, 42, 58))
    draw = ImageDraw.Draw(picture)
    part = time / len(_TIMES)
    x, y = 40 + part * (WIDTH - 80), 120 - 70 * math.sin(part * math.pi)
    draw.ellipse((x - 26, y - 26, x + 26, y + 26), fill=(246, 196, 110))
    for layer, colour in enumerate(((29, 94, 108), (24, 72, 88), (18, 54, 70))):
        points = [
            (at, 175 + layer * 26 + 9 * math.sin(at / 38 + time / 4 + layer * 1.7))
            for at in range(0, WIDTH + 8, 8)
        ]
        draw.polygon([(0, HEIGHT), *points, (WIDTH, HEIGHT)], fill=colour)
    return picture
