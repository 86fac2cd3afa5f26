"""The admin's action that moves the files of selected rows."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client

from django_fsspec import FileObject
from django_fsspec.admin import move_action
from django_fsspec.rows.compare_and_swap import swap
from django_fsspec.testing import override_storage
from testproject.admin import DocumentAdmin
from testproject.models import Album, Document
from testproject.pictures import emblem
from tests.helpers.moved_files import PLACES, between, there
from tests.helpers.permissions import permission

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENTS = "/admin/testproject/document/"
ALBUMS = "/admin/testproject/album/"


@pytest.fixture(autouse=True)
def places() -> Iterator[None]:
    with between("memory", "local"):
        yield


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("staff"))
    return client


def documents(count: int) -> list[Document]:
    return Document.objects.bulk_create(
        Document(title=f"d{n}", file=ContentFile(b"d%d" % n, name=f"{n}.txt"))
        for n in range(count)
    )


def act(client: Client, rows: Any, path: str = DOCUMENTS, **fields: Any) -> Any:
    chosen = {"action": "move_files", "_selected_action": [row.pk for row in rows]}
    return client.post(path, {**chosen, **fields}, follow=True)


def said(response: Any) -> list[tuple[int, str]]:
    return [(one.level, str(one)) for one in response.context["messages"]]


def test_it_asks_where_to_at_no_storage_request(staff: Client) -> None:
    made = documents(3)
    page = act(staff, made[:2])
    assert "2 files of the selected rows will be moved:" in page.text
    assert "4\xa0bytes" in page.text
    assert "from default" in page.text
    assert [value for value, _ in page.context["form"].fields["target"].choices] == [
        "default",
        "second",
    ]
    assert there("second") == []


def test_the_chosen_rows_are_moved_and_no_others(staff: Client) -> None:
    made = documents(3)
    page = act(staff, made[:2], target="second")
    assert said(page) == [(messages.SUCCESS, "2 files were moved.")]
    assert there("second") == ["d0", "d1"]
    assert there("default") == ["d0", "d1", "d2"]
    backends = Document.objects.order_by("title").values_list("file__backend", flat=True)
    assert list(backends) == ["second", "second", "default"]


def test_sources_go_where_that_was_asked_for(staff: Client) -> None:
    made = documents(2)
    act(staff, made, target="second", delete_source="on")
    assert there("default") == []
    assert [one.file.get_content() for one in Document.objects.order_by("title")] == [b"d0", b"d1"]
    act(staff, made, target="default", delete_source="on")
    assert there("second") == []
    assert there("default") == ["d0", "d1"]


def keeps(alias: str) -> list[str]:
    return [Document.objects.order_by("pk")[0].file.filename]


def test_sources_in_use_stay(staff: Client, settings: Any) -> None:
    settings.DJANGO_FSSPEC_NAMES_IN_USE = [f"{__name__}.keeps"]
    page = act(staff, documents(2), target="second", delete_source="on")
    assert said(page) == [
        (messages.SUCCESS, "2 files were moved."),
        (messages.WARNING, "1 source file was kept: it is in use without a row."),
    ]
    assert there("default") == ["d0"]


def test_albums_with_files_on_several_storages_end_on_one(staff: Client) -> None:
    album = Album.objects.create(
        title="Both", photos=[ContentFile(emblem(), name="a.png"), ContentFile(emblem(), name="b")]
    )
    album.photos.append(FileObject("second", "c.png", content=emblem()))
    album.save()
    page = act(staff, [album], ALBUMS, target="second")
    assert said(page) == [(messages.SUCCESS, "2 files were moved.")]
    assert [photo.backend for photo in Album.objects.get().photos] == ["second"] * 3
    assert all(photo.get_content() == emblem() for photo in Album.objects.get().photos)


def test_what_fails_is_told_and_stays(staff: Client) -> None:
    made = documents(2)
    storages["default"].delete(made[0].file.name)
    page = act(staff, made, target="second", delete_source="on")
    (_, moved), (level, failed) = said(page)
    assert moved == "1 file was moved."
    assert level == messages.ERROR
    assert failed.startswith(f"{made[0].pk}: {made[0].file.name}: FileNotFoundError")
    assert Document.objects.get(pk=made[0].pk).file.backend == "default"
    assert there("second") == ["d1"]


def test_nothing_is_moved_to_where_it_is_or_to_no_storage(staff: Client) -> None:
    made = documents(1)
    page = act(staff, made, target="default")
    assert said(page) == [(messages.INFO, "0 files were moved.")]
    assert "Select a valid choice" in act(staff, made, target="staticfiles").text
    assert "Select a valid choice" in act(staff, made, target="nowhere").text
    assert there("default") == ["d0"]
    assert there("second") == []


def test_too_many_rows_are_for_the_command(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(move_action, "MOST", 2)
    page = act(staff, documents(3), target="second")
    assert said(page) == [
        (messages.ERROR, "Select at most 2 rows, or use manage.py migrate_files.")
    ]
    assert there("second") == []


def test_it_takes_the_permission_to_change(client: Client) -> None:
    made = documents(1)
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(permission("testproject", "view_document"))
    client.force_login(viewer)
    page = act(client, made, target="second")
    assert "move_files" not in page.text
    assert there("second") == []
    viewer.user_permissions.add(permission("testproject", "change_document"))
    act(client, made, target="second")
    assert there("second") == ["d0"]


def test_a_row_that_the_user_may_not_change_stops_it(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = documents(2)

    def may_change(self: Any, request: Any, obj: Any = None) -> bool:
        return obj is None or obj.pk != made[1].pk

    monkeypatch.setattr(DocumentAdmin, "has_change_permission", may_change)
    assert act(staff, made, target="second").status_code == 403
    assert there("second") == []
    assert said(act(staff, made[:1], target="second")) == [(messages.SUCCESS, "1 file was moved.")]


def test_a_read_only_storage_is_no_target(staff: Client, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    archive = {"fs": "zip", "fs_options": {"fo": str(tmp_path / "a.zip")}}
    with override_storage(default=PLACES["memory"](), second=archive):
        page = act(staff, documents(1), target="second")
        assert said(page) == [(messages.ERROR, "--to second: this storage is read-only.")]
        assert there("default") == ["d0"]


def test_a_row_that_changed_meanwhile_keeps_its_file(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = documents(2)

    def meanwhile(*args: Any) -> Any:
        # after the files were copied, somebody replaces that of a row
        Document.objects.filter(pk=made[0].pk).update(file=made[1].file)
        return swap(*args)

    monkeypatch.setattr("django_fsspec.transfer.engine.swap", meanwhile)
    page = act(staff, made, target="second")
    assert said(page) == [
        (messages.SUCCESS, "1 file was moved."),
        (messages.WARNING, "1 file was not moved: its row was changed meanwhile."),
    ]
    assert there("second") == ["d1"]


def test_ten_failures_are_shown_and_the_others_counted(staff: Client) -> None:
    made = documents(12)
    for document in made:
        storages["default"].delete(document.file.name)
    texts = [text for _, text in said(act(staff, made, target="second"))]
    assert len(texts) == 12
    assert texts[0] == "0 files were moved."
    assert texts[-1] == "… and 2 more files failed"
