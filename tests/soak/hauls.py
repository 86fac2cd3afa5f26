"""Many files of all sizes moved by a process that is measured, then looked at by other clients."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests import servers
from tests.helpers.backends import server
from tests.soak import grounds
from tests.soak.jobs import unique_bytes
from tests.soak.machines import ROOT, Site
from tests.soak.memory import Watched, watched

#: size and SHA-256 of a file
Digest = tuple[int, str]
MEGABYTE = 1_000_000
#: ``manage.py`` where the moved storages' extras are all there is: aiobotocore imports httpx where
#: it can, and that click, rich and pygments, which come with other extras and with the tests
LEAN = """
import sys
sys.modules["httpx"] = None
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


class Load(NamedTuple):
    """What is moved: `small` files of 1 to 100 kB, `large` ones of `large_size` bytes."""

    small: int
    large: int
    large_size: int = 100 * MEGABYTE

    def sizes(self) -> list[int]:
        """Return the size of each file."""
        chance = random.Random(1)
        small = [chance.randrange(1_000, 100_000) for _ in range(self.small)]
        return [*small, *[self.large_size] * self.large]


class Bound(NamedTuple):
    """Megabytes that the process may come to; see ``Watched``."""

    own: float
    resident: float


def digest_of(pieces: Iterable[bytes]) -> Digest:
    """Return what pieces of content come to."""
    size, found = 0, hashlib.sha256()
    for piece in pieces:
        size += len(piece)
        found.update(piece)
    return size, found.hexdigest()


def _many(look: Callable[[str], Digest], names: Iterable[str]) -> dict[str, Digest]:
    names = list(names)
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(names, pool.map(look, names), strict=True))


def _local(folder: str) -> dict[str, Digest]:
    return _below(grounds.scratch() / folder)


def _sftp(folder: str) -> dict[str, Digest]:
    return _below(server(servers.OpenSSH).root / folder)


def _below(root: Path) -> dict[str, Digest]:
    def look(name: str) -> Digest:
        with (root / name).open("rb") as file:
            return digest_of(iter(lambda: file.read(1 << 20), b""))

    found = (path for path in root.rglob("*") if path.is_file())
    return _many(look, (str(path.relative_to(root)) for path in found))


def _s3(folder: str) -> dict[str, Digest]:
    s3 = server(servers.SeaweedS3)
    with contextlib.closing(s3.boto3_client()) as client:

        def look(name: str) -> Digest:
            body = client.get_object(Bucket=s3.bucket, Key=f"{folder}/{name}")["Body"]
            with body:
                return digest_of(body.iter_chunks(1 << 20))

        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=s3.bucket, Prefix=f"{folder}/"
        )
        keys = (entry["Key"] for page in pages for entry in page.get("Contents", ()))
        return _many(look, [key.removeprefix(f"{folder}/") for key in keys])


def _gcs(folder: str) -> dict[str, Digest]:
    gcs = server(servers.FakeGCS)
    with contextlib.closing(gcs.client()) as client:
        blobs = {
            blob.name.removeprefix(f"{folder}/"): blob
            for blob in client.list_blobs(gcs.bucket, prefix=f"{folder}/")
        }

        def look(name: str) -> Digest:
            return digest_of([blobs[name].download_as_bytes()])

        # a client that is not made for threads
        return {name: look(name) for name in blobs}


def _azure(folder: str) -> dict[str, Digest]:
    azure = server(servers.Azurite)
    with azure.client() as client:
        container = client.get_container_client(azure.container)

        def look(name: str) -> Digest:
            return digest_of(container.download_blob(f"{folder}/{name}").chunks())

        names = [blob.name for blob in container.list_blobs(name_starts_with=f"{folder}/")]
        return _many(look, [name.removeprefix(f"{folder}/") for name in names])


@dataclass(frozen=True)
class Place:
    """OPTIONS for a folder, and what lies there by another client than ours."""

    options: Callable[[str], dict[str, Any]]
    digests: Callable[[str], dict[str, Digest]]


PLACES = {
    "local": Place(grounds.LOCAL.options, _local),
    "s3": Place(grounds.SEAWEED.options, _s3),
    "gcs": Place(grounds.GCS.options, _gcs),
    "azure": Place(grounds.AZURE.options, _azure),
    "sftp": Place(grounds.SFTP.options, _sftp),
}


class HaulSite(Site):
    """A site with an alias for each of `kinds` of places."""

    def __init__(self, kinds: Iterable[str]) -> None:
        super().__init__()
        self._kinds = list(kinds)

    def storages(self, far: str | None = None) -> dict[str, Any]:
        """See Site.storages()."""
        kinds = {kind: PLACES[kind].options(self.name) for kind in self._kinds}
        # which the fields of other models name
        return {"default": PLACES["local"].options("nothing"), **kinds}

    def fill(self, load: Load) -> None:
        """Put files on the disk, and rows in the database, by nobody's code but this."""
        root = grounds.scratch() / self.name / "papers"
        root.mkdir(parents=True)
        rows = []
        for number, size in enumerate(load.sizes()):
            data = unique_bytes(f"haul {number}", size)
            (root / f"{number}.bin").write_bytes(data)
            file = {
                "filename": f"papers/{number}.bin",
                "content_type": "application/octet-stream",
                "size": size,
                "last_modified": time.time(),
                "checksum": f"sha256:{hashlib.sha256(data).hexdigest()}",
                "etag": None,
                "version_id": None,
                "metadata": {"original_name": f"{number} ä.bin"},
                "backend": "local",
            }
            rows.append((str(number), json.dumps(file)))
        self.insert(rows)

    def move(self, source: str, target: str, *options: str) -> Watched:
        """Run the command as people do, and watch it."""
        command = ("migrate_files", "library.Paper", "--from", source, "--to", target, *options)
        # what another leg needs is not there, and need not be imported
        storages = self.storages()
        needed = {alias: storages[alias] for alias in ("default", source, target)}
        environment = {
            **self.environment(),
            "DJANGO_FSSPEC_STORAGES": json.dumps(needed),
            "PYTHONWARNINGS": "error",
        }
        return watched([sys.executable, "-c", LEAN, *command], env=environment, cwd=ROOT)

    def check_on(self, kind: str, found: dict[str, Digest]) -> None:
        """Have every row say what was found on a place, and where that is."""
        for (file,) in self.ask("SELECT file FROM library_paper"):
            size, checksum = found[file["filename"]]
            assert (file["backend"], file["size"]) == (kind, size)
            assert file["checksum"] == f"sha256:{checksum}"
            number = file["filename"].rpartition("/")[2].removesuffix(".bin")
            assert file["metadata"] == {"original_name": f"{number} ä.bin"}

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__(*exc_info)
        shutil.rmtree(grounds.scratch() / self.name, ignore_errors=True)


def haul(legs: Iterable[tuple[str, str]], load: Load, bound: Bound) -> Iterator[str]:
    """Move all files from place to place, each leg from where the last one ended.

    Checks each leg, memory included. Yields figures.
    """
    legs = list(legs)
    with HaulSite(dict.fromkeys(kind for leg in legs for kind in leg)) as site:
        site.fill(load)
        expected = PLACES["local"].digests(site.name)
        count = len(expected)
        for source, target in legs:
            done = site.move(source, target, "--delete-source")
            for label, number in (("moved", count), ("failed", 0), ("in the source", count)):
                assert int(done.said.split(label)[-1].split()[0]) == number, done.said
            found = PLACES[target].digests(site.name)
            assert found == expected
            site.check_on(target, found)
            assert PLACES[source].digests(site.name) == {}
            own, resident = done.own / MEGABYTE, done.resident / MEGABYTE
            told = f"peak {own:.0f} MB of its own, {resident:.0f} MB resident"
            assert own < bound.own, f"{source} to {target}: {told}"
            assert resident < bound.resident, f"{source} to {target}: {told}"
            yield f"{source} to {target} | {count} files | {done.seconds:.0f} s | {told}"
