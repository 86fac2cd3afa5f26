"""Transactions that meet, over networks that fail: a site, its processes, and what lies between.

A `Site` has a database and a folder on S3 of its own. Its workers do random transactions from
several threads on the same few rows. `Weather` stands before S3: it resets connections, answers
503 and does not answer. `Line` stands before the database and breaks at commits. What a file
holds follows from the name it was given, so that whoever finds it can tell whether it is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import io
import itertools
import json
import logging
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)

from django_fsspec import FileObject
from django_fsspec.references import stored_fields
from django_fsspec.testing import override_storage
from tests import servers, workers
from tests.backends import server
from tests.library.models import Box, Leaflet, Ledger, Magazine, Paper, Record, Shelf
from tests.servers.ports import HOST
from tests.workers import ROOT, Worker

from . import grounds
from .jobs import unique_bytes

if TYPE_CHECKING:
    from typing import Self

    from django.db.models import Model

M = TypeVar("M", bound="Model")

MEGABYTE = 1_000_000
#: seconds that the storage waits for an answer, and how often it tries again
TIMEOUT, RETRIES = 3, 2
#: how often a site tries a transaction that the database broke off
ATTEMPTS = 8


# content that tells whether it is whole


def named(label: str, size: int) -> tuple[str, bytes]:
    """Return a name and the content that belongs to it."""
    return f"{label}~{size}.bin", unique_bytes(label, size) if size else b""


def content_of(name: str) -> bytes:
    """Return the content that belongs to a name of `named()`."""
    label, _, size = name.removesuffix(".bin").partition("~")
    return named(label, int(size))[1]


# transactions


class Mishap(Exception):
    """An error of the site's own."""


#: what breaks off a transaction that may succeed when it is tried again
AGAIN = (OperationalError, InterfaceError)
#: what else a transaction may end with on a site whose users and networks are as they are
EXPECTED = (Mishap, OSError, DatabaseError, ObjectDoesNotExist)


class Visitor:
    """One thread of a site: does transactions on rows that it has in common with all others."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.random = random.Random(label)
        self.made = 0
        #: rows as they were when they were read, maybe long ago
        self.kept: list[Model] = []
        self.outcomes: Counter[str] = Counter()

    def visit(self) -> None:
        """Do one transaction, again where the database broke it off."""
        steps = self._plan()
        for attempt in range(ATTEMPTS):
            try:
                self._transact(steps)
                return
            except AGAIN as error:
                self.outcomes[f"again: {_reason(error)}"] += 1
                connection.close_if_unusable_or_obsolete()
                time.sleep(self.random.random() * 0.05 * 2**attempt)
            except EXPECTED as error:
                self.outcomes[f"rolled back: {_reason(error)}"] += 1
                return
        self.outcomes["given up"] += 1

    def _plan(self) -> list[Callable[[], None]]:
        count = self.random.choice((1, 1, 2, 3, 5))
        names = self.random.choices(list(STEPS), list(STEPS.values()), k=count)
        return [getattr(self, name) for name in names]

    def _transact(self, steps: Sequence[Callable[[], None]]) -> None:
        if len(steps) == 1 and self.random.random() < 0.5:
            steps[0]()
            self.outcomes["committed, each statement"] += 1
            return
        with transaction.atomic():
            for step in steps:
                self._step(step)
                self._stumble(0.04)
            back = self.random.random() < 0.06
            if back:
                transaction.set_rollback(True)
        self.outcomes["rolled back: set_rollback()" if back else "committed"] += 1

    def _step(self, step: Callable[[], None], depth: int = 0) -> None:
        """Do a step, maybe in savepoints, some of which are rolled back."""
        if depth == 3 or self.random.random() < 0.5:
            step()
            return
        try:
            with transaction.atomic():
                self._step(step, depth + 1)
                self._stumble(0.3)
        except AGAIN:
            raise
        except EXPECTED as error:
            self.outcomes[f"savepoint rolled back: {_reason(error)}"] += 1

    def _stumble(self, chance: float) -> None:
        if self.random.random() < chance:
            raise Mishap

    # content and rows

    def file(self, size: int | None = None) -> Any:
        """Return content that no other has."""
        self.made += 1
        if size is None:
            size = self.random.choice((0, 10, 700, 5_000, 20_000, 20_000, 300_000))
            size = 6 * MEGABYTE if self.random.random() < 0.01 else size
        name, data = named(f"{self.label}-{self.made}", size)
        if self.random.random() < 0.3:
            return FileObject("default", name, content=data)
        return ContentFile(data, name=name)

    def row(self, model: type[M]) -> M | None:
        """Return one of the few rows that everybody uses, read now or long ago."""
        held = [row for row in self.kept if type(row) is model and row.pk is not None]
        if held and self.random.random() < 0.2:
            return self.random.choice(held)
        keys = self.keys(model, 4)
        rows = model._base_manager.filter(pk=self.random.choice(keys) if keys else None)
        if issubclass(model, Paper) and self.random.random() < 0.15:
            rows = rows.only("title")
        row = rows.first()
        if row is not None:
            self.kept = [*self.kept[-9:], row]
        return row

    def keys(self, model: type[Model], count: int) -> list[Any]:
        rows = model._base_manager.order_by("pk")
        return list(rows.values_list("pk", flat=True)[:count])

    def kind(self) -> type[Any]:
        """Return a model whose rows have a `file`."""
        return self.random.choice((Paper, Paper, Leaflet, Magazine, Record))

    # steps

    def create(self) -> None:
        match self.random.randrange(6):
            case 0:
                Paper.objects.create(title="no file")
            case 1:
                Magazine.objects.create(file=self.file(), cover=self.file())
            case 2:
                Record.objects.create(file=self.file(), unique=f"u{self.random.randrange(6)}")
            case 3:
                Shelf.objects.create(files=[self.file() for _ in range(self.random.randrange(4))])
            case 4:
                if shelf := self.row(Shelf):
                    Box.objects.create(shelf_id=shelf.pk, file=self.file())
            case _:
                Paper.objects.create(file=self.file())

    def create_refused(self) -> None:
        Ledger.objects.create(file=self.file(self.random.choice((900, 1100))))

    def create_many(self) -> None:
        count = self.random.randint(2, 6)
        if self.random.random() < 0.3:
            uniques = [f"u{self.random.randrange(30)}" for _ in range(count)]
            Record.objects.bulk_create(Record(file=self.file(), unique=u) for u in uniques)
        else:
            papers = [Paper(file=self.file()) for _ in range(count)]
            Paper.objects.bulk_create(papers, batch_size=self.random.choice((None, 2)))

    def replace(self) -> None:
        if row := self.row(self.kind()):
            row.file = self.file()
            self._save(row, "file")

    def replace_cover(self) -> None:
        if row := self.row(Magazine):
            row.cover = self.random.choice((None, self.file()))
            self._save(row, "cover")

    def replace_through_the_file(self) -> None:
        row = self.row(self.kind())
        if row is not None and row.file:
            self.made += 1
            name, data = named(f"{self.label}-{self.made}", 3_000)
            row.file.save(name, ContentFile(data))

    def copy(self) -> None:
        row = self.row(Paper)
        if row is not None and not row.get_deferred_fields():
            row.pk = None
            row._state.adding = self.random.random() < 0.5
            row.save()

    def share(self) -> None:
        paper, shelf = self.row(Paper), self.row(Shelf)
        if paper and shelf and paper.file:
            shelf.files.append(paper.file)
            shelf.save()

    def upsert(self) -> None:
        unique = f"u{self.random.randrange(6)}"
        Record.objects.update_or_create(unique=unique, defaults={"file": self.file()})

    def clear(self) -> None:
        if row := self.row(Paper):
            if row.file and self.random.random() < 0.5:
                row.file.delete()
            else:
                row.file = None
                self._save(row, "file")

    def retitle(self) -> None:
        if row := self.row(Paper):
            row.title = f"title {self.random.random()}"
            if row.file and self.random.random() < 0.3:
                row.file.metadata["seen"] = self.made
            row.save()

    def delete(self) -> None:
        if row := self.row(self.random.choice((self.kind(), Shelf))):
            row.delete()

    def delete_many(self) -> None:
        model = self.random.choice((self.kind(), self.kind(), Shelf, Box))
        keys = self.keys(model, 6)
        some = self.random.sample(keys, min(len(keys), self.random.randint(1, 3)))
        model.objects.filter(pk__in=some).delete()

    def append(self) -> None:
        if row := self.row(Shelf):
            row.files.append(self.file())
            row.save()

    def remove(self) -> None:
        row = self.row(Shelf)
        if row is None or not row.files:
            return
        if self.random.random() < 0.3:
            self.random.choice(row.files).delete()
            return
        del row.files[self.random.randrange(len(row.files))]
        row.save()

    def rearrange(self) -> None:
        if row := self.row(Shelf):
            self.random.shuffle(row.files)
            row.files[:1] = [self.file() for _ in range(self.random.randrange(3))]
            row.save()

    def _save(self, row: Any, name: str) -> None:
        row.save(update_fields=[name] if self.random.random() < 0.3 else None)


#: what transactions are made of, and how often
STEPS = {
    "create": 5,
    "create_refused": 1,
    "create_many": 1,
    "replace": 6,
    "replace_cover": 2,
    "replace_through_the_file": 1,
    "copy": 1,
    "share": 1,
    "upsert": 2,
    "clear": 2,
    "retitle": 2,
    "delete": 3,
    "delete_many": 2,
    "append": 4,
    "remove": 2,
    "rearrange": 2,
}


def _reason(error: BaseException) -> str:
    if isinstance(error, AGAIN):
        first = str(error.args[-1] if error.args else error).partition("\n")[0]
        return re.sub(r"[\d\W]+", " ", first).strip()[:40] or type(error).__name__
    return "storage" if isinstance(error, OSError) else type(error).__name__


# what workers are asked to do


@dataclass
class Report:
    """What the threads of a worker did."""

    outcomes: Counter[str]
    #: what the package logged: files that it had to leave are named there
    logged: list[str]
    seconds: float


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def create_database() -> str:
    """Make a database with all tables; return its name."""
    tests = connection.settings_dict["TEST"]
    tests["MIGRATE"] = False
    if connection.vendor == "sqlite":
        tests["NAME"] = str(connection.settings_dict["NAME"])
    return str(connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False))


def drop_database(name: str) -> None:
    """Remove a database of `create_database()`."""
    wait_until_alone()
    connection.creation.destroy_test_db(name, verbosity=0)


def use_storage(options: dict[str, Any]) -> None:
    """Make `options` those of the default storage, and connect."""
    override_storage(default=options).enable()
    connection.ensure_connection()
    with contextlib.suppress(OSError):
        default_storage.exists("nothing")


def work(label: str, threads: int, transactions: int) -> Report:
    """Do `transactions` in all, from `threads`."""
    log = _Log()
    logger = logging.getLogger("django_fsspec")
    logger.addHandler(log)
    logger.propagate = False
    start = time.monotonic()

    def visits(number: int) -> Counter[str]:
        visitor = Visitor(f"{label}-{number}")
        try:
            for _ in range(number, transactions, threads):
                visitor.visit()
        finally:
            connections.close_all()
        return visitor.outcomes

    with ThreadPoolExecutor(threads) as pool:
        outcomes = sum(pool.map(visits, range(threads)), Counter[str]())
    # what a rollback did not wait for
    for thread in threading.enumerate():
        if thread.name.endswith("(discard)"):
            thread.join()
    return Report(outcomes, log.lines, time.monotonic() - start)


def rows() -> list[tuple[str, dict[str, Any]]]:
    """Return every file that a row holds, with where: JSON, read without our code."""
    found = []
    with connection.cursor() as cursor:
        for each in stored_fields():
            table, pk = each.model._meta.db_table, each.model._meta.pk.column
            cursor.execute(f"SELECT {pk}, {each.column} FROM {table}")
            for key, text in cursor.fetchall():
                held = json.loads(text or "[]")
                listed = held if isinstance(held, list) else [held]
                found += [(f"{each} {key}", one) for one in listed]
    return found


def sweep() -> dict[str, Any]:
    """Have the site's own command delete what no row holds; return what it counts."""
    told = io.StringIO()
    options = ("--delete", "--min-age=0", "--missing", "--json", "--no-progress")
    call_command("sweep_files", "default", *options, stdout=told)
    counts: dict[str, Any] = json.loads(told.getvalue())["aliases"]["default"]
    return counts


_OTHERS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT count(*) FROM information_schema.processlist"
    " WHERE db = database() AND id <> connection_id()",
    # the system takes back the locks of the dead
    "sqlite": "SELECT 0",
}


def wait_until_alone() -> None:
    """Return when the database has done all that was asked by those who are gone."""
    deadline = time.monotonic() + 30
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_OTHERS[connection.vendor])
            if cursor.fetchone() == (0,):
                return
            assert time.monotonic() < deadline, "somebody still uses the database"
            time.sleep(0.02)


class SiteWorker(Worker):
    """A worker with the tests' settings, on a database of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        main = f"import django; django.setup(); from {__name__} import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", main, str(os.getpid())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )


def main() -> None:
    """Serve jobs from standard input, as `tests.workers` does."""
    workers._die_with_parent(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    workers._serve(sys.stdin.buffer, answers)
    os._exit(0)


# what lies between


class Between:
    """Stands between clients and a server, in a thread of this process."""

    def __init__(self, host: str, port: int, seed: str) -> None:
        self._target = (host, port)
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0
        #: requests that are with the server
        self.busy = 0
        self.faults: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # either side left
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class Line(Between):
    """Stands before a database: breaks at commits, before they are made or when they are.

    Outside of a transaction an INSERT is its own commit.
    """

    CHANCES: ClassVar = {"COMMIT": 0.1, "INSERT": 0.02}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        ends = False

        async def asks() -> None:
            nonlocal ends
            while data := await reader.read(1 << 16):
                kind = "COMMIT" if data.rstrip(b"\0").endswith(b"COMMIT") else ""
                kind = "INSERT" if b"INSERT INTO" in data else kind
                if self._random.random() < self.CHANCES.get(kind, 0):
                    ends = self._random.random() < 0.5
                    self.faults[f"lost {'after' if ends else 'before'} {kind}"] += 1
                    if not ends:
                        raise EOFError
                back.write(data)
                await back.drain()

        async def answers() -> None:
            while data := await there.read(1 << 16):
                if ends:
                    raise EOFError
                writer.write(data)
                await writer.drain()

        directions = [asyncio.ensure_future(asks()), asyncio.ensure_future(answers())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.transport.abort()
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)


@dataclass(frozen=True)
class Climate:
    """How often what happens to requests."""

    #: new objects whose every upload fails
    doomed: float = 0.05
    #: requests that fail, deletions never more often than they are tried again
    faulty: float = 0.08
    #: uploads that succeed, and nobody is told
    untold: float = 0.0
    #: deletions of which every try fails
    kept: float = 0.0


class Weather(Between):
    """Stands before an S3 server: passes requests on, or does not.

    A request is read whole before the server hears of it, so that it is known for each whether
    it got there, and whether its answer came back.
    """

    FAULTS = ("503", "reset", "broken off", "stall")

    def __init__(self, host: str, port: int, climate: Climate, seed: str) -> None:
        super().__init__(host, port, seed)
        self._climate = climate
        self._fates: dict[str, bool] = {}
        self._tries: Counter[str] = Counter()
        #: keys of objects that the server stored, and nobody was told
        self.untold: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await Message.read(reader):
            await asyncio.sleep(self._random.random() * 0.01)
            fault = self._fault(request)
            if fault in self.FAULTS:
                self.faults[fault] += 1
                await self._fail(fault, reader, writer)
                continue
            self.busy += 1
            try:
                answer = await self._answer(request)
            finally:
                self.busy -= 1
            if fault is None and not reader.at_eof() and not writer.is_closing():
                writer.write(answer.raw)
                await writer.drain()
                continue
            if request.completes and answer.status < 300:
                self.untold.append(request.key)
            self.faults["answer lost" if fault else "nobody waited for the answer"] += 1
            await self._fail(self._random.choice(self.FAULTS), reader, writer)

    def _fault(self, request: Message) -> str | None:
        """Return what shall happen to a request; None for nothing."""
        identity, climate, roll = request.identity, self._climate, self._random.random
        chance = climate.doomed if request.uploads else climate.kept if request.deletes else 0.0
        doomed = self._fates.setdefault(identity, roll() < chance)
        self._tries[identity] += 1
        spared = request.deletes and self._tries[identity] > RETRIES
        if doomed or (not spared and roll() < climate.faulty):
            # waiting takes long
            return self._random.choices(self.FAULTS, (6, 4, 4, 1))[0]
        return "untold" if request.completes and roll() < climate.untold else None

    async def _fail(
        self, fault: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if fault == "503":
            writer.write(_UNAVAILABLE)
            await writer.drain()
            return
        if fault == "stall":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), TIMEOUT * 3)
        elif fault == "broken off":
            writer.write(_UNAVAILABLE[:30])
            await writer.drain()
        else:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise EOFError

    async def _answer(self, request: Message) -> Message:
        reader, writer = await asyncio.open_connection(*self._target, limit=1 << 20)
        try:
            writer.write(request.raw)
            await writer.drain()
            answer = await Message.read(reader, to=request)
            if answer is None:
                raise EOFError
            return answer
        finally:
            writer.transport.abort()


_BODY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


@dataclass
class Message:
    """A request or an answer, as it was sent."""

    raw: bytes
    first: str
    body: bytes

    @classmethod
    async def read(cls, reader: asyncio.StreamReader, to: Self | None = None) -> Self | None:
        """Return the next message, an answer `to` a request if that is given; None at the end."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        headers = {name.lower(): value.strip().lower() for name, _, value in pairs}
        body = b""
        if to is not None and to.method == "HEAD":
            pass
        elif "chunked" in headers.get("transfer-encoding", ""):
            body = await _chunks(reader)
        elif length := int(headers.get("content-length", "0")):
            body = await reader.readexactly(length)
        return cls(head + body, first, body)

    @property
    def status(self) -> int:
        return int(self.first.split()[1])

    @property
    def method(self) -> str:
        return self.first.split()[0]

    @property
    def key(self) -> str:
        """The path without the bucket."""
        path = self.first.split()[1].partition("?")[0]
        return urllib.parse.unquote(path.lstrip("/").partition("/")[2])

    @property
    def query(self) -> str:
        return self.first.split()[1].partition("?")[2]

    @property
    def deletes(self) -> bool:
        return self.method == "DELETE" or self.query.startswith("delete")

    @property
    def uploads(self) -> bool:
        """Whether it makes an object, or has a part in that."""
        return self.method in ("PUT", "POST") and not self.deletes

    @property
    def completes(self) -> bool:
        """Whether an object is there once it is answered."""
        if self.method == "PUT":
            return "partNumber" not in self.query
        return self.method == "POST" and "uploadId" in self.query

    @property
    def identity(self) -> str:
        """What a request has in common with those that try it again."""
        return self.key if self.uploads else f"{self.first} {hashlib.md5(self.body).hexdigest()}"


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a chunked body, as it is."""
    raw = b""
    while size := int((line := await reader.readline()).partition(b";")[0], 16):
        raw += line + await reader.readexactly(size + 2)
    raw += line
    while (line := await reader.readline()) not in (b"\r\n", b""):
        raw += line
    return raw + b"\r\n"


# a site


@dataclass
class Audit:
    """What rows hold against what lies there."""

    #: files that rows hold
    held: int = 0
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lists = [f"{name} {len(getattr(self, name))}" for name in ("missing", "wrong", "orphans")]
        return f"held {self.held}, {', '.join(lists)}"


class Site:
    """A database and a folder on S3, and the processes that reach them over failing networks."""

    def __init__(
        self, database: str, seed: str, climate: Climate | None = None, *, losing: bool = False
    ) -> None:
        self.seed = seed
        self._s3 = server(servers.SeaweedS3)
        self._folder = grounds.folder("faults")
        self.weather = Weather(HOST, self._s3.port, climate or Climate(), seed)
        self.line: Line | None = None
        self._files = tempfile.TemporaryDirectory(prefix="django-fsspec-faults-")
        self._environment = {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DJANGO_FSSPEC_DATABASE": database,
            "DJANGO_FSSPEC_VAR": self._files.name,
            # else nobody between could tell what is said
            "PGSSLMODE": "disable",
        }
        if losing:
            self._address = _ADDRESSES[database]
            host, port = itertools.starmap(os.environ.get, self._address.items())
            self.line = Line(str(host), int(port or 0), seed)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.enter_context(self._files)
            self._stack.enter_context(self.weather)
            if self.line is not None:
                self._stack.enter_context(self.line)
            name = f"faults_{os.urandom(4).hex()}"
            self._use_database(name)
            self._keeper = self._stack.enter_context(SiteWorker(self._environment))
            self._use_database(self._keeper.call(create_database))
            self._stack.callback(self._keeper.call, drop_database, name)
            self._keeper.call(use_storage, self._options(self._s3.url))
            self._keep_folders()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _use_database(self, name: str) -> None:
        self._environment |= {"PGDATABASE": name, "MYSQL_DATABASE": name}

    def _options(self, endpoint: str) -> dict[str, Any]:
        return {
            **grounds.s3_options(self._s3, self._folder, endpoint),
            "chunk_size": 5 * 1024 * 1024,
            "timeout": TIMEOUT,
            "retries": RETRIES,
        }

    def _keep_folders(self) -> None:
        # SeaweedFS clears away a folder some time after its last file was deleted, and whatever
        # was stored there meanwhile
        client = self._s3.boto3_client()
        for folder in _FOLDERS:
            key = f"{self._folder}/{folder}{_KEPT}"
            client.put_object(Bucket=self._s3.bucket, Key=key, Body=b"")
        client.close()

    def worker(self) -> SiteWorker:
        """Return a new process, on its way."""
        environment = dict(self._environment)
        if self.line is not None:
            environment |= zip(self._address, (HOST, str(self.line.port)), strict=True)
        return SiteWorker(environment)

    def begin(self, worker: Worker, label: str, *, threads: int, transactions: int) -> None:
        """Have a worker do transactions."""
        worker.call(use_storage, self._options(self.weather.url))
        worker.send(work, f"{self.seed}-{label}", threads, transactions)

    def audit(self) -> Audit:
        """Compare rows and objects, once nothing is under way any more, without our code."""
        self._keeper.call(wait_until_alone)
        deadline = time.monotonic() + 30
        while self.weather.busy:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        objects = {
            name: data
            for name, data in grounds.s3_files(self._s3, self._folder).items()
            if not name.endswith(_KEPT)
        }
        found = Audit()
        held: set[str] = set()
        for where, file in self._keeper.call(rows):
            name = file["filename"]
            found.held += 1
            held.add(name)
            if name not in objects:
                found.missing.append(f"{where}: {name}")
            elif not _is_whole(file, objects[name]):
                found.wrong.append(f"{where}: {name}")
        found.orphans = sorted(objects.keys() - held)
        return found

    def sweep(self) -> tuple[int, int]:
        """Have the command delete what no row holds; return how many, and missing rows."""
        counts = self._keeper.call(sweep)
        # no row holds what keeps the folders either
        return counts["deleted"] - len(_FOLDERS), counts["missing_rows"]

    def accounts(self, orphans: Iterable[str], reports: Sequence[Report]) -> dict[str, list[str]]:
        """Return `orphans` by who knows of them: an answer was lost, a log names them, nobody."""
        told = "\n".join(line for report in reports for line in report.logged)
        untold = {key.removeprefix(f"{self._folder}/") for key in self.weather.untold}
        found: dict[str, list[str]] = {"untold": [], "logged": [], "nobody": []}
        for name in orphans:
            found["untold" if name in untold else "logged" if name in told else "nobody"] += [name]
        return found


_KEPT = ".kept"
_FOLDERS = ("", "papers/", "covers/", f"shelves/{datetime.datetime.now().year}/")
#: what says where a database is, and where it is else
_ADDRESSES = {
    "postgresql": {"PGHOST": HOST, "PGPORT": "5432"},
    "mariadb": {"MYSQL_HOST": HOST, "MYSQL_PORT": "3306"},
}


def _is_whole(file: dict[str, Any], data: bytes) -> bool:
    """Return whether an object is what its row says, and what was given."""
    return (
        data == content_of(file["metadata"]["original_name"])
        and file["checksum"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        and file["size"] == len(data)
    )
