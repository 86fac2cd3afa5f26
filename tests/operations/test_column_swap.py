"""ConvertFileField: the table is as if made anew, its primary key of any kind."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.migrations import AddField, AddIndex, CreateModel, RunPython
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.test.utils import CaptureQueriesContext

from django_fsspec.fields import StoredObjectField
from django_fsspec.operations import ConvertFileField
from tests.helpers import conversions
from tests.helpers.conversions import (
    APP,
    OPTIONAL,
    TABLE,
    TOGETHER,
    VENDOR,
    Past,
    columns,
    convert,
    document,
    fresh,
    shape,
    store,
)

pytestmark = pytest.mark.django_db(transaction=True)

past = conversions.past

INDEX = models.Index(fields=["title", "file"], name="by_path")
CHECK = models.CheckConstraint(condition=~Q(title="."), name="no_dots")

KINDS: list[tuple[Any, Any, Any]] = [
    ({}, {}, {}),
    ({"blank": True}, OPTIONAL, {}),
    ({"null": True}, {"null": True}, {}),
    ({"unique": True}, {}, {}),
    ({"unique": True}, {"unique": True}, {}),
    ({"db_index": True}, {}, {}),
    ({"max_length": 300, "db_column": "path"}, {"db_column": "path"}, {}),
    ({"default": "d.txt", "db_default": "e.txt"}, {}, {}),
    ({}, {}, {"unique_together": {("title", "file")}}),
    ({}, {}, {"constraints": [TOGETHER, CHECK]}),
    ({}, {}, {"indexes": [models.Index(Lower("title"), name="by_lower")]}),
]
if VENDOR != "mysql":
    KINDS += [({"db_index": True}, {"db_index": True}, {}), ({}, {}, {"indexes": [INDEX]})]


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize(("before", "after", "options"), KINDS, ids=str)
def test_the_table_is_as_if_made_anew(
    memory: None, past: Past, before: Any, after: Any, options: Any, atomic: bool
) -> None:
    past.start(document(**before), ("title", models.CharField(max_length=10)), **options)
    past.add("d/a.txt", title="1")
    past.add("d/b.txt", title="2")
    old = past.state
    past.migrate(convert(after), atomic=atomic)
    new, forwards = past.state, shape(TABLE)
    past.back(atomic=atomic)
    backwards = shape(TABLE)
    assert past.held() == ["d/a.txt", "d/b.txt"]
    assert forwards == fresh(new)
    assert backwards == fresh(old)


def test_sqlite_remakes_the_table_once(memory: None, past: Past) -> None:
    past.start(document(unique=True))
    past.add("a.txt")
    for forwards in (True, False):
        with CaptureQueriesContext(connection) as queries:
            past.migrate(convert()) if forwards else past.back()
        made = [q["sql"] for q in queries if "CREATE TABLE" in q["sql"]]
        assert len(made) == (VENDOR == "sqlite")


@pytest.mark.parametrize(
    "item",
    [
        models.CheckConstraint(condition=~Q(file=""), name="its_name"),
        models.UniqueConstraint(fields=["id"], condition=Q(file="x"), name="its_name"),
        models.UniqueConstraint(Lower("file"), name="its_name"),
        models.Index(Lower("file"), name="its_name"),
    ],
)
def test_what_is_said_of_paths_alone_is_refused(memory: None, past: Past, item: Any) -> None:
    kind = "indexes" if isinstance(item, models.Index) else "constraints"
    past.start(document(), **{kind: [item]})
    past.add("d/a.txt")
    with pytest.raises(ValueError, match=r"Document\.file: 'its_name' can't be kept\. Remove"):
        past.migrate(convert())
    assert past.held() == ["d/a.txt"]
    assert columns() == {"id", "file"}


def test_what_holds_of_both_is_kept(memory: None, past: Past) -> None:
    check = models.CheckConstraint(condition=Q(file__isnull=False), name="no_dots")
    past.start(document(null=True), constraints=[check])
    past.add("d/a.txt")
    past.migrate(convert({"null": True}))
    assert shape(TABLE) == fresh(past.state)


def test_mariadb_has_no_index_on_json(memory: None, past: Past) -> None:
    past.start(document(), ("title", models.CharField(max_length=10)), indexes=[INDEX])
    past.add("d/a.txt", title="1")
    if VENDOR != "mysql":
        past.migrate(convert())
        return
    with pytest.raises(ValueError, match="'by_path' can't be kept"):
        past.migrate(convert())
    assert past.held() == ["d/a.txt"]


def test_a_long_table_and_column_name(memory: None, past: Past) -> None:
    column = "c" * (connection.ops.max_name_length() or 1)
    past.start(document(db_column=column))
    past.add("a.txt")
    past.migrate(convert({"db_column": column}))
    assert [file.name for file in past.held()] == ["a.txt"]
    past.back()
    assert past.held() == ["a.txt"]
    with pytest.raises(ValueError, match="does not rename the column"):
        past.migrate(convert())


def test_indexes_of_the_same_migration(memory: None, past: Past) -> None:
    past.start()
    past.model.objects.create()
    past.migrate(
        AddField("document", "file", models.FileField(default="a.txt", db_index=True)),
        convert(),
        AddIndex("document", models.Index(F("file__filename"), name="by_path")),
    )
    assert [file.name for file in past.held()] == ["a.txt"]
    new, made = past.state, shape(TABLE)
    past.back()
    assert columns() == {"id"}
    assert made == fresh(new)


# primary keys


def test_keys_of_other_kinds(memory: None, past: Past) -> None:
    past.start(("id", models.UUIDField(primary_key=True, default=uuid.uuid4)), document())
    past.add(*(f"{n}.txt" for n in range(7)))
    was = {row.pk: row.file.name for row in past.model.objects.all()}
    past.migrate(convert(batch_size=2))
    assert {row.pk: row.file.name for row in past.model.objects.all()} == was
    past.back()
    assert {row.pk: row.file.name for row in past.model.objects.all()} == was


def test_keys_of_text(memory: None, past: Past) -> None:
    past.start(("key", models.CharField(max_length=20, primary_key=True)), document())
    for key in ("b", "%s", "a'\"", "é", "z", "Ä x"):
        past.add(f"{key}.txt", key=key)
    past.migrate(convert(batch_size=2))
    assert all(row.file.name == f"{row.pk}.txt" for row in past.model.objects.all())
    past.back()
    assert all(row.file.name == f"{row.pk}.txt" for row in past.model.objects.all())


def test_keys_of_several_columns(memory: None, past: Past) -> None:
    past.start(
        ("pk", models.CompositePrimaryKey("tenant", "number")),
        ("tenant", models.CharField(max_length=5)),
        ("number", models.IntegerField()),
        document(),
    )
    for tenant in ("a", "b"):
        for number in (1, 2, 3):
            past.add(f"{tenant}{number}.txt", tenant=tenant, number=number)
    past.migrate(convert(batch_size=2))
    assert [file.name[:2] for file in past.held()] == ["a1", "a2", "a3", "b1", "b2", "b3"]
    past.back()
    assert [path[:2] for path in past.held()] == ["a1", "a2", "a3", "b1", "b2", "b3"]


def test_a_model_that_inherits_its_table(memory: None, past: Past) -> None:
    store("leaves/a.png")
    past.start(("wide", models.IntegerField()))
    link = models.OneToOneField(
        "library.document", models.CASCADE, parent_link=True, primary_key=True
    )
    image = models.ImageField(width_field="wide")
    past.migrate(
        CreateModel("Leaf", [("document_ptr", link), ("file", image)], bases=("library.document",))
    )
    leaf = past.state.apps.get_model(APP, "leaf")
    row = leaf(file="leaves/a.png", wide=9)
    row.save()
    leaf.objects.update(wide=9)
    past.migrate(ConvertFileField("Leaf", "file", StoredObjectField()), atomic=False)
    leaf = past.state.apps.get_model(APP, "leaf")
    assert [(one.file.size, one.file.width) for one in leaf.objects.all()] == [(12, 9)]
    past.back(atomic=False)
    leaf = past.state.apps.get_model(APP, "leaf")
    assert [one.file.name for one in leaf.objects.all()] == ["leaves/a.png"]


def test_rows_that_others_point_at(memory: None, past: Past) -> None:
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    past.start(document(), ("parent", parent))
    link = models.ForeignKey("library.document", models.CASCADE)
    past.migrate(
        CreateModel("Leaf", [("id", models.BigAutoField(primary_key=True)), ("of", link)])
    )

    def grow(apps: Any, editor: Any) -> None:
        rows, leaves = (apps.get_model(APP, name).objects for name in ("document", "leaf"))
        first = rows.create(file="a.txt")
        leaves.create(of=rows.create(file="b.txt", parent=first))

    def prune(apps: Any, editor: Any) -> None:
        apps.get_model(APP, "document").objects.get(file="b.txt").delete()

    past.migrate(RunPython(grow, prune), convert())
    leaf = past.state.apps.get_model(APP, "leaf")
    assert leaf.objects.get().of.file.name == "b.txt"
    assert leaf.objects.get().of.parent.file.name == "a.txt"
    with pytest.raises(IntegrityError), transaction.atomic():
        leaf.objects.create(of_id=99)
        connection.check_constraints()
    past.back()
    assert past.held() == ["a.txt"]
