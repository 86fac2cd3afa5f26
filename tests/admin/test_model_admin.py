"""The admin: widgets, columns and what lists cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from django_fsspec.admin import AdminStoredObjectWidget, StoredObjectAdminMixin, move_files
from tests.admin.papers import paper
from tests.browser.pages import ShelfAdmin
from tests.browser.pages import site as site_of_tests
from tests.demo.visit import silent
from tests.library.models import Paper, Shelf

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site")]


def test_every_admin_uses_the_widget_by_itself() -> None:
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True)
    form = site_of_tests.get_model_admin(Shelf).get_form(request)()
    widget = form.fields["files"].widget
    assert isinstance(widget, AdminStoredObjectWidget)
    assert widget.multiple
    inline = ShelfAdmin.inlines[0](Shelf, site_of_tests)
    made = inline.get_formset(request).form()
    assert isinstance(made.fields["file"].widget, AdminStoredObjectWidget)


@pytest.mark.slow
@pytest.mark.parametrize("query", ["", "?o=3", "?file-type=image/png", "?file-size=small"])
def test_a_list_of_100_costs_no_request_and_no_query_a_row(
    admin_client: Client, papers: list[Paper], settings: Settings, query: str
) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": silent(), "second": silent()}
    path = f"/admin/library/paper/{query}"
    with CaptureQueriesContext(
        connection,
    ) as many:
        response = admin_client.get(path)
    assert response.status_code == 200
    if not query:
        assert response.content.count(b'class="stored-object-preview"') == 100
    Paper.objects.filter(pk__in=[one.pk for one in papers[10:]]).delete()
    with CaptureQueriesContext(connection) as few:
        admin_client.get(path)
    assert len(many) == len(few)


def test_a_row_shows_what_is_known_of_its_file(admin_client: Client) -> None:
    row = Paper.objects.create(file=ContentFile(b"12", name="\u202e<b>.txt"))
    html = admin_client.get(f"/admin/library/paper/{row.pk}/change/").content.decode()
    assert "\u202e" not in html
    assert "<b>" not in html
    assert row.file.checksum in html
    added = admin_client.get("/admin/library/paper/add/").content.decode()
    assert "stored-object-metadata" not in added


def test_a_row_without_a_file(admin_client: Client) -> None:
    row = Paper.objects.create(title="none")
    assert admin_client.get(f"/admin/library/paper/{row.pk}/change/").status_code == 200
    assert admin_client.get("/admin/library/paper/").status_code == 200


def test_a_storage_that_is_gone(admin_client: Client, settings: Settings) -> None:
    row = paper(1)
    row.save()
    settings.STORAGES = {k: v for k, v in settings.STORAGES.items() if k != "second"}
    for path in ("", f"{row.pk}/change/", "storage/"):
        assert admin_client.get(f"/admin/library/paper/{path}").status_code == 200


def test_columns_and_filters_that_were_chosen_stay() -> None:
    class Chosen(StoredObjectAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
        list_display = ("title", "file_size")
        list_filter = ("title",)
        readonly_fields = ("file_metadata",)
        fields = ("title", "file_metadata")

        def file_type(self, row: Paper) -> str:
            return "mine"

    made = Chosen(Paper, site_of_tests)
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True)
    assert made.check() == []
    assert list(made.get_list_display(request)) == ["title", "file_size"]
    assert list(made.get_list_filter(request)) == ["title"]
    assert made.file_type(Paper()) == "mine"
    assert len(made.get_fieldsets(request, Paper())) == 1


def test_a_base_class_adds_actions_to_those_of_its_subclasses() -> None:
    class WithMove(StoredObjectAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
        stored_object_actions = (move_files,)

    class Papers(WithMove):
        actions = (delete_selected,)

    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True)
    names = [list(made(Paper, site_of_tests).get_actions(request)) for made in (WithMove, Papers)]
    assert names == [["delete_selected", "move_files"]] * 2
    # the class's own stay as they were
    assert Papers.actions == (delete_selected,)
