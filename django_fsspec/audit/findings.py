"""Findings of sweep_files and refresh_files: orphans, missing files, updated rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

Fate = Literal["orphan", "young", "undated", "deleted", "failed", "referenced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFile:
    """A file that a row references and its storage does not have."""

    alias: str
    model: str
    pk: Any
    field: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidFile:
    """A file in a row whose JSON is invalid. `fault` says why; it goes on after "its JSON"."""

    model: str
    pk: Any
    field: str
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A stored file that no row references. `size` in bytes.

    `fate`: "orphan" would be deleted, "young" is younger than the minimum age, "undated" has no
    modification time, "deleted" was deleted, "failed" could not be deleted, "referenced" is in a
    row by now.
    """

    alias: str
    name: str
    size: int | None
    last_modified: datetime | None
    fate: Fate


class Due(NamedTuple):
    """What a sweep is about to delete on one alias: a number of files, and their bytes."""

    files: int
    bytes: int


@dataclass(slots=True, kw_only=True)
class SweepTally:
    """Counts of one alias; those of one that is not `listed` to the end are incomplete.

    `problem` says why it could not be listed, or why files could not be deleted.
    """

    objects: int = 0
    bytes: int = 0
    orphans: int = 0
    orphan_bytes: int = 0
    too_young: int = 0
    undated: int = 0
    deleted: int = 0
    deleted_bytes: int = 0
    failed: int = 0
    missing_rows: int | None = None
    listed: bool = False
    problem: str | None = None

    def count(self, orphan: Orphan) -> None:
        """Add one orphan."""
        if orphan.fate == "referenced":
            return
        self.orphans += 1
        self.orphan_bytes += orphan.size or 0
        self.too_young += orphan.fate == "young"
        self.undated += orphan.fate == "undated"
        self.failed += orphan.fate == "failed"
        if orphan.fate == "deleted":
            self.deleted += 1
            self.deleted_bytes += orphan.size or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatedFile:
    """A file in a row whose metadata changed. `changes`: key of the JSON -> (old, new)."""

    alias: str
    model: str
    pk: Any
    field: str
    name: str
    changes: dict[str, tuple[Any, Any]]
