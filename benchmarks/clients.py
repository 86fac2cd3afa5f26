"""Our clients for object stores against the libraries' own calls: `python -m benchmarks.clients`.

For each family: HTTP requests of one operation, seen by a proxy; CPU of this process in
milliseconds; what is resident at most during an operation on 64 MB, above what was before. The
servers are processes of their own. A "-" is an operation that fails. Decisions 0019 to 0024 rest
on these figures.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple, cast

import django
from django.conf import settings
from django.core.files.base import ContentFile, File

from benchmarks.rows import in_child, peak_of
from benchmarks.table import print_table
from tests import servers
from tests.servers.ports import free_ports

SMALL = b"s" * 10_000
LARGE = 64 * 1024 * 1024
PIECE = 1024 * 1024
TURNS = 100
MANY = 50

#: operations by name; each is given a number, so that each can have a name of its own
Operations = dict[str, Callable[[int], object]]


class Zeros(io.RawIOBase):
    """64 MB that nobody holds in memory."""

    name = "zeros"

    def __init__(self) -> None:
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, LARGE)[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), LARGE - self._position)
        buffer[:size] = bytes(size)
        self._position += size
        return size


def zeros() -> File[Any]:
    return File(cast("IO[bytes]", Zeros()))


def drained(pieces: Iterator[bytes]) -> int:
    size = sum(map(len, pieces))
    assert size == LARGE, size
    return size


def pieces_of(file: Any) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece


def doomed(side: str, number: int) -> list[str]:
    """Return the names of files that one operation deletes."""
    return [f"del-{side}-{number}-{i}" for i in range(MANY)]


def ours(options: dict[str, Any]) -> Operations:
    """Return what a user of the storage calls."""
    from django_fsspec.storage import FSSpecStorage

    storage = FSSpecStorage(**options)
    writes: Operations = {
        "write 10 kB": lambda n: storage.save(f"new-{os.getpid()}-{n}", ContentFile(SMALL)),
        "write 64 MB": lambda n: storage.save(f"big-{os.getpid()}-{n}", zeros()),
        f"delete {MANY}": lambda n: storage.delete_many(doomed("ours", n)),
    }
    return writes | {
        "read 10 kB": lambda n: storage.get_content("small.bin"),
        "look": lambda n: storage.stat("small.bin"),
        "list": lambda n: storage.listdir("folder"),
        "read 64 MB": lambda n: drained(iter(storage.stream("large.bin"))),
    }


def fsspecs(fs: Any, root: str) -> Operations:
    """Return the same by fsspec's own methods."""

    def write_large(number: int) -> None:
        with fs.open(f"{root}big-{os.getpid()}-{number}", "wb") as file:
            for piece in pieces_of(Zeros()):
                file.write(piece)

    return {
        "write 10 kB": lambda n: fs.pipe_file(f"{root}new-{os.getpid()}-{n}", SMALL),
        "write 64 MB": write_large,
        f"delete {MANY}": lambda n: fs.rm([f"{root}{name}" for name in doomed("theirs", n)]),
        "read 10 kB": lambda n: fs.cat_file(f"{root}small.bin"),
        "look": lambda n: fs.info(f"{root}small.bin"),
        "list": lambda n: fs.ls(f"{root}folder", detail=True),
        "read 64 MB": lambda n: drained(pieces_of(fs.open(f"{root}large.bin", "rb"))),
    }


class Family(NamedTuple):
    """One server behind a proxy, and the two ways to it."""

    name: str
    proxy: servers.CountingProxy
    ours: Callable[[], Operations]
    theirs: Callable[[], Operations]


def seed(options: dict[str, Any]) -> None:
    """Store what is read and deleted; nothing that a read-only family has."""
    from django_fsspec.storage import FSSpecStorage

    storage = FSSpecStorage(**options)
    storage.save("small.bin", ContentFile(SMALL))
    storage.save("large.bin", zeros())
    for number in range(10):
        storage.save(f"folder/{number}", ContentFile(b"x"))
    for number in range(4):
        for name in (*doomed("ours", number), *doomed("theirs", number)):
            storage.save(name, ContentFile(b"x"))


class GCSBehindProxy(servers.FakeGCS):
    """fake-gcs-server that calls itself by the proxy's address, in upload sessions too."""

    outside = ""

    def _command(self) -> Sequence[str]:
        inside = self.url
        return [self.outside if part == inside else part for part in super()._command()]


@contextlib.contextmanager
def gcs() -> Iterator[Family]:
    server = GCSBehindProxy()
    server.ports = tuple(free_ports(1))
    with servers.CountingProxy(server.port) as proxy:
        server.outside = proxy.url
        with server:
            fs_options = {**server.fs_options, "endpoint_url": proxy.url}
            root = f"{server.bucket}/clients/"
            options = {"fs": "gcs", "prefix": root, "fs_options": fs_options}

            def theirs() -> Operations:
                import gcsfs

                fs = gcsfs.GCSFileSystem(**fs_options, use_listings_cache=False)
                create = {"mode": "create"}
                return fsspecs(fs, root) | {
                    "write 10 kB": lambda n: fs.pipe_file(
                        f"{root}new-{os.getpid()}-{n}", SMALL, **create
                    )
                }

            in_child(seed, options)
            yield Family("GCS", proxy, lambda: ours(options), theirs)


@contextlib.contextmanager
def azure() -> Iterator[Family]:
    with servers.Azurite() as server, servers.CountingProxy(server.port) as proxy:
        connection = server.connection_string.replace(server.url, proxy.url)
        fs_options = {**server.fs_options, "connection_string": connection}
        prefix = f"{server.container}/clients"
        options = {"fs": "abfs", "prefix": prefix, "fs_options": fs_options}

        def theirs() -> Operations:
            """Azure's client that adlfs holds, by its public methods."""
            import adlfs
            from fsspec.asyn import sync

            fs = adlfs.AzureBlobFileSystem(**fs_options)
            container = fs.service_client.get_container_client(server.container)

            def call(method: str, name: str, *args: Any, **kwargs: Any) -> Any:
                blob = container.get_blob_client(f"clients/{name}")
                return sync(fs.loop, getattr(blob, method), *args, **kwargs)

            async def read(name: str) -> bytes:
                download = await container.get_blob_client(f"clients/{name}").download_blob()
                data: bytes = await download.readall()
                return data

            async def stream(name: str) -> None:
                download = await container.get_blob_client(f"clients/{name}").download_blob()
                assert sum([len(chunk) async for chunk in download.chunks()]) == LARGE

            async def delete(names: list[str]) -> None:
                async for _ in await container.delete_blobs(*names):
                    pass

            async def listed() -> None:
                async for _ in container.walk_blobs("clients/folder/"):
                    pass

            return {
                "write 10 kB": lambda n: call("upload_blob", f"new-{os.getpid()}-{n}", SMALL),
                "write 64 MB": lambda n: call(
                    "upload_blob", f"big-{os.getpid()}-{n}", Zeros(), length=LARGE
                ),
                f"delete {MANY}": lambda n: sync(
                    fs.loop, delete, [f"clients/{name}" for name in doomed("theirs", n)]
                ),
                "read 10 kB": lambda n: sync(fs.loop, read, "small.bin"),
                "look": lambda n: call("get_blob_properties", "small.bin"),
                "list": lambda n: sync(fs.loop, listed),
                "read 64 MB": lambda n: sync(fs.loop, stream, "large.bin"),
            }

        in_child(seed, options)
        yield Family("Azure", proxy, lambda: ours(options), theirs)


@contextlib.contextmanager
def webdav() -> Iterator[Family]:
    with servers.RcloneWebDAV() as server, servers.CountingProxy(server.port) as proxy:
        fs_options = {**server.fs_options, "base_url": proxy.url}
        options = {"fs": "webdav", "prefix": "clients", "fs_options": fs_options}

        def theirs() -> Operations:
            """webdav4's client, by its public methods."""
            from webdav4.client import Client

            client = Client(proxy.url, auth=(server.user, server.password))

            def upload(name: str, content: Any) -> None:
                client.upload_fileobj(content, f"clients/{name}", overwrite=False)

            def read() -> bytes:
                into = io.BytesIO()
                client.download_fileobj("clients/small.bin", into)
                return into.getvalue()

            def read_large() -> None:
                with client.open("clients/large.bin", "rb") as file:
                    # not pieces_of(): it can't be entered twice
                    drained(iter(lambda: file.read(PIECE), b""))

            def delete(number: int) -> None:
                for name in doomed("theirs", number):
                    client.remove(f"clients/{name}")

            return {
                "write 10 kB": lambda n: upload(f"new-{os.getpid()}-{n}", io.BytesIO(SMALL)),
                "write 64 MB": lambda n: upload(f"big-{os.getpid()}-{n}", Zeros()),
                f"delete {MANY}": delete,
                "read 10 kB": lambda n: read(),
                "look": lambda n: client.info("clients/small.bin"),
                "list": lambda n: client.ls("clients/folder"),
                "read 64 MB": lambda n: read_large(),
            }

        in_child(seed, options)
        yield Family("WebDAV", proxy, lambda: ours(options), theirs)


@contextlib.contextmanager
def dropbox() -> Iterator[Family]:
    with servers.DropboxServer() as server, servers.CountingProxy(server.port) as proxy:

        def filesystem() -> Any:
            from dropboxdrivefs import DropboxDriveFileSystem

            behind = servers.DropboxServer()
            behind.ports = (proxy.port,)
            return DropboxDriveFileSystem(client=behind.client())

        options = {"fs": filesystem, "prefix": "/clients"}
        in_child(seed, options)
        yield Family(
            "Dropbox",
            proxy,
            lambda: ours(options),
            lambda: fsspecs(filesystem(), "/clients/"),
        )


@contextlib.contextmanager
def github() -> Iterator[Family]:
    files = {"small.bin": SMALL, "large.bin": bytes(LARGE)}
    files |= {f"folder/{number}": b"x" for number in range(10)}
    with servers.GitHubServer(files) as server, servers.CountingProxy(server.port) as proxy:

        def kind() -> Any:
            behind = servers.GitHubServer()
            behind.ports = (proxy.port,)
            return behind.filesystem_class()

        yield Family(
            "GitHub",
            proxy,
            lambda: ours({"fs": kind(), "fs_options": server.fs_options}),
            lambda: fsspecs(kind()(**server.fs_options, use_listings_cache=False), ""),
        )


@contextlib.contextmanager
def http() -> Iterator[Family]:
    with servers.NginxHTTP() as server, servers.CountingProxy(server.port) as proxy:
        (server.root / "folder").mkdir(mode=0o755)
        (server.root / "small.bin").write_bytes(SMALL)
        (server.root / "large.bin").write_bytes(bytes(LARGE))
        for number in range(10):
            (server.root / "folder" / str(number)).write_bytes(b"x")

        def theirs() -> Operations:
            import fsspec

            return fsspecs(fsspec.filesystem("http", use_listings_cache=False), f"{proxy.url}/")

        yield Family("HTTP", proxy, lambda: ours({"fs": proxy.url}), theirs)


FAMILIES = {f.__name__: f for f in (gcs, azure, webdav, dropbox, github, http)}


def figures(
    build: Callable[[], Operations], label: str, proxy: servers.CountingProxy
) -> tuple[str, str, str]:
    """Return requests, milliseconds of CPU, megabytes of a large operation; "-" if it fails."""
    operations = build()
    large, many = "64 MB" in label, label.startswith("delete")
    turns = 2 if large or many else TURNS
    try:
        operations["look" if large else label](0)
        proxy.reset()
        memory = peak_of(lambda: operations[label](1)) / 1e6
        requests = len(proxy.requests())
        start = time.process_time()
        for number in range(2, turns + 2):
            operations[label](number)
        cpu = (time.process_time() - start) / turns * 1000
    except Exception:
        return "-", "-", "-"
    return f"{requests}", f"{cpu:.2f}", f"{memory:.0f}" if large else ""


def rows_of(family: Family) -> Iterator[list[str]]:
    read_only = family.name in ("GitHub", "HTTP")
    for label in in_child(lambda: [*family.theirs()]):
        if not (read_only and label.startswith(("write", "delete"))):
            both = [in_child(figures, one, label, family.proxy) for one in family[2:]]
            yield [f"{family.name}: {label}", *both[0], *both[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("families", nargs="*", help=", ".join(FAMILIES))
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    settings.configure(USE_TZ=True)
    django.setup()
    rows: list[list[str]] = []
    for name in options.families or FAMILIES:
        with FAMILIES[name]() as family:
            rows += rows_of(family)
    head = ["", "requests", "ms", "MB", "theirs: requests", "ms", "MB"]
    print_table(head, rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
