"""The admin: what lists cost, what filters find, who sees what files come to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from django_fsspec.admin import AdminStoredObjectWidget, StoredObjectAdminMixin
from django_fsspec.admin.overview import Overview
from django_fsspec.testing import override_storage
from testproject.browser import Page
from tests.browser.pages import ShelfAdmin
from tests.browser.pages import site as site_of_tests
from tests.demo.visit import silent
from tests.helpers.samples import png
from tests.library.models import Box, Paper, Photo, Shelf

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def memory(settings: Settings) -> Iterator[None]:
    settings.ROOT_URLCONF = "tests.browser.pages"
    with override_storage("default", "second"):
        yield


def paper(number: int, **facts: Any) -> Paper:
    kind = ("image/png", "text/plain", "application/zip")[number % 3]
    file = FileObject(
        ("default", "second")[number % 2],
        f"papers/{number}.x",
        **{"content_type": kind, "size": 10 ** (number % 10), **facts},
    )
    return Paper(title=f"{number:03}", file=file)


@pytest.fixture
def papers() -> list[Paper]:
    return Paper.objects.bulk_create(paper(number) for number in range(100))


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


def shown(client: Client, query: str) -> list[str]:
    response = client.get(f"/admin/library/paper/?{query}")
    return sorted(row.title for row in response.context["cl"].queryset)


def test_filters_find_what_they_say(admin_client: Client, papers: list[Paper]) -> None:
    every = range(100)
    assert len(shown(admin_client, "")) == 100
    assert shown(admin_client, "file-type=image/png") == [f"{n:03}" for n in every if n % 3 == 0]
    assert shown(admin_client, "file-storage=second") == [f"{n:03}" for n in every if n % 2]
    powers_of_10 = {"tiny": range(6), "small": (6,), "medium": (7,), "large": (8,), "huge": (9,)}
    for name, powers in powers_of_10.items():
        # 10^5 is less than 100 KB, 10^6 than 1 MB, and so on
        wanted = [f"{n:03}" for n in every if n % 10 in powers]
        assert shown(admin_client, f"file-size={name}") == wanted, name
    both = shown(admin_client, "file-storage=second&file-type=text/plain")
    assert both == [f"{n:03}" for n in every if n % 2 and n % 3 == 1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("file-type=none", 0),
        ("file-storage=none", 0),
        ("file-size=none", 100),
        ("file-type=' OR 1=1 --", 0),
        ("file-type=%00", 0),
    ],
)
def test_filters_given_what_is_none(
    admin_client: Client, papers: list[Paper], query: str, found: int
) -> None:
    assert len(shown(admin_client, query)) == found


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


class TestOverview:
    def test_counts_every_field(
        self, admin_client: Client, papers: list[Paper], settings: Settings
    ) -> None:
        Photo.objects.create(image=ContentFile(png(3, 3), name="a.png"))
        Shelf.objects.create(files=[ContentFile(b"123", name="a.txt")] * 1)
        Paper.objects.create(title="none")
        settings.STORAGES = {**settings.STORAGES, "default": silent(), "second": silent()}
        response = admin_client.get("/admin/library/paper/storage/")
        overview = response.context["overview"]
        total = sum(10 ** (n % 10) for n in range(100)) + len(png(3, 3)) + 3
        assert (overview.total.files, overview.total.bytes) == (102, total)
        assert {label for label, _ in overview.backends} == {"default", "second"}
        page = Page(response.content.decode())
        assert [one for one in page.inline if "style" in one] == []

    def test_of_nothing(self, admin_client: Client) -> None:
        html = admin_client.get("/admin/library/paper/storage/").content
        assert b"No files are stored yet." in html

    def test_many_types_share_one_colour(self) -> None:
        overview = Overview()
        for number in range(20):
            overview._add("a", f"x/{number:02}", 1, 100 - number)
        overview._add("b", "x/19", 1, 0)
        assert [label for label, _ in overview.legend] == [f"x/0{n}" for n in range(7)] + [""]
        bar, empty = overview.bars
        assert sum(one.width for one in bar.segments) == pytest.approx(1000, abs=0.1)
        assert bar.segments[-1].files == 13
        assert (empty.bytes, empty.segments[0].width) == (0, 0)

    def test_is_for_those_who_may_see_the_rows(self, papers: list[Paper], client: Client) -> None:
        Box.objects.create(shelf=Shelf.objects.create(), file=ContentFile(b"1", name="a.txt"))
        Photo.objects.create(image=ContentFile(png(3, 3), name="a.png"))
        path = "/admin/library/paper/storage/"
        assert client.get(path).status_code == 302
        user = User.objects.create_user("u", password="u", is_staff=True)
        client.force_login(user)
        assert client.get(path).status_code == 403
        user.user_permissions.add(Permission.objects.get(codename="view_paper"))
        overview = client.get(path).context["overview"]
        assert overview.total.files == 100
