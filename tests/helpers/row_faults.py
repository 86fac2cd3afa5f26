"""What tests of saves that fail share: one file or several, sync or async, broken databases."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.core.files.storage import storages
from django.db import DatabaseError, InterfaceError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_fsspec.fields import StoredObjectField
from tests.helpers.row_files import text

#: what a database says that can't be reached, or whose connection is broken; Django 6.1 asks
#: SQLite for the number of parameters, and leaves the answer as it is
UNREACHABLE = (DatabaseError, InterfaceError, sqlite3.Error)
#: a port and a file where there is no database
_NOWHERE = {"PORT": "1", "NAME": "/nowhere/at/all.sqlite3"}

#: of an async twin: it does the same in another way
TWIN = [pytest.mark.slow, pytest.mark.twin]

# modules take fixtures by assignment; of an import ruff would say that parameters redefine it


@pytest.fixture(params=["file", "files"])
def attribute(request: pytest.FixtureRequest) -> str:
    """The attribute of a row that holds one file, and that which holds several."""
    return str(request.param)


@pytest.fixture(params=["save", pytest.param("asave", marks=TWIN)])
def save(request: pytest.FixtureRequest) -> Callable[..., None]:
    """A function that saves a row, sync or async."""

    def sync(row: Any, **options: Any) -> None:
        row.save(**options)

    def asynchronous(row: Any, **options: Any) -> None:
        # in this thread, and so with its connections
        async_to_sync(row.asave)(**options)

    return sync if request.param == "save" else asynchronous


@pytest.fixture(autouse=True)
def no_wrappers() -> Iterator[None]:
    """Let no test inherit the wrappers that another left on a connection."""
    yield
    for alias in connections:
        connections[alias].execute_wrappers.clear()


@pytest.fixture(autouse=True)
def autocommit(transactional_db: None) -> Iterator[None]:
    """End what a test began, before its tables are emptied."""
    yield
    if not connection.get_autocommit():
        transaction.rollback()
        transaction.set_autocommit(True)


# rows and files


def assign(row: Any, attribute: str, *contents: str) -> None:
    """Assign new files with these contents, or none."""
    files = [text(content) for content in contents]
    setattr(row, attribute, files if attribute == "files" else next(iter(files), None))


def files_in(row: Any, attribute: str) -> list[Any]:
    """Return the files of one attribute."""
    value = getattr(row, attribute)
    if isinstance(value, list):
        return list(value)
    return [] if value is None else [value]


def contents_of(row: Any, attribute: str) -> list[str]:
    """Return the contents of one attribute's files, as they are stored."""
    return [file.get_content().decode() for file in files_in(row, attribute)]


def stored_in(model: Any, attribute: str, using: str = "default") -> list[list[str]]:
    """Return the contents of the files of all rows, as the database has them."""
    rows = model._base_manager.using(using).order_by("pk")
    return [contents_of(row, attribute) for row in rows]


def left() -> dict[str, Any]:
    """Return what should not be: orphans, missing files, wrappers on a connection."""
    stored = {(alias, stat.name) for alias in ("default", "second") for stat in _walk(alias)}
    held = {(file.backend, file.filename) for file in _files_of_all_rows()}
    wrappers = [each for alias in connections for each in connections[alias].execute_wrappers]
    faults = {"orphans": stored - held, "missing": held - stored, "wrappers": wrappers}
    return {fault: sorted(map(str, items)) for fault, items in faults.items() if items}


def _walk(alias: str) -> Iterator[Any]:
    storage: Any = storages[alias] if alias in storages.backends else None
    return storage.walk() if storage is not None else iter(())


def _files_of_all_rows() -> Iterator[Any]:
    for alias in connections:
        for model in apps.get_app_config("library").get_models():
            fields = [
                field.attname
                for field in model._meta.local_concrete_fields
                if isinstance(field, StoredObjectField)
            ]
            for row in model._base_manager.using(alias) if fields else ():
                for name in fields:
                    yield from files_in(row, name)


# databases that fail


@contextlib.contextmanager
def unreachable(using: str = "default") -> Iterator[None]:
    """Close a connection, and have no database where it looks for it, until the block ends."""
    connection = connections[using]
    settings, before = connection.settings_dict, dict(connection.settings_dict)
    key = "NAME" if connection.vendor == "sqlite" else "PORT"
    kept = None
    if connection.vendor == "sqlite":
        # closed, it would take a database in memory with it
        kept, connection.connection = connection.connection, None
    connection.close()
    settings[key] = _NOWHERE[key]
    try:
        yield
    finally:
        settings[key] = before[key]
        if kept is not None and connection.connection is None:
            connection.connection = kept


@contextlib.contextmanager
def killed(using: str = "default") -> Iterator[None]:
    """Kill what serves a connection, unseen by Django until it asks; reconnect after the block."""
    connection = connections[using]
    connection.ensure_connection()
    raw: Any = connection.connection
    with contextlib.ExitStack() as stack:
        if connection.vendor == "sqlite":
            name = str(connection.settings_dict["NAME"])
            stack.enter_context(contextlib.closing(sqlite3.connect(name, uri=True)))
            raw.close()
        else:
            other = connection.copy()
            stack.callback(other.close)
            with other.cursor() as cursor:
                if connection.vendor == "postgresql":
                    cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [raw.info.backend_pid])
                else:
                    cursor.execute(f"KILL {int(raw.thread_id())}")
        try:
            yield
        finally:
            # SQLite's own close() leaves a database in memory open
            with contextlib.suppress(*UNREACHABLE):
                BaseDatabaseWrapper.close(connection)
            connection.ensure_connection()
