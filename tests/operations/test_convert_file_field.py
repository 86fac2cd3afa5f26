"""ConvertFileField: a FileField's column becomes a StoredObjectField's, and one again."""

from __future__ import annotations

import sys
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations import RemoveField
from django.db.migrations.writer import OperationWriter
from django.test import override_settings

from django_fsspec import FileObject
from tests import servers
from tests.helpers import conversions
from tests.helpers.backends import _s3, folder, scratch
from tests.helpers.conversions import (
    APP,
    OPTIONAL,
    OURS,
    TABLE,
    VENDOR,
    Past,
    convert,
    document,
    file_system,
    store,
    using,
)

pytestmark = pytest.mark.django_db(transaction=True)

past = conversions.past

PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "local": lambda name: {
        "BACKEND": OURS,
        "OPTIONS": {"fs": "file", "prefix": str(scratch() / name)},
    },
    "s3": lambda name: {"BACKEND": OURS, "OPTIONS": _s3(servers.SeaweedS3)(name)},
    "Django's": file_system,
}


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    with using(default=PLACES[request.param](folder())):
        yield request.param


ODD = [
    "documents/plain.txt",
    "documents/a b  c.txt",
    "documents/100%20%zz%s.txt",
    'documents/it\'s "quoted" {0}.txt',
    "documents/\N{GRINNING FACE}.png",
    unicodedata.normalize("NFC", "documents/caf\N{LATIN SMALL LETTER E WITH ACUTE}.pdf"),
    unicodedata.normalize("NFD", "documents/caf\N{LATIN SMALL LETTER E WITH ACUTE}.pdf"),
    "documents/2024/01/deep.tar.gz",
    "elsewhere.bin",
]


def test_there_and_back(place: str, past: Past, caplog: pytest.LogCaptureFixture) -> None:
    store(*ODD)
    gone = ["documents/gone.txt", "/etc/passwd", "../up.txt", "documents/gone/too.txt"]
    if VENDOR != "mysql":
        gone.append("documents\\back.txt")
    paths = [*ODD, *gone, "", None, ODD[0]]
    past.start(document(null=True, blank=True))
    past.add(*paths)
    before = past.held()
    past.migrate(convert(OPTIONAL, batch_size=4))
    files = past.held()
    assert [file and file.filename for file in files] == [path or None for path in paths]
    for path, file in zip(paths, files, strict=True):
        if path in ODD:
            assert (file.backend, file.size) == ("default", len(path.encode()))
            age = datetime.now(UTC).timestamp() - file.last_modified
            assert -5 < age < 60
            assert (file.etag is None) == (place != "s3")
            assert file.get_content() == path.encode()
        elif path:
            assert (file.size, file.last_modified, file.etag) == (None, None, None)
        if path:
            assert file.original_name == path.rpartition("/")[2]
    assert [file.content_type for file in files[:5:4]] == ["text/plain", "image/png"]
    assert files[7].content_type == "application/gzip"
    (warning,) = caplog.messages
    assert f"library.Document.file: STORAGES['default'] lacks {len(gone)} files: " in warning
    for number, name in enumerate(gone, len(ODD) + 1):
        assert f"pk={number} {name}" in warning
    assert past.model.objects.filter(file__isnull=False, file__size=None).count() == len(gone)
    past.back()
    # what is no file is NULL where the column takes it, '' elsewhere
    assert past.held() == [path or None for path in before]


def test_the_model_goes_on_as_after_a_save(memory: None, past: Past) -> None:
    store("documents/a.txt")
    past.start(document())
    past.add("documents/a.txt")
    past.migrate(convert())
    assert past.model.objects.filter(file__size=15, file__content_type="text/plain").exists()
    row = past.model.objects.get()
    assert set(row.file.to_dict()) == set(FileObject("default", "x").to_dict())
    row.file = ContentFile(b"new", name="b.txt")
    row.save()
    assert [file.get_content() for file in past.held()] == [b"new"]
    past.back()
    assert past.held() == [row.file.name]
    assert past.model.objects.get().file.open().read() == b"new"


def test_rows_without_a_file(memory: None, past: Past) -> None:
    past.start(document(blank=True))
    past.add("", "")
    with pytest.raises(ValueError, match=r"Document\.file: 2 rows without a file .* pk=1, pk=2\."):
        past.migrate(convert())
    past.migrate(convert(OPTIONAL))
    assert past.held() == [None, None]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {TABLE} WHERE file IS NULL")
        assert cursor.fetchone() == (2,)
    past.back()
    assert past.held() == ["", ""]


def test_an_image_keeps_its_measures(memory: None, past: Past) -> None:
    store("p/a.png", "p/b.png")
    past.start(
        ("wide", models.IntegerField(null=True)),
        ("high", models.IntegerField(null=True)),
        ("file", models.ImageField(width_field="wide", height_field="high")),
    )
    past.add("p/a.png", "p/b.png")
    past.model.objects.filter(pk=1).update(wide=7, high=3)
    past.model.objects.filter(pk=2).update(wide=None, high=None)
    past.migrate(convert({"image": True}))
    one, two = past.held()
    assert (one.width, one.height, one.original_name) == (7, 3, "a.png")
    assert "width" not in two.metadata
    assert past.model.objects.values_list("wide", "high").get(pk=1) == (7, 3)
    past.back()
    assert past.held() == ["p/a.png", "p/b.png"]


# as part of a site


def test_what_a_migration_file_holds() -> None:
    operation = convert(batch_size=50, storage="second", list_storage=False)
    text, imports = OperationWriter(operation, indentation=0).serialize()
    assert "import django_fsspec.operations" in imports
    assert "django_fsspec.operations.ConvertFileField(" in text
    for line in ("batch_size=50", "storage='second'", "list_storage=False", "name='file'"):
        assert line in text
    assert convert().deconstruct()[2].keys() == {"model_name", "name", "field"}
    assert operation.describe() == "Convert file field file on document to a StoredObjectField"
    assert operation.formatted_description().startswith("~ Convert")
    assert operation.migration_name_fragment == "convert_document_file"
    assert operation.references_field("Document", "file", APP)
    assert operation.reduce(RemoveField("document", "file"), APP) is False


INITIAL = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Document",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.FileField(upload_to="documents")),
            ],
        ),
    ]
"""
CONVERT = """
from django.db import migrations, models
from django.db.models import F
from django_fsspec.fields import StoredObjectField
from django_fsspec.operations import ConvertFileField
import {app}.models

class Migration(migrations.Migration):
    dependencies = [("{app}", "0001_initial")]
    operations = [
        ConvertFileField(
            "document", "file", StoredObjectField(upload_to={app}.models.where, max_length=200)
        ),
        migrations.AddIndex("document", models.Index(F("file__filename"), name="by_path")),
    ]
"""
MODELS = """
from django.db import models
from django.db.models import F
from django_fsspec.fields import StoredObjectField

def where(instance, filename):
    return f"documents/{filename}"

class Document(models.Model):
    file = StoredObjectField(upload_to=where, image=False, max_length=200, max_size=10)

    class Meta:
        indexes = [models.Index(F("file__filename"), name="by_path")]
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an installed app whose second migration converts its field."""
    name = f"app_{uuid.uuid4().hex[:8]}"
    migrations = tmp_path / name / "migrations"
    migrations.mkdir(parents=True)
    for package in (tmp_path / name, migrations):
        (package / "__init__.py").write_text("")
    (tmp_path / name / "models.py").write_text(MODELS)
    (migrations / "0001_initial.py").write_text(INITIAL)
    (migrations / "0002_convert.py").write_text(CONVERT.format(app=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    with override_settings(
        INSTALLED_APPS=[*settings.INSTALLED_APPS, name],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ):
        yield name
        call_command("migrate", name, "zero", verbosity=0)
    apps.all_models.pop(name, None)
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def out_of(*arguments: Any, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, no_color=True, **options)
    return out.getvalue()


def test_the_commands_of_a_site(memory: None, app: str) -> None:
    assert "No changes detected" in out_of("makemigrations", app, check_changes=True, dry_run=True)
    call_command("migrate", app, "0001", verbosity=0)
    plan = out_of("migrate", app, plan=True)
    assert "Convert file field file on document to a StoredObjectField" in plan
    sql = out_of("sqlmigrate", app, "0002")
    assert "-- THIS OPERATION CANNOT BE WRITTEN AS SQL" in sql
    assert "DROP" not in sql
    assert ("CREATE INDEX" in sql) == connection.features.supports_expression_indexes
    store("documents/a.txt")
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {app}_document (file) VALUES ('documents/a.txt')")
    call_command("migrate", app, verbosity=0)
    document = apps.get_model(app, "Document").objects.get()
    assert (document.file.size, document.file.get_content()) == (15, b"documents/a.txt")
    assert "-- THIS OPERATION CANNOT" in out_of("sqlmigrate", app, "0002", backwards=True)
    call_command("migrate", app, "0001", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT file FROM {app}_document")
        assert list(cursor.fetchall()) == [("documents/a.txt",)]


@pytest.mark.slow
def test_a_squashed_migration_is_run(memory: None, app: str) -> None:
    out_of("squashmigrations", app, "0002", interactive=False, verbosity=0)
    call_command("migrate", app, verbosity=0)
    assert not apps.get_model(app, "Document").objects.exists()
    assert "No changes detected" in out_of("makemigrations", app, check_changes=True, dry_run=True)
