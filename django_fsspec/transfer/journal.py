"""What came of each file, counted, shown and written down."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import IO, Any, Literal

from tqdm import tqdm

Status = Literal["moved", "present", "changed", "failed"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file. `reason` says why it failed, or what else there is to say."""

    column: str
    pk: Any
    name: str
    status: Status
    size: int | None = None
    new_name: str | None = None
    checksum: str | None = None
    reason: str | None = None

    def to_json(self) -> str:
        """Return a line of the report."""
        data = {key: value for key, value in vars(self).items() if value is not None}
        return json.dumps(data, default=str)


@dataclass
class Journal:
    """Counts and shows entries, and appends them to `report`, a line each."""

    report: IO[str] | None = None
    bar: tqdm[Any] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    failures: list[Entry] = field(default_factory=list)
    deleted: int = 0
    started: float = field(default_factory=time.monotonic)
    #: failures that are kept for the end of the run; the report has all
    keep: int = 100

    def add(self, entry: Entry) -> None:
        """Take note of what came of one file."""
        self.counts[entry.status] = self.counts.get(entry.status, 0) + 1
        if entry.status in ("moved", "present"):
            self.bytes += entry.size or 0
        if entry.status == "failed" and len(self.failures) < self.keep:
            self.failures.append(entry)
        if self.report is not None:
            self.report.write(entry.to_json() + "\n")
        if self.bar is not None:
            self.bar.update(entry.size or 0)
            self.bar.set_postfix(
                files=sum(self.counts.values()), failed=self.failed, refresh=False
            )

    def flush(self) -> None:
        """Bring the report to disk: what it says has happened."""
        if self.report is not None:
            self.report.flush()

    def forget_failures(self) -> None:
        """Begin another attempt: what failed is counted anew."""
        self.counts.pop("failed", None)
        self.failures = []

    @property
    def failed(self) -> int:
        """How many files failed."""
        return self.counts.get("failed", 0)

    @property
    def seconds(self) -> float:
        """How long it took until now."""
        return time.monotonic() - self.started
