"""What happens to a site: servers that restart, new credentials, signals."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers import Server

    from .sites import Process, Site, Unfinished
    from .traffic import Fault

#: seconds after which nothing of a mishap may be felt any more: a save is tried that long
SETTLED = 20.0
#: seconds that a server is away
AWAY = 2.0


class Mishaps:
    """Does them, and remembers when: what fails at that time is not the site's fault."""

    def __init__(self, site: Site, seed: str) -> None:
        self._site, self._random = site, random.Random(seed)
        self.done: Counter[str] = Counter()
        #: times in which requests may fail, and in which connections to the site may break
        self._outages: list[tuple[float, float]] = []
        self._signals: list[tuple[float, float]] = []

    def excuses(self, fault: Fault) -> bool:
        """Return whether a fault is due to a mishap."""
        times = [*self._outages, *(self._signals if fault.broken else ())]
        return any(start <= fault.end and fault.start <= end for start, end in times)

    def explains(self, unfinished: Unfinished) -> bool:
        """Return whether a server was away when an upload was begun, or soon after."""
        began = unfinished.time - time.time() + time.monotonic()
        return any(start - SETTLED <= began <= end for start, end in self._outages)

    @contextlib.contextmanager
    def _outage(self, label: str, settled: float = SETTLED) -> Iterator[None]:
        start = time.monotonic()
        self.done[label] += 1
        print(f"  {label}", flush=True)
        yield
        self._outages.append((start, time.monotonic() + settled))

    def restart(self, server: Server) -> None:
        """Kill a server, and start it with what it has stored."""
        with self._outage(f"{type(server).__name__} restarted"):
            _restart(server)

    def replace_credentials(self) -> None:
        """Give both servers other credentials; have the site's processes load them."""
        site = self._site
        with self._outage("credentials replaced"):
            site.s3.key, site.s3.secret = "AKIDNEWEXAMPLE", "NEWSECRETEXAMPLE"
            site.write_credentials()
            _restart(site.s3)
            for name in ("user_key", "user_key.pub"):
                (site.ssh.directory / name).unlink()
            _restart(site.ssh)
            self.reload()

    def reload(self) -> None:
        """Have all processes start new workers, as a deployment does."""
        for process in self._site.processes:
            process.signal(signal.SIGHUP)
            self.done[f"{process.label} HUP"] += 1

    def send(self, numbers: Sequence[signal.Signals], processes: Sequence[Process]) -> None:
        """Send one of the signals to a worker of one of the processes."""
        process, number = self._random.choice(processes), self._random.choice(numbers)
        workers = process.workers()
        if not workers:
            return
        start = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._random.choice(workers), number)
        self.done[f"{process.label} worker {number.name[3:]}"] += 1
        # it ends gracefully, and another begins
        self._signals.append((start, start + SETTLED))

    def send_until(
        self,
        end: float,
        numbers: Sequence[signal.Signals],
        processes: Sequence[Process],
        every: float,
    ) -> None:
        """Send signals until `end`, about `every` so many seconds."""
        pause = threading.Event()
        while (left := end - time.monotonic()) > 0:
            pause.wait(min(left, every * self._random.uniform(0.5, 1.5)))
            self.send(numbers, processes)


def _restart(server: Server) -> None:
    server.kill()
    time.sleep(AWAY)
    try:
        server.start()
    except subprocess.SubprocessError as error:
        raise RuntimeError(f"{server!r} does not come back") from error
