"""The wire budget as a table: what is done, and how many requests it may take."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import Storage

from django_fsspec.storage import FSSpecStorage
from tests import servers

PART = 8 * 1024 * 1024
LARGE = 20_000_000
MANY = 2_500
#: requests of one page, at most
PAGE = 1000

SEED: Mapping[str, bytes] = {
    "small.txt": b"x" * 10_000,
    "taken.txt": b"taken",
    "old.txt": b"to be deleted",
    "large.bin": b"y" * LARGE,
}


@dataclass(frozen=True)
class Operation:
    """Something to do with a storage, within `budget` requests.

    `peer` is the same for a storage that has Django's API only.
    """

    label: str
    budget: int
    ours: Callable[[FSSpecStorage], object]
    peer: Callable[[Storage], object] | None = None
    many: bool = False

    def run(self, storage: Storage) -> object:
        """Do it."""
        if isinstance(storage, FSSpecStorage):
            return self.ours(storage)
        return (self.peer or self.ours)(storage)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.label


def _saving(name: str, size: int) -> Callable[[Storage], object]:
    return lambda storage: storage.save(name, ContentFile(b"z" * size))


def _read(name: str) -> Callable[[Storage], object]:
    def read(storage: Storage) -> object:
        with storage.open(name) as file:
            return file.read()

    return read


def _write(storage: Storage) -> object:
    with storage.open("written.txt", "wb") as file:
        return file.write(b"w" * 10_000)


def _stream(storage: FSSpecStorage) -> object:
    return sum(map(len, storage.stream("large.bin")))


def _stream_of_peer(storage: Storage) -> object:
    with storage.open("large.bin") as file:
        return sum(map(len, file.chunks()))


def _range_of_peer(storage: Storage) -> object:
    with storage.open("large.bin") as file:
        file.seek(1000)
        return file.read(1000)


def _missing_size(storage: Storage) -> None:
    with contextlib.suppress(FileNotFoundError):
        storage.size("missing.txt")
        raise AssertionError("a missing file has a size")


def _copy_of_peer(storage: Storage) -> object:
    with storage.open("small.txt") as file:
        return storage.save("copy.txt", file)


def _missing_names() -> Sequence[str]:
    return [f"gone/{number:05}" for number in range(MANY)]


def _delete_each(storage: Storage) -> None:
    for name in _missing_names():
        storage.delete(name)


def check_listing(storage: Storage) -> int:
    """List the folder of many files and return how many there are."""
    count = len(storage.listdir("many")[1])
    assert count == MANY
    return count


OPERATIONS: Sequence[Operation] = [
    Operation("save 10 kB", 1, _saving("new.txt", 10_000)),
    Operation("save 8 MiB", 1, _saving("new.bin", PART)),
    Operation("save, name taken", 3, _saving("taken.txt", 10)),
    Operation("save 20 MB", ceil(LARGE / PART) + 2, _saving("new-large.bin", LARGE)),
    Operation("open('wb'), write 10 kB", 1, _write),
    Operation("open().read() 10 kB", 1, _read("small.txt")),
    Operation("open().read() 20 MB", 1, _read("large.bin")),
    Operation("get_content() 10 kB", 1, lambda s: s.get_content("small.txt"), _read("small.txt")),
    Operation("stream 20 MB", 1, _stream, _stream_of_peer),
    Operation(
        "1 kB at 1,000 of 20 MB",
        1,
        lambda s: s.get_content("large.bin", 1000, 2000),
        _range_of_peer,
    ),
    Operation("exists (hit)", 1, lambda s: s.exists("small.txt")),
    Operation("exists (miss)", 1, lambda s: s.exists("missing.txt")),
    Operation("size", 1, lambda s: s.size("small.txt")),
    Operation("size (miss)", 1, _missing_size),
    Operation("get_modified_time", 1, lambda s: s.get_modified_time("small.txt")),
    Operation("url", 0, lambda s: s.url("small.txt")),
    Operation(
        "sign for upload",
        0,
        lambda s: s.sign("up.txt", for_upload=True),
        lambda s: s.url("up.txt"),
    ),
    Operation("copy", 2, lambda s: s.copy("small.txt", "copy.txt"), _copy_of_peer),
    Operation("delete", 1, lambda s: s.delete("old.txt")),
    Operation(
        f"delete {MANY:,}",
        ceil(MANY / PAGE),
        lambda s: s.delete_many(_missing_names()),
        _delete_each,
        many=True,
    ),
    Operation(f"listdir of {MANY:,}", ceil(MANY / PAGE), check_listing, many=True),
    Operation(
        f"walk over {MANY:,}",
        ceil(MANY / PAGE),
        lambda s: sum(1 for _ in s.walk("many")),
        check_listing,
        many=True,
    ),
]


def seed(s3: servers.S3Server, folder: str, *, many: bool) -> None:
    """Place the files that operations expect, by another way than ours."""
    client = s3.boto3_client(max_pool_connections=16)
    try:
        for name, data in SEED.items():
            client.put_object(Bucket=s3.bucket, Key=f"{folder}/{name}", Body=io.BytesIO(data))

        def put(number: int) -> None:
            client.put_object(Bucket=s3.bucket, Key=f"{folder}/many/{number:05}", Body=b"")

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(put, range(MANY if many else 0)))
    finally:
        client.close()


def count(
    proxy: servers.CountingProxy, operation: Operation, storage: Any
) -> list[servers.Request]:
    """Do one operation and return the requests that it made."""
    proxy.reset()
    operation.run(storage)
    return proxy.requests()


def counts(
    proxy: servers.CountingProxy, storages: Mapping[str, Storage]
) -> Iterator[tuple[Operation, dict[str, int]]]:
    """Yield every operation with the number of requests of each storage."""
    for operation in OPERATIONS:
        yield (
            operation,
            {name: len(count(proxy, operation, storage)) for name, storage in storages.items()},
        )
