"""The button "Save as new" of the admin: the new row gets copies of the files, not nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client
from django.urls import include, path

from django_fsspec.forms import copied_files
from testproject.browser import Page
from tests.forms.submissions import attributes, form_of, upload
from tests.helpers.samples import png
from tests.library.models import Box, Paper, Photo, Shelf

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls(__name__),
    pytest.mark.usefixtures("memory"),
]

site = admin.AdminSite()


class BoxInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Box
    extra = 0


@admin.register(Shelf, site=site)
class ShelfAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    save_as = True
    inlines = (BoxInline,)


@admin.register(Paper, Photo, site=site)
class PlainAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    save_as = True


urlpatterns = [path("admin/", site.urls), path("files/", include("django_fsspec.urls"))]


def hidden(html: str) -> dict[str, str]:
    """Return the names and values of the inputs of a page that a browser sends without a click."""
    tags = re.findall(r'<input type="(?:hidden|text|number)"[^>]*>', html)
    pairs = [(re.search(r'name="([^"]+)"', t), re.search(r'value="([^"]*)"', t)) for t in tags]
    return {name[1]: value[1] if value else "" for name, value in pairs if name}


def saved_as_new(client: Client, row: Any, **more: Any) -> Any:
    address = f"/admin/library/{row._meta.model_name}/{row.pk}/change/"
    page: Any = client.get(address)
    data = hidden(page.content.decode()) | {"_saveasnew": "1"} | more
    return client.post(address, {k: v for k, v in data.items() if v is not None})


def content(file: Any) -> bytes:
    return bytes(file.get_content())


def test_one_file(admin_client: Client) -> None:
    paper = Paper.objects.create(title="t", file=ContentFile(b"1", name="a.txt"))
    assert saved_as_new(admin_client, paper).status_code == 302
    new = Paper.objects.exclude(pk=paper.pk).get()
    assert (content(new.file), new.file.original_name) == (b"1", "a.txt")
    assert new.file.filename != paper.file.filename
    paper.delete()
    assert content(new.file) == b"1"


def test_a_required_picture_is_copied_and_another_one_replaces_it(admin_client: Client) -> None:
    photo = Photo.objects.create(image=ContentFile(png(4, 3), name="a.png"))
    assert saved_as_new(admin_client, photo).status_code == 302
    assert Photo.objects.exclude(pk=photo.pk).get().image.width == 4
    assert saved_as_new(admin_client, photo, image=upload("b.png", png(5, 3))).status_code == 302
    assert Photo.objects.latest("pk").image.width == 5


def test_cleared_means_none(admin_client: Client) -> None:
    paper = Paper.objects.create(file=ContentFile(b"1", name="a.txt"))
    saved_as_new(admin_client, paper, **{"file-clear": "on"})
    assert Paper.objects.latest("pk").file is None


def test_several_with_their_order_and_those_of_inlines(admin_client: Client) -> None:
    shelf = Shelf.objects.create(files=[ContentFile(n.encode(), name=n) for n in "abc"])
    Box.objects.create(shelf=shelf, file=ContentFile(b"box", name="box.txt"))
    page: Any = admin_client.get(f"/admin/library/shelf/{shelf.pk}/change/")
    keys = attributes(page.content.decode(), "files-remove")
    order = {f"files-place-{keys[0]}": "9", "files-remove": keys[1]}
    assert saved_as_new(admin_client, shelf, **order).status_code == 302
    new = Shelf.objects.latest("pk")
    assert [content(file) for file in new.files] == [b"c", b"a"]
    assert [content(box.file) for box in new.box_set.all()] == [b"box"]
    shelf.refresh_from_db()
    assert len(shelf.files) == 3


def test_shown_again_after_an_error(admin_client: Client) -> None:
    shelf = Shelf.objects.create(files=[ContentFile(n.encode(), name=n) for n in "ab"])
    Box.objects.create(shelf=shelf, file=ContentFile(b"box", name="box.txt"))
    page = saved_as_new(admin_client, shelf, files=upload("%%%"))
    html = page.content.decode()
    assert "can&#x27;t be stored under this name" in html
    labels = re.findall(r'data-card="stored" data-label="([^"]*)"', html)
    assert labels == ["a", "b", "box.txt"]
    address = f"/admin/library/shelf/{shelf.pk}/change/"
    response = admin_client.post(address, hidden(html) | {"_saveasnew": "1"})
    assert response.status_code == 302
    assert [content(file) for file in Shelf.objects.latest("pk").files] == [b"a", b"b"]


class TestReference:
    @pytest.fixture
    def paper(self) -> Paper:
        return Paper.objects.create(file=ContentFile(b"secret", name="a.txt"))

    def origin(self, row: Any, name: str = "file") -> str:
        return attributes(str(form_of(type(row), instance=row)[name]), f"{name}-origin")[0]

    def test_says_nothing_of_the_path(self, paper: Paper) -> None:
        field: Any = Paper._meta.get_field("file")
        text = copied_files.reference(paper, field)
        payload = copied_files._signer(field).unsign_object(text)
        assert paper.file.filename not in str(payload)

    @pytest.mark.parametrize("wrong", ["forged", "of another field", "expired"])
    def test_copies_nothing(self, paper: Paper, wrong: str, monkeypatch: Any) -> None:
        if wrong == "expired":
            monkeypatch.setattr(copied_files, "LIFETIME", 0)
        origin = self.origin(paper)
        box = Box(shelf=Shelf.objects.create(), file=ContentFile(b"1", name="b.txt"))
        box.save()
        origin = {"forged": f"{origin[:-1]}!", "of another field": self.origin(box)}.get(
            wrong, origin
        )
        form = form_of(Paper, {"file-origin": origin})
        assert form.save().file is None

    def test_of_a_file_that_was_replaced_copies_nothing(self, paper: Paper) -> None:
        origin = self.origin(paper)
        paper.file = ContentFile(b"newer", name="b.txt")
        paper.save()
        assert form_of(Paper, {"file-origin": origin}).save().file is None

    def test_changes_nothing_of_the_row_itself(self, paper: Paper) -> None:
        names = set(_names())
        form = form_of(Paper, {"file-origin": self.origin(paper)}, instance=paper)
        assert not form.has_changed()
        assert form.save().file.filename == paper.file.filename
        assert set(_names()) == names

    def test_a_policy_forbids_nothing_of_it(self, paper: Paper) -> None:
        assert Page(str(form_of(Paper, instance=paper)["file"])).inline == []


def _names() -> list[str]:
    return [stat.name for stat in storages["default"].walk()]  # type: ignore[attr-defined]
