"""Migrations and pickles: those of 0.1.0 load, and new ones name public paths alone."""

from __future__ import annotations

import pickle
import pickletools
import re
from collections.abc import Iterator
from importlib import import_module, reload
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import models
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported, StorageError
from django_fsspec.fields import StoredObjectField
from django_fsspec.operations import ConvertFileField
from django_fsspec.testing import override_storage
from django_fsspec.validators import ContentTypeValidator, ImageValidator, MaxSizeValidator
from tests.library.models import Paper, Shelf
from tests.promises import project
from tests.promises.paths import PUBLIC, WRITTEN

HERE = Path(__file__).resolve().parent
VALIDATORS: list[Any] = [
    MaxSizeValidator(9),
    ContentTypeValidator(["image/*"]),
    ImageValidator(),
    project.ScanValidator(),
]

pytestmark = [
    pytest.mark.usefixtures("memory"),
    # the pickle says which Django wrote it
    pytest.mark.filterwarnings("ignore:Pickled model instance's Django version:RuntimeWarning"),
]


def named_by_pickle(value: Any) -> set[str]:
    """Return the paths of ours that a pickle of `value` names."""
    # protocol 2 has each in one opcode
    ops = pickletools.genops(pickle.dumps(value, protocol=2))
    globals_ = {str(arg).replace(" ", ".") for op, arg, _ in ops if op.name == "GLOBAL"}
    return {path for path in globals_ if path.startswith("django_fsspec")}


def named_by_migration(text: str) -> set[str]:
    return set(re.findall(r"(?:django_fsspec|tests)\.[\w.]+", text))


# migrations


def migration(name: str) -> Migration:
    # again: it asks for the storage of an alias, which each test replaces
    module = reload(import_module(f"tests.promises.migrations.{name}"))
    loaded: Migration = module.Migration(name, "promises")
    return loaded


def deconstructed(field: Any) -> tuple[Any, ...]:
    return tuple(field.deconstruct()[1:])


def test_the_field_deconstructs_to_its_public_path() -> None:
    for options in ({}, {"multiple": True}, {"image": True, "content_types": ["image/*"]}):
        path = StoredObjectField(**options).deconstruct()[1]
        assert path == "django_fsspec.fields.StoredObjectField"
    assert project.ScanField().deconstruct()[1] == "tests.promises.project.ScanField"


def test_a_subclass_made_in_a_function_keeps_its_own_path() -> None:
    made = type("Local", (StoredObjectField,), {"__module__": __name__})
    assert made().deconstruct()[1] == f"{__name__}.Local"


def test_validators_deconstruct_to_their_public_path() -> None:
    assert [validator.deconstruct()[0] for validator in VALIDATORS] == [
        "django_fsspec.validators.MaxSizeValidator",
        "django_fsspec.validators.ContentTypeValidator",
        "django_fsspec.validators.ImageValidator",
        "tests.promises.project.ScanValidator",
    ]


def test_what_a_new_migration_imports() -> None:
    field = StoredObjectField(validators=VALIDATORS)
    made = type(
        "Written",
        (Migration,),
        {
            "operations": [
                ConvertFileField("Page", "file", field),
                project.ConvertToScan("Page", "file", project.ScanField()),
            ]
        },
    )("0001_initial", "promises")
    text = MigrationWriter(made, include_header=False).as_string()
    assert {line for line in text.splitlines() if line.startswith("import ")} == {
        "import django_fsspec.fields",
        "import django_fsspec.operations",
        "import django_fsspec.validators",
        "import tests.promises.project",
    }
    field_of_django = models.FileField(storage=storages["default"])
    text, imports = MigrationWriter.serialize(field_of_django)
    assert "storage=django_fsspec.storage.storage_of('default')" in text
    assert imports == {"import django_fsspec.storage", "from django.db import models"}


def test_a_migration_of_0_1_0_loads() -> None:
    state = migration("0001_initial").mutate_state(ProjectState())
    page: Any = state.apps.get_model("promises", "Page")
    expected = {
        "single": StoredObjectField(upload_to="single/%Y", null=True, blank=True),
        "several": StoredObjectField(upload_to="several", multiple=True, blank=True),
        "picture": StoredObjectField(
            max_length=80, image=True, content_types=["image/*"], validators=VALIDATORS
        ),
        "placed": StoredObjectField(backend=project.alias_for_row, upload_to=project.path_for_row),
        "scan": project.ScanField(upload_to="scans"),
    }
    for name, field in expected.items():
        loaded = page._meta.get_field(name)
        assert type(loaded) is type(field)
        assert deconstructed(loaded) == deconstructed(field)
    attachment = page._meta.get_field("attachment")
    assert attachment.storage is storages["default"]
    assert attachment.validators == VALIDATORS
    row = page(single=FileObject("default", "a.txt"), several=[FileObject("default", "b.txt")])
    assert (row.single.name, [file.name for file in row.several]) == ("a.txt", ["b.txt"])


def test_a_storage_in_a_migration_or_pickle_may_become_one_of_another_class() -> None:
    path, arguments, _ = storages["default"].deconstruct()  # type: ignore[attr-defined]
    pickled = pickle.dumps(storages["default"])
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    with override_settings(STORAGES={"default": memory}):
        assert resolve_name(path)(*arguments) is storages["default"]
        assert pickle.loads(pickled) is storages["default"]


def test_an_operation_of_0_1_0_loads() -> None:
    initial, convert = migration("0001_initial"), migration("0002_convert")
    first, second = convert.operations
    assert (type(first), type(second)) == (ConvertFileField, project.ConvertToScan)
    _, _, options = first.deconstruct()
    assert deconstructed(options.pop("field")) == deconstructed(
        StoredObjectField(upload_to="a", validators=VALIDATORS)
    )
    assert options == {
        "model_name": "Page",
        "name": "attachment",
        "batch_size": 50,
        "storage": "default",
        "list_storage": False,
    }
    state = convert.mutate_state(initial.mutate_state(ProjectState()))
    page: Any = state.apps.get_model("promises", "Page")
    assert type(page._meta.get_field("attachment")) is project.ScanField


@pytest.mark.parametrize("name", ["0001_initial", "0002_convert"])
def test_a_migration_written_again_names_the_same(name: str) -> None:
    again = MigrationWriter(migration(name), include_header=False).as_string()
    written = (HERE / "migrations" / f"{name}.py").read_text()
    # 0.1.0 wrote get_storage(), which is for callers that need a FSSpecStorage
    written = written.replace("get_storage", "storage_of")
    assert named_by_migration(again) == named_by_migration(written)


# pickles


@pytest.fixture
def loaded() -> Iterator[dict[str, Any]]:
    """What 0.1.0 pickled."""
    with override_storage():
        yield pickle.loads((HERE / "values.pickle").read_bytes())


def test_files_of_0_1_0_load(loaded: dict[str, Any]) -> None:
    stored, unsaved, waiting = loaded["stored"], loaded["unsaved"], loaded["waiting"].file
    assert type(stored) is FileObject
    assert stored.to_dict() == loaded["stored_json"]
    assert (stored.name, stored.size, stored.backend) == ("a.txt", 6, "default")
    assert loaded["read"].to_dict() == loaded["stored_json"]
    for file, content in ((unsaved, b"unsaved"), (waiting, b"waiting")):
        assert file.has_pending_data
        assert file.save("x.txt", save=False).get_content() == content


def test_lists_and_rows_of_0_1_0_load(loaded: dict[str, Any]) -> None:
    paper, shelf, files = loaded["paper"], loaded["shelf"], loaded["files"]
    assert (type(paper), paper.pk, paper.title) == (Paper, 1, "paper")
    assert (paper.file.name, paper.file.size) == ("papers/a.txt", 6)
    assert (type(shelf), shelf.pk) == (Shelf, 2)
    assert shelf.files == files == [FileObject("default", "b.txt"), FileObject("default", "c.txt")]
    assert type(files) is type(shelf.files) is type(Shelf().files)
    assert [file.to_dict() for file in loaded["read_files"]] == [loaded["stored_json"]]
    shelf.files.append(ContentFile(b"d", name="d.txt"))
    assert shelf.files[-1].has_pending_data
    with pytest.raises(TypeError):
        shelf.files.append(5)  # type: ignore[arg-type]


def test_the_rest_of_0_1_0_loads(loaded: dict[str, Any]) -> None:
    assert loaded["storage"] is storages["default"]
    assert loaded["validators"] == VALIDATORS
    error, unsupported = loaded["errors"]
    assert (type(error), error.args) == (StorageError, (5, "broken"))
    assert (type(unsupported), unsupported.args) == (NotSupported, ("no",))
    assert type(loaded["stat"]) is Stat
    assert (loaded["stat"].name, loaded["stat"].size) == ("a.txt", 6)
    assert loaded["stat"].is_link is False
    assert loaded["field"] is Paper._meta.get_field("file")
    loose, own = loaded["loose_field"], loaded["own_field"]
    assert deconstructed(loose) == deconstructed(StoredObjectField(upload_to="x", multiple=True))
    assert deconstructed(own) == deconstructed(project.ScanField(upload_to="y"))
    assert loaded["operation"].deconstruct()[0] == "ConvertFileField"


def stored_file() -> FileObject:
    return FileObject("default", "a.txt", content=b"a").save()


def shelf_of_files() -> Shelf:
    return Shelf(files=[stored_file(), ContentFile(b"b", name="b.txt")])


@pytest.mark.parametrize(
    ("make", "paths"),
    [
        (lambda: storages["default"], ["storage.storage_of"]),
        (stored_file, ["objects.FileObject"]),
        (lambda: FileObject("default", "a", content=b"a"), ["objects.FileObject"]),
        (lambda: Paper(file=stored_file()), ["objects.FileObject"]),
        (shelf_of_files, ["objects.FileObject", "fields.FileList"]),
        (lambda: shelf_of_files().files, ["objects.FileObject", "fields.FileList"]),
        (StoredObjectField, ["fields.StoredObjectField"]),
        (lambda: VALIDATORS[0], ["validators.MaxSizeValidator"]),
        (lambda: VALIDATORS[1], ["validators.ContentTypeValidator"]),
        (lambda: VALIDATORS[2], ["validators.ImageValidator"]),
        (lambda: VALIDATORS[3], []),
        (lambda: StorageError(5, "broken"), ["exceptions.StorageError"]),
        (lambda: NotSupported("no"), ["exceptions.NotSupported"]),
        (lambda: storages["default"].stat(stored_file().name), ["stat.Stat"]),  # type: ignore[attr-defined]
        (
            lambda: ConvertFileField("Page", "file", StoredObjectField()),
            ["operations.ConvertFileField", "fields.StoredObjectField"],
        ),
    ],
)
def test_a_pickle_names_public_paths_and_loads(make: Any, paths: list[str]) -> None:
    value = make()
    expected = {f"django_fsspec.{path}" for path in paths}
    assert named_by_pickle(value) == expected
    assert expected <= {*PUBLIC, *WRITTEN}
    again = pickle.loads(pickle.dumps(value))
    assert type(again) is type(value)
    if isinstance(value, FileObject):
        # of unsaved content there is no JSON
        assert again == value
        assert again.has_pending_data or again.to_dict() == value.to_dict()
