"""Rows of benchmarks: what they hold, and how they are measured, ours and peers in turns.

A module of benchmarks that `python -m benchmarks.report` runs has `rows(*, quick: bool)`, which
yields rows. It is called in a process of its own, with no settings configured.

Example::

    def rows(*, quick: bool) -> Iterator[Row]:
        settings.configure()
        django.setup()
        works = {OURS: lambda n: ours.save(f"{n}.txt", content()), "django-storages": ...}
        yield from rows_of("save 20 kB", in_turns(works, rounds=turns(quick), calls=30))
"""

from __future__ import annotations

import argparse
import gc
import itertools
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

from benchmarks.table import print_table
from tests import servers

#: the key of ours among what is measured
OURS = "ours"

#: seconds; seconds of CPU; HTTP requests; bytes. Less is better for all of them
Measure = Literal["time", "CPU", "requests", "memory"]

#: does a work once; gets a number that is new for each call
Work = Callable[[int], object]


class Row(NamedTuple):
    """One thing measured of ours and of a peer."""

    work: str
    peer: str
    #: seconds of a round trip; None where there is no network
    latency: float | None
    measure: Measure
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """How many times as much the peer takes: above 1.0, ours is better."""
        if self.ours == self.theirs:
            return 1.0
        return self.theirs / self.ours if self.ours else float("inf")


class Taken(NamedTuple):
    """What one call takes: a median over the rounds. None is not measured."""

    time: float | None = None
    CPU: float | None = None
    requests: float | None = None
    memory: float | None = None

    def scaled(self, factor: float) -> Taken:
        """Return the same for `factor` times the work, in the same memory."""
        times, cpu, requests = (None if value is None else value * factor for value in self[:3])
        return Taken(times, cpu, requests, self.memory)


def turns(quick: bool) -> int:
    """Return how many rounds count."""
    return 1 if quick else 7


def rows_of(work: str, taken: Mapping[str, Taken], latency: float | None = None) -> Iterator[Row]:
    """Yield a row for each measure and each peer of ours."""
    for peer in taken:
        for name in Taken._fields:
            own, other = getattr(taken[OURS], name), getattr(taken[peer], name)
            if peer != OURS and own is not None and other is not None:
                yield Row(work, peer, latency, name, own, other)  # type: ignore[arg-type]


def in_turns(
    works: Mapping[str, Work],
    *,
    rounds: int,
    calls: int = 1,
    proxy: servers.CountingProxy | None = None,
    after: Callable[[], object] = lambda: None,
) -> dict[str, Taken]:
    """Do all works in turns, the order another one each round, and return medians of one call.

    The first round is not counted. Processes that a work started and waited for count as its CPU.
    `after` runs after each round and is not measured; nor is the garbage collector, which waits.
    """
    names = list(works)
    taken: dict[str, list[Taken]] = {name: [] for name in names}
    numbers = itertools.count()
    for turn in range(rounds + 1):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            one = _round(works[name], [next(numbers) for _ in range(calls)], proxy)
            if turn:
                taken[name].append(one)
        after()
    return {name: Taken(*map(_median, zip(*all_, strict=True))) for name, all_ in taken.items()}


def _round(work: Work, numbers: list[int], proxy: servers.CountingProxy | None) -> Taken:
    gc.collect()
    gc.disable()
    if proxy is not None:
        proxy.reset()
    try:
        cpu, start = cpu_seconds(), time.perf_counter()
        for number in numbers:
            work(number)
        took, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    finally:
        gc.enable()
    requests = None if proxy is None else len(proxy.requests()) / len(numbers)
    return Taken(took / len(numbers), cpu / len(numbers), requests)


def _median(values: tuple[float | None, ...]) -> float | None:
    return None if None in values else median(values)  # type: ignore[type-var]


def cpu_seconds() -> float:
    """Return the CPU time of this process and of children that were waited for."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = map(resource.getrusage, whose)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


# showing

_UNITS: dict[Measure, tuple[tuple[float, str], ...]] = {
    "time": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "CPU": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "requests": ((1, ""),),
    "memory": ((1e6, "MB"),),
}


def shown(measure: Measure, value: float) -> str:
    """Return a value with its unit, to three digits."""
    units = _UNITS[measure]
    size, unit = next((each for each in units if value >= each[0]), units[-1])
    number = value / size
    digits = 0 if number >= 100 or number == int(number) else 1 if number >= 10 else 2
    return f"{number:,.{digits}f} {unit}".rstrip()


def shown_ratio(ratio: float) -> str:
    """Return a ratio to two digits or more."""
    return (
        "∞"
        if ratio == float("inf")
        else f"{ratio:,.{0 if ratio >= 100 else 1 if ratio >= 10 else 2}f}"
    )


def shown_latency(latency: float | None) -> str:
    """Return a round trip in ms; "" where there is none."""
    return "" if latency is None else f"{latency * 1000:.0f} ms"


def main(rows: Callable[..., Iterator[Row]], description: str) -> None:
    """Print the rows of one module."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of few calls")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    print_rows(rows(quick=options.quick), markdown=options.markdown)


def print_rows(rows: Iterable[Row], *, markdown: bool = False) -> None:
    """Print a line for each row."""
    head = ("work", "peer", "round trip", "measure", "ours", "theirs", "ratio")
    cells = [
        (
            row.work,
            row.peer,
            shown_latency(row.latency),
            row.measure,
            shown(row.measure, row.ours),
            shown(row.measure, row.theirs),
            shown_ratio(row.ratio),
        )
        for row in rows
    ]
    print_table(head, cells, markdown=markdown)


# memory


def in_child(work: Callable[..., Any], *args: Any) -> Any:
    """Return what `work` gives in a process of its own. Raises what it raises."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def run() -> None:
        try:
            there.send(work(*args))
        except BaseException as error:
            there.send(error)
        # without the finalizers of clients, which wait for their servers
        os._exit(0)

    child = context.Process(target=run)
    child.start()
    there.close()
    try:
        result = here.recv()
    finally:
        child.join()
    if isinstance(result, BaseException):
        raise result
    return result


def status(field: str) -> int:
    """Return a size of this process as the kernel tells it, such as VmRSS, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def peak_of(work: Callable[[], object]) -> int:
    """Return by how many bytes this process grew at the highest point of `work`.

    Do it in a process of its own, see `in_child()`: memory that was freed before is used again.
    """
    before = status("VmRSS")
    return max(0, whole_peak_of(work) - before)


def whole_peak_of(work: Callable[[], object]) -> int:
    """Return the bytes that this process takes at the highest point of `work`."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest point
    work()
    return status("VmHWM")
