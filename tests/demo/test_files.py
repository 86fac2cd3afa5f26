"""The page of files, given what it has to refuse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from django_fsspec import FileObject
from django_fsspec.forms.kept_uploads import FOLDER
from tests.demo.visit import shown, silent, stored, upload

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.mark.parametrize("storage", ["default", "s3"])
class TestRefusedNames:
    @pytest.mark.parametrize(
        "folder",
        ["..", "../x", "/etc", "~root", "a//b", "a/./b", "a\\b", "s3://b", "a\x00b", "a::b"],
    )
    def test_a_hostile_folder(self, browser: Client, storage: str, folder: str) -> None:
        response = upload(browser, "file.txt", folder, storage)
        assert response.status_code == 400
        assert shown(response).errors
        assert stored() == []

    @pytest.mark.parametrize("name", ["a?versionId=1", "a::b", "a.fsspec-part", "file:x"])
    def test_a_hostile_file_name(self, browser: Client, storage: str, name: str) -> None:
        response = upload(browser, name, "", storage)
        assert response.status_code == 400
        assert name in shown(response).errors[0]
        assert stored() == []

    def test_one_of_several_is_refused_and_the_others_are_stored(
        self, browser: Client, storage: str
    ) -> None:
        files = [SimpleUploadedFile(name, b"x") for name in ("good.txt", "a::b", "fine.txt")]
        response = browser.post("/", {"storage": storage, "uploads": files})
        page = shown(response)
        assert response.status_code == 400
        assert [*page.files] == ["fine.txt", "good.txt"]
        assert len(page.errors) == len(page.messages) == 1

    @pytest.mark.parametrize("button", ["delete", "copy"])
    @pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a\\b", ""])
    def test_a_button_pressed_for_a_hostile_name(
        self, browser: Client, storage: str, button: str, name: str
    ) -> None:
        fields = {"storage": storage, "name": name, "to": "default"}
        response = browser.post(f"/{button}/", fields, follow=True)
        assert shown(response).errors
        assert not shown(response).messages

    @pytest.mark.parametrize("folder", ["..", "../..", "/etc", "a//b", "a\x00b"])
    def test_a_listing_of_a_hostile_folder(
        self, browser: Client, storage: str, folder: str
    ) -> None:
        response = browser.get("/", {"storage": storage, "folder": folder})
        assert response.status_code == 400
        assert shown(response).errors


@pytest.mark.parametrize("storage", ["default", "s3"])
class TestMissing:
    def test_folder(self, browser: Client, storage: str) -> None:
        response = browser.get("/", {"storage": storage, "folder": "none"})
        assert response.status_code == 404
        assert shown(response).errors == ["There is no folder none here."]

    @pytest.mark.parametrize("button", ["delete", "copy"])
    def test_file(self, browser: Client, storage: str, button: str) -> None:
        fields = {"storage": storage, "name": "none.txt", "to": "default"}
        response = browser.post(f"/{button}/", fields, follow=True)
        assert "There is no file none.txt" in shown(response).errors[0]

    def test_no_file_chosen(self, browser: Client, storage: str) -> None:
        response = browser.post("/", {"storage": storage})
        assert response.status_code == 400
        assert shown(response).errors == ["This field is required."]


class TestPage:
    def test_an_unknown_storage_shows_the_first(self, browser: Client) -> None:
        assert browser.get("/?storage=none").context["listing"].alias == "default"
        assert upload(browser, "a.txt", storage="none").status_code == 400

    def test_names_are_shown_as_text(self, browser: Client) -> None:
        name = "\"'&amp;<b>é 🌍.txt"
        storages["default"].save(name, ContentFile(b"x"))
        response = browser.get("/")
        assert [*shown(response).files] == [name]
        assert b"<b>" not in response.content

    def test_uploads_of_forms_are_no_folder_among_files(self, browser: Client) -> None:
        FileObject("default", f"{FOLDER}/1", content=b"kept").save()
        FileObject("default", "mine/1", content=b"mine").save()
        folders = re.findall(r'folder=([^"&]*)', browser.get("/").content.decode())
        assert "mine" in folders
        assert "django_fsspec" not in folders

    def test_a_folder_goes_with_its_last_file(self, browser: Client) -> None:
        upload(browser, "one.txt", "a/b")
        response = browser.post(
            "/delete/", {"storage": "default", "name": "a/b/one.txt"}, follow=True
        )
        assert response.redirect_chain == [("/?storage=default", 302)]
        assert response.status_code == 200
        assert stored() == []

    def test_many_files_come_in_pages(self, browser: Client) -> None:
        for number in range(45):
            storages["default"].save(f"{number:02}.txt", ContentFile(b"x"))
        assert len(shown(browser.get("/")).files) == 40
        assert len(shown(browser.get("/?page=2")).files) == 5

    def test_buttons_take_no_get(self, browser: Client) -> None:
        assert browser.get("/delete/").status_code == 405
        assert browser.get("/copy/").status_code == 405

    def test_forms_need_a_csrf_token(self, two_storages: None) -> None:
        strict = Client(enforce_csrf_checks=True)
        assert strict.post("/").status_code == 403
        assert strict.post("/delete/").status_code == 403
        assert strict.post("/copy/").status_code == 403

    def test_a_storage_that_does_not_answer(self, browser: Client, settings: Settings) -> None:
        settings.STORAGES = {**settings.STORAGES, "s3": silent()}
        response = browser.get("/?storage=s3")
        assert response.status_code == 503
        assert "did not answer" in shown(response).errors[0]
        assert b"hush-hush" not in response.content
