"""The documents and albums that the demo starts with."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from . import films, pictures
from .samples import LETTER, chime


@dataclass(frozen=True)
class SampleDocument:
    """A document on one of the storages; its file is made when it is missing."""

    title: str
    alias: str
    name: str
    content: Callable[[], bytes]


@dataclass(frozen=True)
class SampleAlbum:
    """An album on one of the storages."""

    title: str
    alias: str
    photos: dict[str, Callable[[], bytes]]


def _letter() -> bytes:
    return LETTER.encode()


def _tides() -> bytes:
    """Return a table of high and low water."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["hour", "metres"])
    for hour in range(24 * 90):
        height = 2.4 + 1.7 * math.sin(hour / 1.976) + 0.4 * math.sin(hour / 54)
        table.writerow([hour, f"{height:.2f}"])
    return text.getvalue().encode()


def _stations() -> bytes:
    places = ["Kirkwall", "Bergen", "Málaga", "Gdańsk", "Αθήνα", "Tromsø"]
    listed = [{"id": n, "place": place, "metres": n * 7 % 31} for n, place in enumerate(places)]
    return json.dumps({"stations": listed}, ensure_ascii=False, indent=2).encode()


def _bundle() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("letter.txt", _letter())
        archive.writestr("tides.csv", _tides())
        archive.writestr("emblem.png", pictures.emblem())
    return packed.getvalue()


DOCUMENTS = (
    SampleDocument("A letter of welcome", "default", "welcome.txt", _letter),
    SampleDocument("Tides of a season", "default", "tides 2026.csv", _tides),
    SampleDocument("Poster", "default", "poster, final (2).pdf", pictures.poster),
    SampleDocument("Moonlit sea", "default", "moon & sea.jpg", pictures.moonlit_sea),
    SampleDocument("Waves, a film", "default", "waves.webm", films.film),
    SampleDocument("Emblem", "default", "emblem.png", pictures.emblem),
    SampleDocument("Stations", "s3", "März.json", _stations),
    SampleDocument("Waves, from a bucket", "s3", "waves-bucket.webm", films.film),
    SampleDocument("Chime", "s3", "chime.wav", chime),
    SampleDocument("Forest in the fog", "s3", "forest.jpg", pictures.forest),
    SampleDocument("All of it, packed", "s3", "bundle.zip", _bundle),
)

ALBUMS = (
    SampleAlbum(
        "Patterns",
        "s3",
        {
            "tiles.jpg": pictures.tiles,
            "triangles.jpg": pictures.triangles,
            "waves.jpg": pictures.waves,
            "rings.jpg": pictures.rings,
        },
    ),
    SampleAlbum(
        "Landscapes",
        "default",
        {
            "mountains.jpg": pictures.mountains,
            "dunes.jpg": pictures.dunes,
            "moonlit sea.jpg": pictures.moonlit_sea,
            "city at dusk.jpg": pictures.city,
            "forest.jpg": pictures.forest,
            "northern lights.jpg": pictures.northern_lights,
        },
    ),
)
