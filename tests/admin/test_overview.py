"""The admin's overview of storage use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client

from django_fsspec.admin.overview import Overview
from testproject.browser import Page
from tests.demo.visit import silent
from tests.helpers.permissions import permission
from tests.helpers.samples import png
from tests.library.models import Box, Paper, Photo, Shelf

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site")]


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
        # it counts the files of all models
        _, _, crumbs = html.partition(b'<div class="breadcrumbs">')
        assert b"/library/" not in crumbs.partition(b"</div>")[0]
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
        user.user_permissions.add(permission("library", "view_paper"))
        overview = client.get(path).context["overview"]
        assert overview.total.files == 100
