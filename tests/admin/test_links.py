"""A field as a read-only field, in a list and for users who may only view it."""

from __future__ import annotations

import gc
import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import include, path

from django_fsspec.admin import StoredObjectAdminMixin
from django_fsspec.checks.system_checks import check_storages
from django_fsspec.fields.encoder import AdminEncoder
from tests.helpers.file_objects import NINE
from tests.helpers.permissions import permission
from tests.library.models import Paper, Photo, Shelf

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls(__name__),
    pytest.mark.usefixtures("memory"),
]

site = admin.AdminSite()


@admin.register(Paper, site=site)
class PaperAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("title", "file")


@admin.register(Shelf, site=site)
class ShelfAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    readonly_fields = ("files",)


@admin.register(Photo, site=site)
class PhotoAdmin(StoredObjectAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("image", "image_size")


urlpatterns = [path("admin/", site.urls), path("files/", include("django_fsspec.urls"))]


def shown(client: Client, address: str) -> str:
    response: Any = client.get(f"/admin/library/{address}")
    assert response.status_code == 200
    return str(response.content.decode())


def link(html: str, name: str) -> str:
    found = re.search(rf'<a href="(/files/[^"]+)">{re.escape(name)}</a>', html)
    assert found is not None
    return found[1]


@pytest.fixture
def paper() -> Paper:
    return Paper.objects.create(title="t", file=ContentFile(b"1", name="Grüße & <b>.txt"))


NAME = "Grüße &amp; &lt;b&gt;.txt"


def test_in_a_list(admin_client: Client, paper: Paper) -> None:
    url = link(shown(admin_client, "paper/"), NAME)
    response: Any = admin_client.get(url)
    assert b"".join(response.streaming_content) == b"1"


def test_for_a_user_who_may_only_view_it(client: Client, paper: Paper) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(permission("library", "view_paper"))
    client.force_login(user)
    html = shown(client, f"paper/{paper.pk}/change/")
    link(html, NAME)
    assert paper.file.name not in html


def test_several_read_only(admin_client: Client) -> None:
    shelf = Shelf.objects.create(files=[ContentFile(b"1", name=f"{n}.txt") for n in "ab"])
    html = shown(admin_client, f"shelf/{shelf.pk}/change/")
    assert link(html, "a.txt") != link(html, "b.txt")
    empty = Shelf.objects.create()
    assert "/files/" not in shown(admin_client, f"shelf/{empty.pk}/change/")


def test_the_column_that_links_to_the_row_has_no_link_within(admin_client: Client) -> None:
    row = Photo(image=ContentFile(b"GIF", name="a.gif"))
    row.save()
    html = shown(admin_client, "photo/")
    assert f'<a href="/admin/library/photo/{row.pk}/change/">a.gif</a>' in html
    assert 'href="?o=1"' in html


def test_a_file_without_a_url_or_of_no_use(admin_client: Client, paper: Paper) -> None:
    Paper.objects.update(file={**paper.file.to_dict(), "backend": "gone"})
    html = shown(admin_client, "paper/")
    assert "is not in STORAGES" in html
    assert "/files/" not in html


def test_json_where_a_theme_asks_for_it(paper: Paper) -> None:
    text = AdminEncoder(indent=4, sort_keys=True).encode(paper.file)
    assert [key for key in NINE if f'"{key}"' in text] == NINE
    assert AdminEncoder().encode({"a": [1]}) == '{"a": [1]}'


@pytest.mark.parametrize(
    ("columns", "links", "warned"),
    [
        (("file", "title"), (), True),
        (("title", "file"), ("file",), True),
        (("title", "file"), (), False),
        (("file", "title"), None, False),
    ],
)
def test_a_plain_admin_is_warned_of_such_a_column(columns: Any, links: Any, warned: bool) -> None:
    made = {"list_display": columns, "list_display_links": links}
    other = admin.AdminSite("other")
    other.register(Paper, type("ListAdmin", (admin.ModelAdmin,), made))
    ids = [message.id for message in check_storages()]
    assert ("django_fsspec.W006" in ids) == warned
    del other
    gc.collect()  # sites are known as long as they are there
