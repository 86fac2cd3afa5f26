"""sweep_files: rows of other databases, named or routed to."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, models
from django.db.utils import ConnectionHandler
from django.test import override_settings

from django_fsspec.audit import columns
from django_fsspec.audit.columns import BadArguments, all_databases
from django_fsspec.audit.sweep import Sweep
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.helpers import audit
from tests.helpers.audit import NOW, failing, fates, hold, put, run, said, there
from tests.helpers.workers import Worker
from tests.library.models import Attachment, Paper

pytestmark = pytest.mark.django_db(databases=["default", "other"])

default = audit.default


def test_rows_of_another_database(default: FSSpecStorage) -> None:
    put("a.txt", "b.txt", "c.txt", "d.txt")
    hold("a.txt")
    Paper.objects.using("other").bulk_create([Paper(file=said("b.txt"))])
    Attachment.objects.using("other").create(file="d.txt")
    assert set(fates(databases=["default", "other"])) == {"c.txt"}
    swept = Sweep(["default"], databases=["default"])
    assert [one.name for one in swept.run()] == ["b.txt", "c.txt", "d.txt"]
    assert "Rows in 'other' were not checked: add --database." in swept.notes
    text = run("default", "--delete", "--min-age", "0")
    assert "not checked" not in text
    assert there() == ["a.txt", "b.txt", "d.txt"]


def test_a_late_row_of_another_database(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.txt", "b.txt", "c.txt")
    walk = default.walk

    def walk_slowly(prefix: str = "") -> Iterator[Any]:
        yield from walk(prefix)
        Paper.objects.using("other").bulk_create([Paper(file=said("a.txt"))])
        Attachment.objects.using("other").create(file="b.txt")

    monkeypatch.setattr(default, "walk", walk_slowly)
    expected = {"a.txt": "referenced", "b.txt": "referenced", "c.txt": "deleted"}
    assert fates(**NOW) == expected


def test_two_aliases_of_one_database_are_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = {"ENGINE": "django.db.backends.postgresql", "NAME": "one", "HOST": "h", "USER": "u"}
    databases = {
        "default": one,
        "again": dict(one),
        "schema": {**one, "OPTIONS": {"options": "-c search_path=other"}},
        "memory": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        "another memory": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    }
    monkeypatch.setattr(columns, "connections", ConnectionHandler(databases))
    assert all_databases() == ["default", "schema", "memory", "another memory"]


@pytest.mark.parametrize("holder", ["StoredObjectField", "FileField"])
def test_nothing_is_deleted_without_looking_into_all_databases(
    default: FSSpecStorage, holder: str
) -> None:
    put("a.txt", "b.txt")
    hold("b.txt")
    arguments = ["default", "--delete", "--min-age", "0", "--database", "default"]
    if holder == "FileField":
        Attachment.objects.using("other").create(file="a.txt")
    else:
        Paper.objects.using("other").bulk_create([Paper(file=said("a.txt"))])
    with pytest.raises(BadArguments, match="'other'"):
        Sweep(["default"], databases=["default"], delete=True)
    text, status = failing(*arguments)
    assert status == 2
    assert "'other'" in text
    assert "--database" in text
    assert there() == ["a.txt", "b.txt"]
    Attachment.objects.using("other").all().delete()
    Paper.objects.using("other").all().delete()
    run(*arguments)
    assert there() == ["b.txt"]


def sweeps_beside_a_broken_database(*commands: list[str]) -> list[tuple[str, int]]:
    """Run in a process of its own: sweep an orphan away, with a database that can't be opened."""
    engine = "django.db.backends.sqlite3"
    sqlite = {**connections.databases["default"], "ENGINE": engine, "OPTIONS": {}}
    for connection in connections.all(initialized_only=True):
        del connections[connection.alias]
    connections.databases.clear()
    connections.databases["default"] = {**sqlite, "NAME": ":memory:"}
    call_command("migrate", run_syncdb=True, verbosity=0)
    connections.databases["broken"] = {**sqlite, "NAME": "/nowhere/at/all.sqlite3"}
    results = []
    with override_storage("default"):
        put("a.txt")
        for command in commands:
            out = StringIO()
            try:
                call_command("sweep_files", "--min-age", "0", *command, stdout=out)
                results.append((out.getvalue(), 0))
            except CommandError as error:
                results.append((str(error), error.returncode))
            assert there() == ["a.txt"]
    return results


@pytest.mark.slow
def test_a_database_that_cannot_be_read() -> None:
    with Worker("tests.settings") as worker:
        everything, some, listing = worker.call(
            sweeps_beside_a_broken_database,
            ["--delete"],
            ["--delete", "--database", "default"],
            ["--database", "default"],
        )
    assert "The database 'broken' can't be read" in everything[0]
    assert "Rows in 'broken' would not be checked" in some[0]
    assert (everything[1], some[1], listing[1]) == (2, 2, 0)
    assert "Rows in 'broken' were not checked" in listing[0]


class PapersElsewhere:
    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        return "other" if model is Paper else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "other" if hints.get("model_name") == "paper" else None


def test_a_model_is_looked_for_where_the_router_reads_it(default: FSSpecStorage) -> None:
    put("a.txt", "b.txt")
    Paper.objects.using("other").bulk_create([Paper(file=said("a.txt"))])
    hold("b.txt")
    router = f"{__name__}.{PapersElsewhere.__name__}"
    with override_settings(DATABASE_ROUTERS=[router]):
        assert fates(**NOW) == {"b.txt": "deleted"}
