"""Downloads from disk, S3 and memory, against peers: `python -m benchmarks.downloads`.

gunicorn and uvicorn run one process of each peer. They send the same files in turns over one
connection of this process, which throws away what it gets. CPU and the peak of memory are of the
process that sends; medians over the rounds. nginx is measured where it is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.rows import OURS, Row, turns
from benchmarks.table import print_table
from tests import servers
from tests.servers.base import MissingServer
from tests.servers.ports import HOST
from tests.soak.readers import forget_peak, resident

#: name of a file: its bytes, and how often it is sent in a round
SIZES = {"1 kB": (1_000, 300), "1 MB": (1_000_000, 40), "100 MB": (100_000_000, 2)}
SYNC, THREADS, UVICORN = "gunicorn sync", "gunicorn gthread", "uvicorn"
SERVERS = (SYNC, THREADS, UVICORN)
NGINX = "nginx"
#: peers by source and server
PEERS = {
    ("disk", SYNC): ("FileResponse", "whitenoise", NGINX),
    ("disk", THREADS): ("FileResponse", "whitenoise", NGINX),
    ("disk", UVICORN): ("FileResponse", "Starlette", NGINX),
}
_BUFFER = 1 << 20


class Taken(NamedTuple):
    """What one request takes: seconds, those to the first byte and of CPU; bytes at the peak."""

    time: float
    first_byte: float
    CPU: float
    memory: float


class Site(servers.Site):
    """One peer under one server."""

    def __init__(
        self, server: str, peer: str, root: Path, storages: Mapping[str, Any], wait: float = 60.0
    ) -> None:
        wsgi = server != UVICORN
        super().__init__(storages, wsgi=wsgi, module="benchmarks.sites.downloads", wait=wait)
        self._peer, self._root = peer, root
        self._sync = server == SYNC

    def _command(self) -> Sequence[str]:
        command = list(super()._command())
        if self._sync:
            command[command.index("--threads") + 1] = "1"
        return [*command, *([] if self._wsgi else ["--log-level", "warning"])]

    def _environment(self) -> dict[str, str]:
        more = {"SITE_PEER": self._peer, "SITE_ROOT": str(self._root)}
        more["SITE_ASYNC"] = "" if self._wsgi else "1"
        return {**super()._environment(), **more}


class Client:
    """Asks for files over one connection, and throws them away."""

    def __init__(self, port: int, pid: int) -> None:
        self._port, self.pid = port, pid
        self._clock = ctypes.c_int()
        if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(self._clock)):
            raise ProcessLookupError(pid)
        self._socket: socket.socket | None = None
        self._buffer = memoryview(bytearray(_BUFFER))

    def cpu(self) -> float:
        """Return the seconds of CPU that the server took so far."""
        return time.clock_gettime(self._clock.value)

    def get(self, target: str, size: int) -> float:
        """Get a file; return the seconds to the first byte."""
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = time.perf_counter()
        self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        got = self._socket.recv_into(self._buffer)
        first_byte = time.perf_counter() - start
        while (end := bytes(self._buffer[: min(got, 8192)]).find(b"\r\n\r\n")) < 0:
            more = self._socket.recv_into(self._buffer[got:])
            if not more:
                raise ConnectionError(f"The answer to {target} ended in its headers.")
            got += more
        head = bytes(self._buffer[: end + 2]).lower()
        if not re.match(rb"http/1\.1 200 ", head) or b"content-length: %d\r" % size not in head:
            raise ConnectionError(head.decode())
        left = size - (got - end - 4)
        while left:
            got = self._socket.recv_into(self._buffer)
            if not got:
                raise ConnectionError(f"{left} bytes of {target} are missing.")
            left -= got
        if b"connection: close" in head:
            self.close()
        return first_byte

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def measure(self, target: str, size: int, calls: int) -> Taken:
        """Get a file `calls` times; return what one request took."""
        forget_peak(self.pid)
        cpu, start = self.cpu(), time.perf_counter()
        firsts = [self.get(target, size) for _ in range(calls)]
        took, cpu = time.perf_counter() - start, self.cpu() - cpu
        self.close()
        return Taken(took / calls, median(firsts), cpu / calls, resident(self.pid, "VmHWM"))


def medians(
    clients: Mapping[str, tuple[Client, str]], size: int, calls: int, rounds: int
) -> dict[str, Taken]:
    """Measure all peers in turns; memory is the most of all rounds, the first one counted."""
    names = list(clients)
    taken: dict[str, list[Taken]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            client, target = clients[name]
            taken[name].append(client.measure(target, size, calls))
    return {
        name: Taken(*(median(values) for values in zip(*all_[1:], strict=True)))._replace(
            memory=max(one.memory for one in all_)
        )
        for name, all_ in taken.items()
    }


class Ground:
    """The files, S3 with them, and every peer under every server."""

    def __init__(self, stack: contextlib.ExitStack, sources: Sequence[str]) -> None:
        self._stack = stack
        self.root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="downloads-")))
        self.root.chmod(0o755)
        for name, (size, _) in SIZES.items():
            (self.root / name.replace(" ", "")).write_bytes(os.urandom(size))
        self._ours: dict[str, Any] = {"disk": _ours(fs="file", prefix=str(self.root))}
        self._theirs: dict[str, Any] = {
            "disk": {
                "BACKEND": "django.core.files.storage.FileSystemStorage",
                "OPTIONS": {"location": str(self.root)},
            },
        }
        if "memory" in sources:
            self._ours["memory"] = _ours(fs="memory", checksum=None)
            self._theirs["memory"] = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
        if "S3" in sources:
            self._add_s3(stack.enter_context(servers.SeaweedS3()))
        self._clients: dict[tuple[str, str], Client] = {}

    def _add_s3(self, s3: servers.S3Server) -> None:
        client = s3.boto3_client()
        for file in self.root.iterdir():
            client.upload_file(str(file), s3.bucket, f"downloads/{file.name}")
        client.close()
        prefix = f"{s3.bucket}/downloads"
        self._ours["S3"] = _ours(fs="s3", prefix=prefix, fs_options=s3.fs_options)
        self._theirs["S3"] = {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "access_key": s3.key,
                "secret_key": s3.secret,
                "bucket_name": s3.bucket,
                "endpoint_url": s3.endpoint_url,
                "region_name": "us-east-1",
                "location": "downloads",
                "addressing_style": "path",
                "signature_version": "s3v4",
            },
        }

    def client(self, server: str, peer: str) -> Client:
        """Return a client of `peer` under `server`, which is started."""
        key = (NGINX if peer == NGINX else server, peer)
        if key not in self._clients:
            self._clients[key] = self._started(server, peer)
        return self._clients[key]

    def _started(self, server: str, peer: str) -> Client:
        if peer == NGINX:
            front = self._stack.enter_context(servers.NginxFront(self.root, 1))
            assert front.pid
            return Client(front.port, front.pid)
        storages = self._ours if peer == OURS else self._theirs
        site = self._stack.enter_context(Site(server, peer, self.root, storages))
        return Client(site.port, site.worker)


def _ours(**options: Any) -> dict[str, Any]:
    return {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}


def measured(
    sources: Sequence[str], sizes: Sequence[str], rounds: int, *, few: bool = False
) -> Iterator[tuple[str, str, str, dict[str, Taken | None]]]:
    """Yield source, size, server, and what one request takes by peer; None is not installed."""
    with contextlib.ExitStack() as stack:
        ground = Ground(stack, sources)
        for source in sources:
            for size in sizes:
                for server in SERVERS:
                    length, calls = SIZES[size]
                    clients: dict[str, tuple[Client, str]] = {}
                    taken: dict[str, Taken | None] = {}
                    for peer in (OURS, *PEERS.get((source, server), ("FileResponse",))):
                        folder = "plain" if peer == NGINX else source
                        try:
                            client = ground.client(server, peer)
                        except MissingServer:
                            taken[peer] = None
                            continue
                        clients[peer] = (client, f"/{folder}/{size.replace(' ', '')}")
                    taken |= medians(clients, length, min(calls, 10) if few else calls, rounds)
                    yield source, size, server, taken


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield rows for benchmarks.report."""
    sizes = ("1 kB", "1 MB") if quick else tuple(SIZES)
    sources = ("disk",) if quick else ("disk", "S3", "memory")
    for source, size, server, taken in measured(sources, sizes, turns(quick), few=quick):
        own = taken[OURS]
        assert own is not None
        for peer, other in taken.items():
            if peer != OURS and other is not None:
                work = f"download {size} from {source}, {server}"
                yield Row(work, peer, None, "time", own.time, other.time)
                yield Row(work, peer, None, "CPU", own.CPU, other.CPU)
                if size == "100 MB":
                    yield Row(work, peer, None, "memory", own.memory, other.memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sources", nargs="*", default=["disk", "S3", "memory"])
    parser.add_argument("--sizes", nargs="*", default=list(SIZES))
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    table: list[list[str]] = []
    for source, size, server, taken in measured(options.sources, options.sizes, options.rounds):
        for peer, one in taken.items():
            cells = ["not installed", "", "", ""]
            if one is not None:
                cells = [
                    f"{1 / one.time:,.1f}",
                    f"{one.memory / 1e6:.1f}",
                    f"{one.first_byte * 1000:.2f}",
                    f"{one.CPU * 1000:.2f}",
                ]
            table.append([f"{size}, {source}, {server}", peer, *cells])
    head = ["file", "peer", "requests/s", "MB at most", "ms to first byte", "ms of CPU"]
    print_table(head, table, markdown=options.markdown)


if __name__ == "__main__":
    main()
