"""Raw saves, by ``loaddata`` or a revert of django-reversion: log files that do not exist.

They write the JSON of a file that may be deleted since, and call no ``pre_save()``.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

from django_fsspec.core.log_fields import log_fields
from django_fsspec.objects import existence
from django_fsspec.storage.prefixes import all_pins, pinned

from .references import values_of_rows
from .values import Ref, refs_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from django_fsspec.storage.prefixes import Pins

    from .saving import RowSave

logger = logging.getLogger("django_fsspec")

#: rows that the log names
_SHOWN = 20


def new_files(save: RowSave) -> dict[Ref, str]:
    """Return the files that a raw save writes and the row does not hold, with their fields.

    The row is locked and read: 1 query; 2 for a new row, and on SQLite. None for a row without
    files. Raises ``DatabaseError``.
    """
    values = vars(save.instance)
    written = {ref: str(each) for each in save.fields for ref in refs_of(values.get(each.attname))}
    if not written:
        return {}
    save.begin()
    rows = values_of_rows(save.connection.alias, save.fields, [save.instance.pk])
    held = {ref for row in rows.values() for value in row for ref in refs_of(value)}
    return {ref: field for ref, field in written.items() if ref not in held}


def check_after_commit(connection: BaseDatabaseWrapper, pk: Any, files: dict[Ref, str]) -> None:
    """Log which of these files of a row do not exist, after the commit."""
    # not by on_commit(), which refuses transactions by hand
    entries: list[Any] = connection.run_on_commit
    savepoints = set(connection.savepoint_ids)
    recent = itertools.takewhile(lambda entry: entry[0] == savepoints, reversed(entries))
    pins = all_pins()
    checks = (entry[1] for entry in recent if isinstance(entry[1], _MissingFiles))
    check = next((check for check in checks if check.pins == pins), None)
    if check is None:
        check = _MissingFiles(pins)
        entries.append((savepoints, check, True))
    check.rows.update({ref: f"{field} of row {pk}" for ref, field in files.items()})


class _MissingFiles:
    """An ``on_commit()`` callback that logs which files of rows do not exist."""

    def __init__(self, pins: Pins) -> None:
        self.rows: dict[Ref, str] = {}
        #: the tenants of the rows: another one may be served at the commit
        self.pins = pins

    def __call__(self) -> None:
        """Ask the storages: 1 request for each file. Never raises: the rows are committed."""
        with pinned(self.pins):
            missing = [Ref(*file) for file in existence.missing(self.rows)]
        if not missing:
            return
        shown = sorted(f"{self.rows[ref]} ({ref.backend}:{ref.name})" for ref in missing)
        more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        logger.warning(
            "Files of rows are missing after a raw save (loaddata, or a revert by "
            "django-reversion): %s%s. List such rows with `manage.py sweep_files --missing`.",
            ", ".join(shown[:_SHOWN]),
            more,
            extra=log_fields(operation="exists", files=missing),
        )
