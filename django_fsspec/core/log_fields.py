"""The fields of log records, which formatters for JSON write out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def log_fields(
    alias: str | None = None,
    name: str | None = None,
    *,
    operation: str,
    size: int | None = None,
    seconds: float | None = None,
    error: BaseException | str | None = None,
    status: int | None = None,
    files: Iterable[tuple[str | None, str]] | None = None,
) -> dict[str, Any]:
    """Return what ``extra=`` of a log call takes: every record has all of the fields.

    `size` is in bytes, `error` an exception or the name of its class, `status` that of a refusal
    in HTTP, and `files` are pairs of alias and name.
    """
    return {
        "alias": alias,
        # `name` and `filename` are fields of every record
        "file_name": name,
        "operation": operation,
        "size": size,
        "seconds": seconds,
        "error_type": type(error).__name__ if isinstance(error, BaseException) else error,
        "status": status,
        "files": None if files is None else sorted((alias, name) for alias, name in files),
    }
