"""What a comparison of rows and storages finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Fate = Literal["orphan", "young", "undated", "deleted", "failed", "referenced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFile:
    """A row's file that is not there."""

    alias: str
    model: str
    pk: Any
    field: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An object that no row holds, and what became of it.

    `fate`: "orphan" would be deleted, "young" is younger than the minimum age, "undated" has no
    time, "deleted" is gone, "failed" could not be deleted, "referenced" got a row meanwhile.
    """

    alias: str
    name: str
    size: int | None
    last_modified: datetime | None
    fate: Fate


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was found on one alias. `problem` says why it could not be listed to the end."""

    objects: int = 0
    bytes: int = 0
    orphans: int = 0
    orphan_bytes: int = 0
    too_young: int = 0
    undated: int = 0
    deleted: int = 0
    deleted_bytes: int = 0
    failed: int = 0
    #: rows whose object is gone, None where that was not asked
    missing_rows: int | None = None
    problem: str | None = None

    def count(self, found: Orphan) -> None:
        """Count one orphan in."""
        if found.fate == "referenced":
            return
        self.orphans += 1
        self.orphan_bytes += found.size or 0
        self.too_young += found.fate == "young"
        self.undated += found.fate == "undated"
        self.failed += found.fate == "failed"
        if found.fate == "deleted":
            self.deleted += 1
            self.deleted_bytes += found.size or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """A row's file of which the storage told something new: key of the JSON -> before, now."""

    alias: str
    model: str
    pk: Any
    field: str
    name: str
    changes: dict[str, tuple[Any, Any]]
