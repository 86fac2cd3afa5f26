"""Rows with invalid JSON in the admin: each shows its error, and the others are as they were."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import display_for_field
from django.test import Client, RequestFactory

from django_fsspec.admin import StoredObjectAdminMixin
from tests.browser.pages import site
from tests.helpers.hostile_rows import (
    GOOD,
    ODD,
    STATIC,
    HostileValue,
    invalid,
    paper,
    shelf,
    write,
)
from tests.library.models import Paper, Shelf

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site")]


def rows_of(html: str) -> list[str]:
    """Return the rows of a change list."""
    return re.findall(r'<tr><td class="action-checkbox">.*?</tr>', html, re.DOTALL)


@pytest.mark.parametrize(
    "query", ["", "?o=3", "?o=4", "?file-type=text/plain", "?file-size=small"]
)
def test_each_row_of_a_list_shows_its_own_error(admin_client: Client, query: str) -> None:
    for title, value in invalid().items():
        paper(title, value.text)
    for title, text in {**ODD, "static": STATIC, "good": GOOD}.items():
        paper(title, text)
    response = admin_client.get(f"/admin/library/paper/{query}")
    assert response.status_code == 200
    if query:
        return
    rows = rows_of(response.content.decode())
    assert len(rows) == Paper.objects.count()
    for title, value in invalid().items():
        (row,) = (row for row in rows if f">{title}</a>" in row)
        assert value.error in row, title
        assert row.count("stored-object-error") == 1
    for title in [*ODD, "static", "good"]:
        (row,) = (row for row in rows if f">{title}</a>" in row)
        assert "stored-object-error" not in row
        assert ">Text<" in row


@pytest.mark.parametrize(
    "columns",
    [
        ("title", "file_size", "file_type", "file_storage"),
        ("title", "file_type", "file_preview"),
        ("title", "file_storage"),
        ("title", "file_metadata"),
    ],
)
def test_a_list_with_its_own_columns_shows_each_error_once(
    rf: RequestFactory, admin_user: Any, columns: tuple[str, ...]
) -> None:
    made = type("Made", (StoredObjectAdminMixin, ModelAdmin), {"list_display": columns})
    for title, value in {**invalid(), "good": HostileValue(GOOD, "")}.items():
        paper(title, value.text)
    request = rf.get("/")
    request.user = admin_user
    response = made(Paper, site).changelist_view(request)
    rows = rows_of(response.rendered_content)
    assert len(rows) == Paper.objects.count()
    for title, value in invalid().items():
        (row,) = (row for row in rows if f">{title}</a>" in row)
        assert value.error in row, title
        assert row.count("stored-object-error") == 1
    (row,) = (row for row in rows if ">good</a>" in row)
    assert "stored-object-error" not in row


def test_each_row_can_be_opened_and_shows_its_error(admin_client: Client) -> None:
    row = paper("hostile", "5")
    for value in invalid().values():
        write(row, value.text)
        html = admin_client.get(f"/admin/library/paper/{row.pk}/change/")
        assert html.status_code == 200
        # by the widget and in the details of the file
        assert html.content.decode().count(value.error) == 2, value
    for text in [*ODD.values(), STATIC]:
        write(row, text)
        html = admin_client.get(f"/admin/library/paper/{row.pk}/change/")
        assert html.status_code == 200
        assert "stored-object-error" not in html.content.decode(), text
    assert admin_client.get("/admin/library/paper/storage/").status_code == 200


def test_the_title_of_an_invalid_row_can_be_saved(admin_client: Client) -> None:
    for value in invalid().values():
        row = Paper.objects.get(pk=paper("hostile", value.text).pk)
        page = f"/admin/library/paper/{row.pk}/change/"
        assert admin_client.post(page, {"title": "renamed"}).status_code == 302, value
        again = Paper.objects.get(pk=row.pk)
        assert (again.title, again.file._to_json()) == ("renamed", row.file._to_json())
        response = admin_client.post(page, {"title": "x" * 51})
        assert value.error in response.content.decode()


def test_a_list_of_files_shows_each_error(admin_client: Client) -> None:
    values = list(invalid().values())
    row = shelf(*(value.text for value in values), *ODD.values(), STATIC)
    html = admin_client.get(f"/admin/library/shelf/{row.pk}/change/").content.decode()
    for value in values:
        assert value.error in html
    assert html.count("stored-object-error") == len(values)
    assert html.count('data-card="stored"') == len(Shelf.objects.get().files)


def test_an_admin_without_the_mixin_shows_errors_too() -> None:
    field = Paper._meta.get_field("file")
    for value in invalid().values():
        row = Paper.objects.get(pk=paper("hostile", value.text).pk)
        shown = display_for_field(row.file, field, "-")
        assert "(invalid JSON: it " in shown or row.file, value
        assert shown.encode()
