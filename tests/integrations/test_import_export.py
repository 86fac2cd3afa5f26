"""django-import-export: rows with files go out and come back, and nobody chooses a file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import admin
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import include, path
from import_export.admin import ImportExportModelAdmin
from import_export.fields import Field
from import_export.resources import ModelResource, modelresource_factory
from tablib import Dataset

from django_fsspec import FileObject
from django_fsspec.admin.import_export import StoredObjectResourceField, StoredObjectResourceMixin
from tests.helpers.row_faults import files_in
from tests.library.models import Dossier, Page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory"), pytest.mark.twin]
#: files are deleted at the commit
committed = pytest.mark.django_db(transaction=True)

FORMATS = ["csv", "tsv", "json", "yaml", "xlsx", "html"]


class DossierResource(StoredObjectResourceMixin, ModelResource):  # type: ignore[misc]
    class Meta:
        model = Dossier


class OwnColumns(ModelResource):  # type: ignore[misc]
    scan = StoredObjectResourceField(attribute="file", column_name="Scan")

    class Meta:
        model = Dossier
        fields = ("id", "title", "scan")


class Lenient(DossierResource):
    """Neither shows differences, which would be taken from the export, nor validates."""

    class Meta(DossierResource.Meta):
        skip_diff = True
        use_bulk = True


@pytest.fixture
def dossier() -> Dossier:
    pages = [ContentFile(b"2", name="b.txt"), ContentFile(b"3", name="c.txt")]
    file = ContentFile(b"1", name="a.txt")
    return Dossier.objects.create(title="May", file=file, files=pages, code="x")


def stored() -> list[bytes]:
    storage: Any = storages["default"]
    return sorted(storage.get_content(stat.name) for stat in storage.walk())


def described(dossier: Dossier) -> list[dict[str, Any]]:
    """Return the JSON of the files of a row, as the database has it."""
    row = Dossier.objects.get(pk=dossier.pk)
    return [file.to_dict() for file in [*files_in(row, "file"), *row.files]]


def imported(rows: list[dict[str, Any]], resource: Any = DossierResource, **options: Any) -> Any:
    data = Dataset(*[tuple(row.values()) for row in rows], headers=list(rows[0]))
    return resource().import_data(data, **options)


def exported(*dossiers: Dossier) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = DossierResource().export(list(dossiers)).dict
    return rows


@pytest.mark.parametrize("form", FORMATS)
def test_rows_go_out_and_come_back(dossier: Dossier, form: str) -> None:
    empty = Dossier.objects.create(code="y")
    before = described(dossier)
    data = DossierResource().export().export(form)
    Dossier.objects.filter(pk=dossier.pk).update(title="June")
    result = DossierResource().import_data(Dataset().load(data, format=form), raise_errors=True)
    assert (result.totals["update"], result.totals["skip"]) == (2, 0)
    assert Dossier.objects.get(pk=dossier.pk).title == "May"
    assert described(dossier) == before
    assert described(empty) == []
    assert stored() == [b"1", b"2", b"3"]


def test_the_cells_are_the_json_of_the_row(dossier: Dossier) -> None:
    [row] = exported(dossier)
    assert json.loads(row["file"]) == dossier.file.to_dict()
    assert json.loads(row["files"]) == [file.to_dict() for file in dossier.files]


@committed
@pytest.mark.parametrize("empty", ["", " ", "null", None])
def test_an_empty_cell_removes_the_files(dossier: Dossier, empty: str | None) -> None:
    imported([{"id": dossier.pk, "file": empty, "files": empty}], raise_errors=True)
    assert (described(dossier), stored()) == ([], [])


@committed
def test_a_list_is_put_in_order_and_shortened(dossier: Dossier) -> None:
    first, second = dossier.files
    cell = json.dumps([second.to_dict(), first.to_dict()])
    imported([{"id": dossier.pk, "files": cell}], raise_errors=True)
    assert list(Dossier.objects.get().files) == [second, first]
    imported([{"id": dossier.pk, "files": json.dumps([second.to_dict()])}], raise_errors=True)
    assert list(Dossier.objects.get().files) == [second]
    assert stored() == [b"1", b"3"]


@committed
def test_a_preview_deletes_nothing(dossier: Dossier) -> None:
    before = described(dossier)
    result = imported([{"id": dossier.pk, "file": "", "files": "[]"}], dry_run=True)
    assert (result.has_errors(), result.totals["update"]) == (False, 1)
    assert described(dossier) == before
    assert stored() == [b"1", b"2", b"3"]


HOSTILE: list[Any] = [
    {"backend": "second", "filename": "secret.txt"},
    {"backend": "default", "filename": "secret.txt"},
    {"backend": "default", "filename": "../secret.txt"},
    {"filename": "secret.txt"},
    {"backend": ["default"], "filename": {}},
    {},
    "secret.txt",
    5,
    True,
    [None],
    [[]],
]


@pytest.mark.parametrize("resource", [DossierResource, Lenient])
@pytest.mark.parametrize("column", ["file", "files"])
def test_nobody_chooses_a_file(dossier: Dossier, column: str, resource: Any) -> None:
    FileObject("second", "secret.txt", content=b"secret").save()
    before = described(dossier)
    for cell in map(json.dumps, [*HOSTILE, *([value] for value in HOSTILE)]):
        rows: list[dict[str, Any]] = [
            {"id": dossier.pk, "code": "x", column: cell},
            {"id": None, "code": "new", column: cell},
        ]
        result = imported(rows, resource)
        refused = [len(row.errors) + bool(row.validation_error) for row in result.rows]
        assert refused == [1, 1], cell
    assert described(dossier) == before
    assert Dossier.objects.count() == 1


def test_a_file_of_another_row_is_another_file(dossier: Dossier) -> None:
    other = Dossier.objects.create(file=ContentFile(b"4", name="d.txt"), code="y")
    [row] = imported([{"id": other.pk, "file": exported(dossier)[0]["file"]}]).rows
    assert dossier.file.name in str(row.validation_error)
    assert described(other) == [other.file.to_dict()]


@pytest.mark.parametrize("cell", ["{", "[", "{'a': 1}"])
def test_text_that_is_no_json(dossier: Dossier, cell: str) -> None:
    [row] = imported([{"id": dossier.pk, "file": cell}]).rows
    assert row.validation_error is not None


def test_what_the_json_says_besides_is_not_read(dossier: Dossier) -> None:
    before = described(dossier)
    data = {**dossier.file.to_dict(), "size": 99, "content_type": "text/html", "metadata": {}}
    imported([{"id": dossier.pk, "file": json.dumps(data)}], raise_errors=True)
    assert described(dossier) == before


def test_a_column_of_ones_own(dossier: Dossier) -> None:
    [row] = OwnColumns().export().dict
    assert list(row) == ["id", "title", "Scan"]
    before = described(dossier)
    imported([{**row, "title": "June"}], OwnColumns, raise_errors=True)
    assert described(dossier) == before
    forged = imported([{**row, "Scan": '{"backend": "second", "filename": "x"}'}], OwnColumns)
    assert forged.rows[0].validation_error is not None


def test_invalid_json_in_a_row_stays(dossier: Dossier) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE library_dossier SET file = %s", ['{"filename": 5}'])
    data = DossierResource().export()
    DossierResource().import_data(data, raise_errors=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT file FROM library_dossier")
        assert json.loads(cursor.fetchone()[0]) == {"filename": 5}


# in the admin


class DossierAdmin(ImportExportModelAdmin):  # type: ignore[misc]
    resource_classes = (DossierResource,)


site = admin.AdminSite()
site.register(Dossier, DossierAdmin)
urlpatterns = [path("admin/", site.urls), path("files/", include("django_fsspec.urls"))]


@pytest.mark.urls(__name__)
def test_the_pages_of_the_admin(dossier: Dossier, admin_client: Client, settings: Any) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "import_export"]
    Dossier.objects.create(code="y")
    before = described(dossier)
    page = "/admin/library/dossier"
    response: Any = admin_client.post(f"{page}/export/", {"format": "0", "resource": ""} | ALL)
    assert response["Content-Type"] == "text/csv", response.content
    sent = response.content.replace(b"May", b"June")
    preview = previewed(admin_client, sent)
    assert "June" in preview.content.decode()
    confirmed = admin_client.post(
        f"{page}/process_import/", preview.context["confirm_form"].initial
    )
    assert confirmed.status_code == 302
    assert Dossier.objects.get(pk=dossier.pk).title == "June"
    assert described(dossier) == before
    hostile = sent.replace(dossier.file.name.encode(), b"secret.txt")
    refused = previewed(admin_client, hostile)
    assert "confirm_form" not in refused.context
    assert "not choose others: secret.txt." in refused.content.decode()


#: the form of the export, with each column chosen
ALL = {f"dossierresource_{name}": "on" for name in DossierResource.fields}


def previewed(client: Client, data: bytes) -> Any:
    """Upload a file; return the page that shows what an import would do."""
    form = {"import_file": SimpleUploadedFile("rows.csv", data), "format": "0", "resource": ""}
    return client.post("/admin/library/dossier/import/", form)


# a resource without the mixin


def warnings() -> dict[str, str]:
    """Return what is warned of: the name of a resource or an admin, and the message."""
    found = [message for message in run_checks() if message.id == "django_fsspec.W008"]
    assert all("StoredObjectResourceMixin" in str(message.hint) for message in found)
    return {message.obj.__name__: message.msg for message in found}


class PlainAdmin(ImportExportModelAdmin):  # type: ignore[misc]
    """An admin for which django-import-export makes a resource."""


class ChoosingAdmin(ImportExportModelAdmin):  # type: ignore[misc]
    def get_resource_classes(self, request: Any) -> list[Any]:
        return [DossierResource]


@pytest.mark.django_db(databases=["default", "other"])  # newer checks ask them
def test_resources_without_the_mixin_are_found(settings: Any) -> None:
    assert warnings() == {}
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "import_export"]

    class PageResource(ModelResource):  # type: ignore[misc]
        class Meta:
            model = Page

    class PathResource(ModelResource):  # type: ignore[misc]
        """Shows the path, as text."""

        file = Field(attribute="file")

        class Meta:
            model = Page

    plain = admin.AdminSite()
    plain.register(Page, PlainAdmin)
    choosing = admin.AdminSite()
    choosing.register(Dossier, ChoosingAdmin)
    told = warnings()
    assert {"PageResource", "PlainAdmin"} <= set(told)
    others = {"PathResource", "ChoosingAdmin", "DossierAdmin", "DossierResource", "OwnColumns"}
    assert not others & set(told)
    assert "'file'" in told["PageResource"]


def test_a_resource_that_the_admin_makes_fails_closed(dossier: Dossier) -> None:
    """Without a resource of one's own, an import shows differences, which is an export."""
    made = modelresource_factory(Dossier)
    rows = [{"id": dossier.pk, "code": "x", "file": json.dumps(HOSTILE[0])}]
    result = imported(rows, made)
    assert result.has_errors()
    with pytest.raises(TypeError, match="FileObject is not JSON serializable"):
        made().export()
