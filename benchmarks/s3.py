"""One S3 server, ours against four other ways to it, in turns: `python -m benchmarks.s3`.

All go through a proxy that adds a round trip of 0 or 20 ms and counts requests. An exclusive
create, a sha256 and the etag of what was stored are a part of ours. The peers do what their names
do unasked: the raw clients overwrite, boto3 and obstore return no storage of Django's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import django
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage

from benchmarks import rclone, wire
from benchmarks.rows import (
    OURS,
    Row,
    Taken,
    Work,
    in_child,
    in_turns,
    main,
    peak_of,
    rows_of,
    turns,
    whole_peak_of,
)
from tests import servers
from tests.soak import grounds

LATENCIES = (0.0, 0.02)
SMALL = b"x" * 20_000
LARGE = 64_000_000
PIECE = 1024 * 1024
MANY, SIZE, AT_ONCE = 1000, 10_000, 32

PACKAGES = (
    "advanced_alchemy.types.file_object.backends.fsspec",
    "boto3.s3.transfer",
    "obstore.store",
    "s3fs",
    "storages.backends.s3",
)

SMALL_WORKS = (
    "save 20 kB",
    "read 20 kB",
    "exists",
    "exists (miss)",
    "size",
    "url",
    "delete",
)
READ_LARGE, SAVE_FILE, SAVE_MEMORY = (
    "read 64 MB",
    "save 64 MB from a file",
    "save 64 MB from memory",
)
LARGE_WORKS = (READ_LARGE, SAVE_FILE, SAVE_MEMORY)
SAVE_MANY = f"save {MANY:,} x {SIZE // 1000} kB, {AT_ONCE} at once"


class Place(NamedTuple):
    """A folder on the server, by way of the proxy, and a file on the disk to be saved."""

    s3: servers.S3Server
    endpoint: str
    folder: str
    source: Path


def drain(pieces: Any) -> None:
    assert sum(map(len, pieces)) == LARGE


# one function per way: the works by name, each with a client of its own


def by_storage(storage: Storage, place: Place) -> dict[str, Work]:
    """Return the works of a storage, by Django's methods alone."""

    def read(name: str) -> None:
        with storage.open(name) as file:
            assert len(file.read()) == len(SMALL)

    def read_large() -> None:
        with storage.open("large.bin") as file:
            drain(file.chunks())

    def save_file(n: int) -> None:
        with place.source.open("rb") as file:
            storage.save(f"large/{n}", File(file))

    memory = bytes(LARGE)
    return {
        "save 20 kB": lambda n: storage.save(f"{n}.bin", ContentFile(SMALL)),
        "read 20 kB": lambda n: read("small.bin"),
        "exists": lambda n: storage.exists("small.bin"),
        "exists (miss)": lambda n: storage.exists("missing.bin"),
        "size": lambda n: storage.size("small.bin"),
        "url": lambda n: storage.url(f"{n}.bin"),
        "delete": lambda n: storage.delete(f"{n}.bin"),
        READ_LARGE: lambda n: read_large(),
        SAVE_FILE: save_file,
        SAVE_MEMORY: lambda n: storage.save(f"large/{n}", ContentFile(memory)),
    }


def ours(place: Place) -> dict[str, Work]:
    from django_fsspec import FileObject, save_files
    from django_fsspec.storage import FSSpecStorage
    from django_fsspec.testing import override_storage

    options = grounds.s3_options(place.s3, place.folder, place.endpoint)
    contents = many_contents()

    def save_many(n: int) -> None:
        with override_storage(bench=options):
            files = [
                FileObject("bench", f"large/{n}/{i}", content=content)
                for i, content in enumerate(contents)
            ]
            save_files(files, concurrency=AT_ONCE)

    return by_storage(FSSpecStorage(**options), place) | {SAVE_MANY: save_many}


def django_storages(place: Place) -> dict[str, Work]:
    return by_storage(wire.peer(place.s3, place.folder, place.endpoint), place)


def boto3(place: Place) -> dict[str, Work]:
    client = place.s3.boto3_client(place.endpoint, max_pool_connections=AT_ONCE)
    from botocore.exceptions import ClientError

    memory, contents = bytes(LARGE), many_contents()
    pool = ThreadPoolExecutor(AT_ONCE)

    def at(name: object) -> dict[str, str]:
        return {"Bucket": place.s3.bucket, "Key": f"{place.folder}/{name}"}

    def exists(name: str) -> None:
        with contextlib.suppress(ClientError):
            client.head_object(**at(name))

    def read() -> None:
        with contextlib.closing(client.get_object(**at("small.bin"))["Body"]) as body:
            assert len(body.read()) == len(SMALL)

    def read_large() -> None:
        with contextlib.closing(client.get_object(**at("large.bin"))["Body"]) as body:
            drain(body.iter_chunks(PIECE))

    def save_file(n: int) -> None:
        client.upload_file(str(place.source), *at(f"large/{n}").values())

    def save_memory(n: int) -> None:
        client.upload_fileobj(ContentFile(memory), *at(f"large/{n}").values())

    def save_many(n: int) -> None:
        def put(i: int) -> None:
            client.put_object(**at(f"large/{n}/{i}"), Body=contents[i])

        list(pool.map(put, range(MANY)))

    return {
        "save 20 kB": lambda n: client.put_object(**at(f"{n}.bin"), Body=SMALL),
        "read 20 kB": lambda n: read(),
        "exists": lambda n: exists("small.bin"),
        "exists (miss)": lambda n: exists("missing.bin"),
        "size": lambda n: client.head_object(**at("small.bin"))["ContentLength"],
        "url": lambda n: client.generate_presigned_url("get_object", at(f"{n}.bin")),
        "delete": lambda n: client.delete_object(**at(f"{n}.bin")),
        READ_LARGE: lambda n: read_large(),
        SAVE_FILE: save_file,
        SAVE_MEMORY: save_memory,
        SAVE_MANY: save_many,
    }


def obstore(place: Place) -> dict[str, Work]:
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        place.s3.bucket,
        prefix=place.folder,
        endpoint=place.endpoint,
        access_key_id=place.s3.key,
        secret_access_key=place.s3.secret,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    memory, contents = bytes(LARGE), many_contents()
    hour = timedelta(hours=1)

    def exists(name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            obstore.head(store, name)

    def read() -> None:
        assert len(obstore.get(store, "small.bin").bytes().to_bytes()) == len(SMALL)

    async def save_many(n: int) -> None:
        slots = asyncio.Semaphore(AT_ONCE)

        async def put(i: int) -> None:
            async with slots:
                await obstore.put_async(store, f"large/{n}/{i}", contents[i])

        await asyncio.gather(*map(put, range(MANY)))

    return {
        "save 20 kB": lambda n: obstore.put(store, f"{n}.bin", SMALL),
        "read 20 kB": lambda n: read(),
        "exists": lambda n: exists("small.bin"),
        "exists (miss)": lambda n: exists("missing.bin"),
        "size": lambda n: obstore.head(store, "small.bin")["size"],
        "url": lambda n: obstore.sign(store, "GET", f"{n}.bin", hour),
        "delete": lambda n: obstore.delete(store, f"{n}.bin"),
        READ_LARGE: lambda n: drain(obstore.get(store, "large.bin").stream(PIECE)),
        SAVE_FILE: lambda n: obstore.put(store, f"large/{n}", place.source),
        SAVE_MEMORY: lambda n: obstore.put(store, f"large/{n}", memory),
        SAVE_MANY: lambda n: asyncio.run(save_many(n)),
    }


def advanced_alchemy(place: Place) -> dict[str, Work]:
    """Return what its file objects have a method for, over s3fs as ours."""
    import fsspec
    from advanced_alchemy.types.file_object import FileObject
    from advanced_alchemy.types.file_object.backends.fsspec import FSSpecBackend

    options = {**place.s3.fs_options, "endpoint_url": place.endpoint}
    fs = fsspec.filesystem("s3", **options, skip_instance_cache=True, use_listings_cache=False)
    backend = FSSpecBackend("bench", fs, prefix=f"{place.s3.bucket}/{place.folder}")
    memory = bytes(LARGE)

    def file(name: object, **content: Any) -> FileObject:
        return FileObject(backend, f"{name}", **content)

    return {
        "save 20 kB": lambda n: file(f"{n}.bin", content=SMALL).save(),
        "read 20 kB": lambda n: file("small.bin").get_content(),
        "url": lambda n: file(f"{n}.bin").sign(),
        "delete": lambda n: file(f"{n}.bin").delete(),
        READ_LARGE: lambda n: file("large.bin").get_content(),
        # no SAVE_FILE: release 1.12 hands fsspec's put() target and source the wrong way round
        SAVE_MEMORY: lambda n: file(f"large/{n}", content=memory).save(),
    }


WAYS: Mapping[str, Callable[[Place], dict[str, Work]]] = {
    OURS: ours,
    "django-storages": django_storages,
    "boto3": boto3,
    "obstore": obstore,
    "advanced-alchemy": advanced_alchemy,
}


def many_contents() -> list[bytes]:
    return [os.urandom(SIZE) for _ in range(MANY)]


# measuring


def seed(place: Place) -> None:
    client = place.s3.boto3_client()
    for way in WAYS:
        for name, content in (("small.bin", SMALL), ("large.bin", bytes(LARGE))):
            key = f"{place.folder}/{way}/{name}"
            client.put_object(Bucket=place.s3.bucket, Key=key, Body=content)
    client.close()


def within(place: Place, way: str) -> Place:
    return place._replace(folder=f"{place.folder}/{way}")


def sweep(place: Place) -> None:
    """Delete what was saved, by the direct way: a server keeps gigabytes for hours."""
    from django_fsspec.storage import FSSpecStorage

    storage = FSSpecStorage(**grounds.s3_options(place.s3, place.folder))
    for way in (*WAYS, "rclone"):
        storage.delete_many([stat.name for stat in storage.walk(f"{way}/large")])


def small(place: Place, proxy: servers.CountingProxy, latency: float, quick: bool) -> list[Row]:
    """Return the rows of small files, one after the other."""
    calls = 3 if quick else 6 if latency else 30
    ways = {way: build(within(place, way)) for way, build in WAYS.items()}
    rows: list[Row] = []
    for work in SMALL_WORKS:
        # `delete` gets the numbers that `save` got: as many ways, rounds and calls
        works = {way: each[work] for way, each in ways.items() if work in each}
        taken = in_turns(works, rounds=turns(quick), calls=calls, proxy=proxy)
        rows += rows_of(work, taken, latency)
    return rows


def large(place: Place, proxy: servers.CountingProxy, latency: float, quick: bool) -> list[Row]:
    """Return the rows of 64 MB but their memory."""
    ways = {way: build(within(place, way)) for way, build in WAYS.items()}
    rows: list[Row] = []
    for work in LARGE_WORKS:
        works = {way: each[work] for way, each in ways.items() if work in each}
        taken = in_turns(works, rounds=turns(quick), proxy=proxy, after=partial(sweep, place))
        rows += rows_of(work, taken, latency)
    return rows


def many(place: Place, proxy: servers.CountingProxy, latency: float, quick: bool) -> list[Row]:
    """Return the rows of many files at once but their memory."""
    folder = place.source.parent / "many"
    works = {
        way: build(within(place, way))[SAVE_MANY]
        for way, build in WAYS.items()
        if way in (OURS, "boto3", "obstore")
    }
    works["rclone"] = lambda n: copied_by_rclone(place, folder, n)
    taken = in_turns(works, rounds=turns(quick), proxy=proxy, after=partial(sweep, place))
    return [*rows_of(SAVE_MANY, taken, latency)]


def copied_by_rclone(place: Place, folder: Path, n: int) -> int:
    target = f"{place.folder}/rclone/large/{n}"
    return rclone.copy(folder, place.s3, place.endpoint, target, at_once=AT_ONCE)


def peak(way: str, place: Place, work: str, whole: bool) -> int:
    """Return by how much a work grows this process, or all that the process takes."""
    works = WAYS[way](within(place, way))
    works["read 20 kB"](0)
    return (whole_peak_of if whole else peak_of)(lambda: works[work](os.getpid()))


def memory(place: Place, latency: float, quick: bool) -> Iterator[Row]:
    """Yield the rows of memory: each call in a new process, medians of those."""
    rounds = range(turns(quick))

    def measured(way: str, work: str, whole: bool = False) -> float:
        return float(median(in_child(peak, way, place, work, whole) for _ in rounds))

    for work in LARGE_WORKS:
        ways = [way for way in WAYS if (way, work) != ("advanced-alchemy", SAVE_FILE)]
        yield from rows_of(work, {way: Taken(memory=measured(way, work)) for way in ways}, latency)
        in_child(sweep, place)
    taken = {way: Taken(memory=measured(way, SAVE_MANY)) for way in (OURS, "boto3", "obstore")}
    yield from rows_of(SAVE_MANY, taken, latency)
    # rclone is a process that does nothing else: whole processes are compared
    folder = place.source.parent / "many"
    peaks = [copied_by_rclone(place, folder, -n) for n in rounds]
    own = measured(OURS, SAVE_MANY, whole=True)
    yield Row(SAVE_MANY, "rclone", latency, "memory", own, median(peaks))


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield what ours and the peers take, of time, CPU, requests and memory."""
    settings.configure(USE_TZ=True, INSTALLED_APPS=["django_fsspec"])
    django.setup()
    for package in PACKAGES:  # once, and not in each of the processes that measure memory
        import_module(package)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "large.bin")
        source.write_bytes(bytes(LARGE))
        (source.parent / "many").mkdir()
        for number, content in enumerate(many_contents()):
            (source.parent / "many" / str(number)).write_bytes(content)
        for latency in LATENCIES[: 1 if quick else None]:
            with (
                servers.SeaweedS3() as s3,
                servers.CountingProxy(s3.port, latency=latency) as proxy,
            ):
                place = Place(s3, proxy.url, grounds.folder("bench"), source)
                in_child(seed, place)
                # in processes of their own: a fork of one that used obstore hangs
                for measured in (small, large, many):
                    yield from in_child(measured, place, proxy, latency, quick)
                # the round trip makes no difference to it
                if not latency:
                    yield from memory(place, latency, quick)


if __name__ == "__main__":
    main(rows, __doc__ or "")
