"""Saves on a way to S3 that loses a tenth of the answers: what fails, and what is left behind.

    python -m benchmarks.faulty [saves]

Small, large and copied files, and files opened for creation, under names with a random part as
rows have, each told apart from what lies there by boto3.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import django
from django.conf import settings
from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.soak import grounds
from tests.soak.faults.scripted import Scripted

SEED = "faulty"
LOST = 0.1
LARGE = 5 * 1024 * 1024 + 1


def main(saves: int) -> int:
    """Print the figures; return how many objects are too many, and how many saves failed."""
    with servers.SeaweedS3() as s3, Scripted(s3.port) as way:
        storage = FSSpecStorage(
            **grounds.s3_options(s3, "faulty", way.url), chunk_size=5 * 1024 * 1024, timeout=10
        )
        storage.store("source", b"s" * 1000)
        chance = random.Random(SEED)
        way.fate = lambda _: "lost" if chance.random() < LOST else None
        made: dict[str, int] = {}
        failed: Counter[str] = Counter()
        for kind, name, save in _saves(storage, saves):
            try:
                made[save(name)] = 1
            except OSError as error:
                failed[f"{kind}: {type(error).__name__}"] += 1
        way.fate = lambda _: None
        there = grounds.s3_files(s3, "faulty").keys() - {"source"}
        lost, requests = way.faults["lost"], len(way.seen)
    extra, missing = there - made.keys(), made.keys() - there
    print(f"{saves} saves, {requests} requests, {lost} answers lost")
    print(f"extra objects {len(extra)}, missing {len(missing)}, failures {failed.total()}", failed)
    return len(extra) + len(missing) + failed.total()


def _saves(storage: FSSpecStorage, saves: int) -> Iterator[tuple[str, str, Callable[[str], str]]]:
    kinds: dict[str, Callable[[str], str]] = {
        "small": lambda name: storage.store(name, b"x" * 1000).name,
        "saved": lambda name: storage.save(name, ContentFile(b"x" * 1000)),
        "large": lambda name: storage.store(name, b"x" * LARGE).name,
        "copied": lambda name: storage.copy("source", name),
        "created": lambda name: _created(storage, name),
    }
    weights = {"small": 8, "saved": 4, "large": 2, "copied": 4, "created": 2}
    order = [kind for kind, weight in weights.items() for _ in range(weight)]
    for number in range(saves):
        kind = order[number % len(order)]
        yield kind, storage.flows.unique(f"{kind}-{number}.bin", None), kinds[kind]


def _created(storage: FSSpecStorage, name: str) -> str:
    with storage.open(name, "xb") as file:
        file.write(b"x" * 1000)
    return name


if __name__ == "__main__":
    settings.configure(USE_TZ=True)
    django.setup()
    sys.exit(bool(main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)))
