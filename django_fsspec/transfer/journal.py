"""The journal of a move: the result of each file, counted, shown and reported."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from tqdm import tqdm

from django_fsspec.audit.reports import Report

Status = Literal["moved", "present", "changed", "failed"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The result of one file. `reason` says why it failed or was left."""

    column: str
    pk: Any
    name: str
    status: Status
    size: int | None = None
    new_name: str | None = None
    checksum: str | None = None
    reason: str | None = None

    def to_json(self) -> str:
        """Return the line of JSON for the report."""
        data = {key: value for key, value in vars(self).items() if value is not None}
        return json.dumps(data, default=str)


@dataclass
class Journal:
    """Counts entries, moves the progress bar, and appends one line per entry to `report`."""

    report: Report | None = None
    bar: tqdm[Any] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    failures: list[Entry] = field(default_factory=list)
    deleted: int = 0
    #: source files that no row references, but DJANGO_FSSPEC_NAMES_IN_USE or another package names
    kept: int = 0
    started: float = field(default_factory=time.monotonic)
    #: failures that are kept for the end of the run; the report has all
    keep: int = 100

    def add(self, entry: Entry) -> None:
        """Add the result of one file."""
        self.counts[entry.status] = self.counts.get(entry.status, 0) + 1
        if entry.status in ("moved", "present"):
            self.bytes += entry.size or 0
        if entry.status == "failed" and len(self.failures) < self.keep:
            self.failures.append(entry)
        if self.report is not None:
            self.report.write(entry.to_json())
        if self.bar is not None:
            self.bar.update(entry.size or 0)
            self.bar.set_postfix(
                files=sum(self.counts.values()), failed=self.failed, refresh=False
            )

    def flush(self) -> None:
        """Flush the report, so that the disk has every entry that was added."""
        if self.report is not None:
            self.report.flush()

    def forget_failures(self) -> None:
        """Reset the failures before another attempt."""
        self.counts.pop("failed", None)
        self.failures = []

    @property
    def failed(self) -> int:
        """The number of files that failed."""
        return self.counts.get("failed", 0)

    @property
    def seconds(self) -> float:
        """Seconds since the journal was made."""
        return time.monotonic() - self.started
