"""The fields of log records, which formatters for JSON write out."""

from __future__ import annotations

from typing import Any


def fields(
    alias: str | None = None, name: str | None = None, *, operation: str, **more: Any
) -> dict[str, Any]:
    """Return what ``extra=`` takes: `alias`, `file_name`, `operation`, and `more`.

    More is `size` (bytes), `seconds`, `error_type`, and `files`, a list of (alias, name).
    """
    # `name` and `filename` are fields of every record
    return {"alias": alias, "file_name": name, "operation": operation, **more}
