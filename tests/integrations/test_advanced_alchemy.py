"""One table, two owners: advanced-alchemy and Django read, query and change each other's rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from advanced_alchemy.base import IdentityBase
from advanced_alchemy.config import SQLAlchemySyncConfig
from advanced_alchemy.types.file_object import FileObject as Theirs
from advanced_alchemy.types.file_object import StoredObject
from advanced_alchemy.types.file_object import storages as registry
from advanced_alchemy.types.file_object.backends.fsspec import FSSpecBackend
from django.core.files.base import ContentFile
from django.db import connection, connections, models
from django.db.models import Sum
from django.test.utils import isolate_apps, override_settings
from fsspec.implementations.local import LocalFileSystem
from sqlalchemy import URL, Engine, String, create_engine, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import flag_modified

from django_fsspec import FileObject
from django_fsspec.fields import StoredObjectField
from django_fsspec.testing import override_storage
from tests.helpers.file_objects import NINE

DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
#: the alias of a database that has this one table
SHARED = "shared"


class Report(IdentityBase):
    """The table, as advanced-alchemy declares it."""

    __tablename__ = "shared_report"

    title: Mapped[str] = mapped_column(String(50))
    file: Mapped[Theirs | None] = mapped_column(StoredObject(backend="media"))
    pages: Mapped[list[Theirs] | None] = mapped_column(
        StoredObject(backend="media", multiple=True)
    )


TABLE: Any = Report.__table__


class SharedHasOneTable:
    """A router: Django's own tables are not in a database that has this one table."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == SHARED else None


@contextmanager
def database(folder: Path) -> Iterator[tuple[str, Engine]]:
    """Give an alias of Django's and an engine of SQLAlchemy's for one database.

    The database of the tests; SQLite keeps that in the memory of one connection, so it is a file.
    """
    if connection.vendor != "sqlite":
        known = connection.settings_dict
        url = URL.create(
            DRIVERS[connection.vendor],
            known["USER"],
            known["PASSWORD"] or None,
            known["HOST"],
            int(known["PORT"]),
            known["NAME"],
        )
        yield connection.alias, create_engine(url)
        return
    file = connection.copy(SHARED)
    file.settings_dict["NAME"] = str(folder / "shared.sqlite3")
    connections[SHARED] = file
    try:
        with override_settings(DATABASE_ROUTERS=[SharedHasOneTable()]):
            yield SHARED, create_engine(URL.create("sqlite", database=file.settings_dict["NAME"]))
    finally:
        file.close()
        del connections[SHARED]


@dataclass
class Shared:
    """What both sides have in common: a table and a directory."""

    #: Django's rows, and a session of advanced-alchemy's, which stores files when it commits
    rows: Any
    session: Callable[[], AbstractContextManager[Session]]
    engine: Engine
    folder: Path

    def titles(self, **conditions: Any) -> list[str]:
        return list(self.rows.filter(**conditions).values_list("title", flat=True))

    def files(self) -> list[str]:
        found = [path for path in self.folder.rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def check_keys(self) -> None:
        """Check that each file in the table has nine keys, whoever wrote it."""
        with self.engine.connect() as reader:
            columns = reader.execute(text("SELECT file, pages FROM shared_report")).all()
        for raw in (value for row in columns for value in row):
            value = json.loads(raw) if isinstance(raw, str) else raw
            for file in value if isinstance(value, list) else [value]:
                assert file is None or sorted(file) == sorted(NINE)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    folder = tmp_path / "media"
    disk = LocalFileSystem(auto_mkdir=True)
    registry.register_backend(FSSpecBackend(key="media", fs=disk, prefix=str(folder)))
    with (
        database(tmp_path) as (alias, engine),
        override_storage(media={"fs": "file", "prefix": str(folder)}),
        isolate_apps("tests.library"),
    ):

        class SharedReport(models.Model):
            title = models.CharField(max_length=50)
            file = StoredObjectField(backend="media", upload_to="reports", null=True, blank=True)
            pages = StoredObjectField(backend="media", upload_to="pages", multiple=True, null=True)

            class Meta:
                app_label = "library"
                managed = False
                db_table = "shared_report"

        TABLE.create(engine)
        session = SQLAlchemySyncConfig(engine_instance=engine).get_session
        rows: Any = models.QuerySet(SharedReport, using=alias).order_by("pk")
        yield Shared(rows, session, engine, folder)
        TABLE.drop(engine)
        engine.dispose()
    registry.unregister_backend("media")


@pytest.mark.django_db(transaction=True)
def test_one_table_is_shared_in_both_directions(shared: Shared) -> None:
    # advanced-alchemy writes: one file stored before its row, the others by its listener
    with shared.session() as session:
        stored = Theirs("media", "in/Übersicht.pdf", metadata={"camera": "Leica", "width": 5})
        session.add(Report(title="stored", file=stored.save(b"%PDF-1")))
        listened = Theirs("media", "in/one.txt", content=b"one")
        pages = [Theirs("media", f"in/{n}.png", content=b"p" * n) for n in (1, 2)]
        session.add(Report(title="listened", file=listened, pages=pages))
        session.add(Report(title="empty"))
        session.commit()
    shared.check_keys()

    # Django reads
    row = shared.rows.get(title="stored")
    assert isinstance(row.file, FileObject)
    assert row.file.to_dict() == stored.to_dict()
    assert (row.file.size, row.file.original_name) == (6, "Übersicht.pdf")
    assert row.file.get_content() == b"%PDF-1"
    row = shared.rows.get(title="listened")
    assert [file.get_content() for file in row.pages] == [b"p", b"pp"]
    row = shared.rows.get(title="empty")
    assert (row.file, row.pages) == (None, [])

    # Django queries; a listener stores after the commit, and the row knows no size
    assert shared.titles(file__size=6) == ["stored"]
    assert shared.titles(file__size__isnull=True) == ["listened", "empty"]
    assert shared.titles(file__content_type__startswith="text/") == ["listened"]
    assert shared.titles(file__filename__startswith="in/") == ["stored", "listened"]
    assert shared.titles(file__metadata__camera="Leica") == ["stored"]
    assert shared.titles(pages__1__filename="in/2.png") == ["listened"]
    # what is empty there is null in JSON, not in SQL
    assert shared.titles(file__filename__isnull=True) == ["empty"]

    # Django updates: it learns the sizes, adds metadata, replaces, appends
    row = shared.rows.get(title="listened")
    for file in (row.file, *row.pages):
        file.refresh()
    row.save()
    assert shared.rows.aggregate(Sum("file__size"))["file__size__sum"] == 9
    assert shared.titles(pages__1__size=2) == ["listened"]
    row = shared.rows.get(title="stored")
    row.file.metadata["seen"] = True
    row.save()
    assert shared.rows.get(title="stored").file.to_dict() == {
        **stored.to_dict(),
        "metadata": {"camera": "Leica", "width": 5, "seen": True},
    }
    row.file.refresh()
    row.save()
    assert row.file.metadata == {"camera": "Leica", "width": 5, "seen": True}
    row = shared.rows.get(title="listened")
    row.file = ContentFile(b"new", name="new.txt")
    row.pages.append(ContentFile(b"333", name="3.png"))
    row.save()
    replacement, third = row.file.name, row.pages[2].name
    assert shared.files() == sorted(
        ["in/1.png", "in/2.png", "in/Übersicht.pdf", replacement, third]
    )
    shared.check_keys()

    # Django creates, advanced-alchemy reads
    made = shared.rows.create(
        title="made",
        file=ContentFile("Ä", name="made ä.txt"),
        pages=[ContentFile(letter, name=f"{letter}.txt") for letter in "ab"],
    )
    shared.check_keys()
    with shared.session() as session:
        found = {one.title: one for one in session.scalars(select(Report))}
        theirs, file = found["listened"].pages, found["made"].file
        assert theirs is not None
        assert file is not None
        assert [page.get_content() for page in theirs] == [b"p", b"pp", b"333"]
        assert file.get_content() == "Ä".encode()
        assert (file.size, file.etag, file.metadata) == (
            2,
            made.file.etag,
            {"original_name": "made ä.txt"},
        )
        assert file.to_dict() == made.file.to_dict()
        assert [page.to_dict() for page in found["made"].pages or ()] == [
            page.to_dict() for page in made.pages
        ]
        assert [page.get_content() for page in found["made"].pages or ()] == [b"a", b"b"]

    # advanced-alchemy updates: replaces, appends by a new list, adds metadata
    with shared.session() as session:
        one = session.scalars(select(Report).where(Report.title == "made")).one()
        later = Theirs("media", "in/later.txt", metadata={"by": "them"}).save(b"theirs")
        one.file = later
        one.pages = [*(one.pages or ())[1:], Theirs("media", "in/c.txt", content=b"c")]
        two = session.scalars(select(Report).where(Report.title == "stored")).one()
        assert two.file is not None
        two.file.update_metadata({"again": 1})
        flag_modified(two, "file")
        session.commit()
    shared.check_keys()
    row = shared.rows.get(title="made")
    assert row.file.to_dict() == later.to_dict()
    assert row.file.get_content() == b"theirs"
    assert [file.get_content() for file in row.pages] == [b"b", b"c"]
    assert shared.titles(file__metadata__by="them", file__size=6) == ["made"]
    assert shared.titles(file__metadata__again=1, file__metadata__seen=True) == ["stored"]
    assert not made.file.exists()
    assert not made.pages[0].exists()
    assert made.pages[1].exists()

    # each clears what the other wrote
    row.file, row.pages[:] = None, []
    row.save()
    with shared.session() as session:
        one = session.scalars(select(Report).where(Report.title == "made")).one()
        assert (one.file, one.pages) == (None, [])
        two = session.scalars(select(Report).where(Report.title == "listened")).one()
        two.file, two.pages = None, None
        session.commit()
    row = shared.rows.get(title="listened")
    assert (row.file, row.pages) == (None, [])
    assert shared.titles(file__filename__isnull=True) == ["listened", "empty", "made"]
    assert shared.files() == ["in/Übersicht.pdf"]
    shared.check_keys()
    shared.rows.delete()
    assert shared.files() == []
