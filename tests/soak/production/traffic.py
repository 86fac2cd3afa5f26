"""What visitors do: uploads, replaced and deleted files, downloads, ranges, listings, tasks."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.ports import HOST
from tests.soak.faults.content import content_of
from tests.soak.machines import connected_to_redis, redis_url

if TYPE_CHECKING:
    from typing import Self

    from .sites import Process, Site

#: seconds between two requests of a visitor
PAUSE = 0.05
#: tasks that may wait or be done at a time
TASKS = 3
#: seconds after which a task that was sent has begun, or never will
LOST = 60.0


@dataclass(frozen=True)
class Fault:
    """A request or task that did not end as it should, and when it began and ended."""

    start: float
    end: float
    what: str
    #: whether the connection broke, as it does when a worker is killed
    broken: bool = False


@dataclass
class Record:
    """What all visitors saw."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, count: int = 1) -> None:
        """Count an outcome."""
        with self.lock:
            self.outcomes[what] += count

    def fault(self, start: float, what: str, *, broken: bool = False) -> None:
        """Note a fault that began at `start`."""
        with self.lock:
            self.faults.append(Fault(start, time.monotonic(), what, broken))

    def transactions(self, start: float, server: str, outcomes: dict[str, int]) -> None:
        """Count the outcomes of transactions; one that a storage failed is a fault."""
        for outcome, count in outcomes.items():
            self.note(outcome, count)
            if outcome.endswith(("storage", "given up")):
                self.fault(start, f"{server}: {outcome}")


class Visitors:
    """Threads that ask the application servers, and one that sends tasks."""

    def __init__(self, site: Site, seed: str) -> None:
        self._site, self._seed = site, seed
        self.record = Record()
        self._stop = threading.Event()
        kinds = [
            (site.gunicorn, ""),
            (site.gunicorn, ""),
            (site.uvicorn, "a"),
            (site.uvicorn, "a"),
        ]
        self._threads = [
            threading.Thread(target=self._visit, args=(server, a, f"{seed}-{number}"), daemon=True)
            for number, (server, a) in enumerate(kinds)
        ]
        self._threads.append(threading.Thread(target=self._send_tasks, daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, server: Process, a: str, seed: str) -> None:
        """Visit the site; `a` is the prefix of its async views."""
        choice = random.Random(seed)
        visits = {f"{a}visit": 6, f"{a}download": 6, f"{a}listing": 1}
        while not self._stop.wait(PAUSE):
            (page,) = choice.choices(list(visits), list(visits.values()))
            start = time.monotonic()
            try:
                self._ask(server, page, choice, start)
            except (OSError, http.client.HTTPException, ValueError) as error:
                what = f"{server.label}: {page}: {error!r}"
                self.record.fault(start, what, broken=not isinstance(error, ValueError))

    def _ask(self, server: Process, page: str, choice: random.Random, start: float) -> None:
        connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
        try:
            byte_range = _some_range(choice) if page.endswith("download") else {}
            connection.request("GET", f"/{page}", headers=byte_range)
            response = connection.getresponse()
            if page.endswith("download") and choice.random() < 0.1:
                response.read(1000)
                self.record.note("a visitor left")
                return
            body = response.read()
        finally:
            connection.close()
        if response.status >= 400 and response.status not in (404, 416):
            self.record.fault(start, f"{server.label}: {page}: status {response.status}")
        elif page.endswith("visit"):
            self.record.transactions(start, server.label, json.loads(body))
        elif response.status in (200, 206) and not _is_right(page, response, body):
            self.record.fault(start, f"{server.label}: {page}: wrong bytes")
        self.record.note(f"{page} {response.status}")

    def _send_tasks(self) -> None:
        # here: the newest Django's tests are collected without it
        import celery

        app = celery.Celery(broker=redis_url(), set_as_current=False)
        with connected_to_redis() as client:
            tasks = Tasks(client, self._site.answers, self.record)
            number = 0
            while not self._stop.wait(0.1):
                tasks.hear()
                if tasks.under_way < TASKS:
                    app.send_task("visit", (self._site.answers, number), queue=self._site.name)
                    tasks.sent[number] = time.monotonic()
                    number += 1
            deadline = time.monotonic() + 2 * LOST
            while tasks.under_way:
                tasks.hear()
                assert time.monotonic() < deadline, f"{len(tasks.sent)} tasks do not end"
                time.sleep(0.1)
            client.delete(self._site.answers)
        app.close()


class Tasks:
    """The tasks that were sent, and what became of them."""

    def __init__(self, client: Any, answers: str, record: Record) -> None:
        self._client, self._answers, self._record = client, answers, record
        #: number -> when it was sent
        self.sent: dict[int, float] = {}
        #: number -> process that does it
        self._doing: dict[int, int] = {}

    @property
    def under_way(self) -> int:
        """How many have not ended; the process of one that was lost is gone."""
        now = time.monotonic()
        for number, sent in list(self.sent.items()):
            pid = self._doing.get(number)
            # its process may be killed before it tells that it begins
            lost = now - sent > LOST if pid is None else not _lives(pid)
            if lost:
                self.hear()
                self._doing.pop(number, None)
                if self.sent.pop(number, None) is not None:
                    self._record.fault(sent, "celery: a task was lost", broken=True)
        return len(self.sent)

    def hear(self) -> None:
        """Take note of what was answered."""
        while text := self._client.lpop(self._answers):
            answer = json.loads(text)
            number = answer["number"]
            if "outcomes" in answer:
                self._doing.pop(number, None)
                start = self.sent.pop(number, time.monotonic())
                self._record.transactions(start, "celery", answer["outcomes"])
                self._record.note("task")
            else:
                self._doing[number] = answer["pid"]


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _some_range(choice: random.Random) -> dict[str, str]:
    if choice.random() < 0.5:
        return {}
    start = choice.choice((0, 5, 10_000))
    return {"Range": f"bytes={start}-{start + choice.choice((0, 99, 50_000))}"}


def _is_right(page: str, response: http.client.HTTPResponse, body: bytes) -> bool:
    """Return whether a download brought what it should have."""
    if not page.endswith("download"):
        return True
    data = content_of(str(response.getheader("X-Original")))
    if response.status == 200:
        return body == data
    first, _, last = str(response.getheader("Content-Range"))[6:].partition("/")[0].partition("-")
    return body == data[int(first) : int(last) + 1]


def seed() -> str:
    """Return what all random choices follow from: SOAK_SEED, or something new."""
    return os.environ.get("SOAK_SEED") or os.urandom(4).hex()
