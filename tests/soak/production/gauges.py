"""Memory, descriptors and threads of the site's processes, generation after generation."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from .sites import Process

#: a worker that was measured as often has grown up: one that ends before is left out
GROWN = 12


@dataclass(frozen=True)
class Measure:
    """What a process has: megabytes of its own, descriptors, threads."""

    memory: float
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Measure a process; raises ``OSError`` when it is gone."""
        folder = Path(f"/proc/{pid}")
        status = dict(
            line.partition(":")[::2] for line in (folder / "status").read_text().splitlines()
        )
        if "VmRSS" not in status:
            raise ProcessLookupError(pid)
        return cls(
            memory=int(status["VmRSS"].split()[0]) / 1024,
            descriptors=len(list((folder / "fd").iterdir())),
            threads=int(status["Threads"]),
        )


@dataclass
class Life:
    """The measures of one process, since when it is known."""

    label: str
    began: float
    measures: list[Measure] = field(default_factory=list)

    @property
    def peak(self) -> Measure:
        """The most that it had of each."""
        return Measure(
            max(one.memory for one in self.measures),
            max(one.descriptors for one in self.measures),
            max(one.threads for one in self.measures),
        )


class Gauges:
    """A thread that measures all processes twice a second."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes
        self.lives: dict[int, Life] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            for process in self._processes:
                for pid in process.workers():
                    self._note(pid, f"{process.label} worker")
                if process.pid:
                    self._note(process.pid, process.label)

    def _note(self, pid: int, label: str) -> None:
        with contextlib.suppress(OSError):
            measure = Measure.of(pid)
            life = self.lives.setdefault(pid, Life(label, time.monotonic()))
            life.measures.append(measure)

    def generations(self, label: str) -> list[Measure]:
        """Return the peaks of the grown workers of a label, in the order of their births."""
        grown = [
            life
            for life in self.lives.values()
            if life.label == label and len(life.measures) >= GROWN
        ]
        return [life.peak for life in sorted(grown, key=lambda life: life.began)]

    def table(self) -> list[tuple[str, int, Measure, Measure]]:
        """Return label, number, and the median of the first and of the last generations.

        For a process that has no generations: what it had after a tenth of its life, and last.
        """
        rows = []
        for process in self._processes:
            peaks = self.generations(f"{process.label} worker")
            third = max(1, len(peaks) // 3)
            rows.append(
                (
                    f"{process.label} worker",
                    len(peaks),
                    _median(peaks[:third]),
                    _median(peaks[-third:]),
                )
            )
            measures = self.lives[process.pid or 0].measures
            rows.append((process.label, 1, measures[len(measures) // 10], measures[-1]))
        return rows


def _median(measures: Sequence[Measure]) -> Measure:
    return Measure(
        statistics.median(one.memory for one in measures),
        round(statistics.median(one.descriptors for one in measures)),
        round(statistics.median(one.threads for one in measures)),
    )
