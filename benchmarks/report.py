"""Run all benchmarks and write docs/benchmarks.md and its chart: `make bench`.

Each module of benchmarks that has `rows()` is run in a process of its own. `--quick` runs one
round of everything and writes nothing. Measured rows are kept in build/benchmarks.json after each
module. A name runs that module alone, and writes the documents with what is kept of the others;
`--render` writes them from what is kept.

Exit status 1: a peer is missing (with `--quick` it is left out), a benchmark failed, or a row is
below 1.0 and benchmarks/reasons.py gives no reason.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import pkgutil
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import benchmarks
from benchmarks.chart import chart
from benchmarks.reasons import is_below, reason_of
from benchmarks.rows import Row, print_rows, shown, shown_latency, shown_ratio
from tests.servers.base import MissingServer, find_executable

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
CHART = ROOT / "docs" / "images" / "benchmarks.svg"
KEPT = ROOT / "build" / "benchmarks.json"
BEGIN, END = "<!-- made by `make bench` -->\n", "<!-- end -->\n"
_PICTURE = (
    "![For each work, the time of each other package as a multiple of ours, on a logarithmic "
    "scale](images/benchmarks.svg)"
)

#: a machine with more to do than this at the start gives no times to be believed
QUIET = 0.5
#: modules of what people ask for first
FIRST = ("s3", "static_files", "migrate")
MEASURES = ("time", "CPU", "requests", "memory")

PACKAGES = (
    "django-storages",
    "boto3",
    "obstore",
    "advanced-alchemy",
    "collectfasta",
    "whitenoise",
    "starlette",
)
OURS = ("Django", "fsspec", "s3fs", "aiobotocore", "aiohttp", "gunicorn", "uvicorn")
#: program -> how it tells its version
PROGRAMS = {"rclone": "version", "nginx": "-v", "weed": "version"}


# the machine


def missing() -> list[str]:
    """Return the peers that are not installed."""
    absent = []
    for package in PACKAGES:
        try:
            version(package)
        except PackageNotFoundError:
            absent.append(package)
    for program in PROGRAMS:
        try:
            find_executable(program, "")
        except MissingServer:
            absent.append(program)
    return absent


def environment() -> dict[str, Any]:
    """Return what the measurements depend on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    there = [name for name in (*OURS, *PACKAGES) if name not in missing()]
    programs = [name for name in PROGRAMS if name not in missing()]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, "
        f"{memory / 1e9:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}",
        "versions": {
            **{name: version(name) for name in there},
            **{name: program_version(name) for name in programs},
        },
        "load": os.getloadavg()[0],
    }


def program_version(name: str) -> str:
    command = [find_executable(name, ""), PROGRAMS[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"\d+\.\d[\d.]*", done.stdout + done.stderr)
    return found[0] if found else "?"


# running


def modules() -> list[str]:
    """Return the modules that have `rows()`."""
    names = {module.name for module in pkgutil.iter_modules(benchmarks.__path__)}
    names -= {"report", *FIRST}
    return [
        *FIRST,
        *(n for n in sorted(names) if hasattr(importlib.import_module(f"benchmarks.{n}"), "rows")),
    ]


def rows_of_module(name: str, quick: bool) -> list[Row]:
    return list(importlib.import_module(f"benchmarks.{name}").rows(quick=quick))


def measured(name: str, quick: bool) -> list[Row]:
    """Return the rows of a module, measured in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(rows_of_module, name, quick).result()


def run(names: Sequence[str], quick: bool) -> Iterator[tuple[str, list[Row] | None]]:
    """Yield the rows of each module; None of one that failed."""
    for name in names:
        start = time.monotonic()
        print(f"bench: {name} ...", flush=True)
        try:
            yield name, measured(name, quick)
        except (ModuleNotFoundError, MissingServer) as error:
            print(f"bench: {name} is left out: {error}", flush=True)
            yield name, [] if quick else None
        except Exception as error:
            print(f"bench: {name} failed: {error!r}", flush=True)
            yield name, None
        print(f"bench: {name} took {time.monotonic() - start:.0f} s", flush=True)


# keeping


class Kept(NamedTuple):
    """What was measured: of which machine, and the rows of each module."""

    about: dict[str, Any]
    rows: dict[str, list[Row]]

    @classmethod
    def read(cls) -> Kept:
        """Return what the last run kept. Raises ``FileNotFoundError``."""
        about, rows = json.loads(KEPT.read_text())
        return cls(about, {name: [Row(*row) for row in each] for name, each in rows.items()})

    def write(self) -> None:
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(self))

    def all_rows(self) -> list[Row]:
        """Return the rows in the order of the modules."""
        return [row for name in modules() for row in self.rows.get(name, ())]


def measure(names: Sequence[str], *, quick: bool) -> tuple[Kept, list[str]]:
    """Run modules, all without names; return the rows, and the names of those that failed."""
    kept = Kept(environment(), {})
    if kept.about["load"] > QUIET:
        print(f"bench: not quiet: the load average is {kept.about['load']:.2f}")
    if names and not quick and KEPT.is_file():
        before = Kept.read()
        kept.rows.update(before.rows)
        kept.about["load"] = max(kept.about["load"], before.about["load"])
    failed: list[str] = []
    for name, rows in run(names or modules(), quick):
        if rows is None:
            failed.append(name)
            continue
        kept.rows[name] = rows
        if not quick:
            kept.write()
    return kept, failed


# writing


def cell(row: Row | None) -> str:
    """Return ours, theirs and the ratio of one measure."""
    if row is None:
        return ""
    values = f"{shown(row.measure, row.ours)} / {shown(row.measure, row.theirs)}"
    ratio = shown_ratio(row.ratio)
    return f"{values} (**{ratio}**)" if is_below(row) else f"{values} ({ratio})"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of one Markdown table: a line for each work, peer and round trip."""
    yield f"| work | peer | round trip | {' | '.join(MEASURES)} |"
    yield "|:--|:--|--:" + "|--:" * len(MEASURES) + "|"
    lines: dict[tuple[str, str, float | None], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row.work, row.peer, row.latency), {})[row.measure] = row
    for (work, peer, latency), by_measure in lines.items():
        cells = [cell(by_measure.get(measure)) for measure in MEASURES]
        yield f"| {' | '.join([work, peer, shown_latency(latency), *cells])} |"


def below(rows: Sequence[Row]) -> Iterator[str]:
    """Yield an item for each reason, with the rows below 1.0 that it explains."""
    explained: dict[str, list[str]] = {}
    for row in rows:
        if is_below(row):
            name = f"{row.work} ({row.peer}, {row.measure}"
            name += f", {shown_latency(row.latency)})" if row.latency is not None else ")"
            reason = reason_of(row) or "No reason is known."
            explained.setdefault(reason, []).append(f"{name} {shown_ratio(row.ratio)}")
    for reason, names in explained.items():
        yield f"- {reason}"
        yield from (f"  - {name}" for name in names)


def section(rows: Sequence[Row], about: dict[str, Any]) -> str:
    """Return the part of the page that is made by a run."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    load = f"The load average of the machine was {about['load']:.2f} at the start."
    if about["load"] > QUIET:
        load += " **It was not quiet: do not trust the times.**"
    return "\n".join(
        [
            _PICTURE,
            "",
            f"Measured on {about['date']}: {about['machine']}. {versions}.",
            load,
            "",
            *table(rows),
            "",
            "## Where a peer is better",
            "",
            *(list(below(rows)) or ["Nothing."]),
            "",
        ]
    )


def write(rows: Sequence[Row], about: dict[str, Any]) -> None:
    """Write the page and the chart."""
    page = PAGE.read_text()
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{section(rows, about)}\n{END}{after}")
    CHART.write_text(chart(rows))
    print(f"bench: wrote {PAGE.relative_to(ROOT)} and {CHART.relative_to(ROOT)}")


def unexplained(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if is_below(row) and reason_of(row) is None]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"modules to run, of {', '.join(modules())}")
    parser.add_argument("--quick", action="store_true", help="one round; writes nothing")
    parser.add_argument("--render", action="store_true", help="write from build/benchmarks.json")
    options = parser.parse_args()
    failed: list[str] = []
    if options.render:
        kept = Kept.read()
    else:
        if absent := missing():
            print(f"bench: not installed: {', '.join(absent)}. Run scripts/bootstrap bench.")
            if not options.quick:
                return 1
        kept, failed = measure(options.names, quick=options.quick)
    rows = kept.all_rows()
    unmeasured = [name for name in modules() if name not in kept.rows]
    if options.quick or failed or unmeasured:
        print_rows(rows)
    else:
        write(rows, kept.about)
    if failed:
        print(f"bench: failed: {', '.join(failed)}")
    if unmeasured and not options.quick:
        print(f"bench: wrote nothing, since there are no rows of {', '.join(unmeasured)}")
    if slow := unexplained(rows):
        print("\nbench: below 1.0 without a reason in benchmarks/reasons.py:")
        print_rows(slow)
        if not options.quick:
            print("\nbench: give their reasons there, then: make bench ARGS=--render")
    return 1 if failed or (slow and not options.quick) else 0


if __name__ == "__main__":
    sys.exit(main())
