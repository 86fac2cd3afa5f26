"""Rows and objects as database and storage have them, read past Django's ORM."""

from __future__ import annotations

import contextlib
import json
from typing import Any, NamedTuple

from django.core.files.storage import storages
from django.db import connections

from tests.library.models import Dossier, Volume


class StoredRow(NamedTuple):
    """A row as the database has it."""

    values: dict[str, Any]
    files: dict[str, Any]

    def names(self, field: str) -> tuple[str, ...]:
        return tuple(file["filename"] for file in self.files[field])


_SELECT = """
SELECT d.id, d.title, d.number, d.code, d.file, d.files, v.cover, v.dossier_ptr_id
FROM library_dossier d LEFT JOIN library_volume v ON v.dossier_ptr_id = d.id
"""


def stored_rows(alias: str) -> dict[Any, StoredRow]:
    """Return what a database holds, read past Django and everything that wraps its statements."""
    connections[alias].ensure_connection()
    rows = {}
    with contextlib.closing(connections[alias].connection.cursor()) as cursor:
        cursor.execute(_SELECT)
        for pk, title, number, code, file, files, cover, volume in cursor.fetchall():
            columns = {
                "file": file,
                "files": files,
                **({} if volume is None else {"cover": cover}),
            }
            rows[pk] = StoredRow(
                {"title": title, "number": number, "code": code},
                {name: _listed(raw) for name, raw in columns.items()},
            )
    return rows


def _listed(raw: Any) -> list[Any]:
    value = json.loads(raw) if isinstance(raw, str) else raw
    return value if isinstance(value, list) else [] if value is None else [value]


def delete_rows(alias: str) -> None:
    """Delete all rows, past Django."""
    with contextlib.closing(connections[alias].connection.cursor()) as cursor:
        for model in (Volume, Dossier):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")
    if not connections[alias].get_autocommit():
        connections[alias].connection.commit()


def stored_names() -> set[str]:
    storage: Any = storages["default"]
    return {stat.name for stat in storage.walk()}


def is_stored(name: str) -> bool:
    return storages["default"].exists(name)


def content_of(name: str) -> bytes:
    storage: Any = storages["default"]
    return bytes(storage.get_content(name))
