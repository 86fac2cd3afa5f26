"""The demo: used from one end to the other, and its page given what it has to refuse."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from testproject.browser import Page
from testproject.samples import RECORDING, RECORDING_SIZE, samples
from tests.servers import closed_port

if TYPE_CHECKING:
    from pytest_django import Settings

ROOT = Path(__file__).resolve().parent.parent
STEPS = [
    "an S3 server (SeaweedFS) answers",
    "the database is migrated",
    "the web server answers",
    "the page opens, with its style and script",
    "Local disk to S3: a copy has the same bytes",
    "an upload without CSRF token is refused",
    "admin: the printed login works",
]
STEPS_OF_EACH = [
    "sample files, one of 50 MB",
    "the samples are listed",
    "4 files are uploaded",
    "they are listed with size and type",
    "their URLs give the same bytes",
    "a second file of one name becomes a second file",
    "a range out of the middle of 50 MB",
    "10 hostile names are refused",
    "what is missing is told kindly",
    "files are deleted, their URLs are dead",
]


def run_demo(var: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("DEMO_S3", "DJANGO_FSSPEC_DATABASE")}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "demo", *arguments],
        env={**kept, "PYTHONIOENCODING": "utf-8", "DJANGO_FSSPEC_VAR": str(var), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=110,
    )


def test_the_demo_works_from_one_end_to_the_other(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--once")
    assert done.returncode == 0, done.stdout
    ticks = [line.split("✓ ")[1] for line in done.stdout.splitlines() if "✓" in line]
    each = [f"{title}: {step}" for title in ("Local disk", "S3") for step in STEPS_OF_EACH]
    assert sorted(tick.rpartition("  ")[0].strip() for tick in ticks) == sorted(STEPS + each)
    assert all(tick.endswith(" s") for tick in ticks)
    left = {path.name for path in (tmp_path / "media").iterdir()}
    assert left == {sample.name.partition("/")[0] for sample in samples()}


def test_a_failed_step_is_named_and_ends_in_1(tmp_path: Path) -> None:
    nowhere = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{closed_port()}"}
    done = run_demo(tmp_path, "--once", DEMO_S3=json.dumps(nowhere))
    assert done.returncode == 1
    assert "✗ S3: sample files" in done.stdout
    assert "Failed: S3: sample files" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_demo(tmp_path, "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stdout
    assert "✓" not in done.stdout


def test_samples_are_as_large_as_they_say() -> None:
    for sample in samples():
        assert sum(map(len, sample.pieces())) == sample.size
    large = next(sample for sample in samples() if sample.name == RECORDING)
    whole = b"".join(large.pieces())
    assert large.part(1_000_000, 3_000_000) == whole[1_000_000:3_000_000]
    with wave.open(io.BytesIO(whole)) as recording:
        assert recording.getnframes() * recording.getsampwidth() == RECORDING_SIZE - 44


@pytest.fixture
def two_storages(settings: Settings, tmp_path: Path) -> None:
    def storage(**options: Any) -> dict[str, Any]:
        return {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}

    settings.STORAGES = {
        "default": storage(fs="file", prefix=str(tmp_path / "media")),
        "s3": storage(fs="memory", prefix=tmp_path.name),
        "staticfiles": settings.STORAGES["staticfiles"],
    }


@pytest.fixture
def browser(two_storages: None) -> Client:
    return Client()


def shown(response: Any) -> Page:
    return Page(response.content.decode())


def upload(browser: Client, name: str, folder: str = "", storage: str = "default") -> Any:
    fields = {"storage": storage, "folder": folder, "uploads": SimpleUploadedFile(name, b"x")}
    return browser.post("/", fields, follow=True)


def stored() -> list[str]:
    found = [storages[alias].listdir("") for alias in ("default", "s3")]
    return [name for folders, files in found for name in folders + files]


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
        options = {
            "fs": "s3",
            "prefix": "bucket",
            "fs_options": {
                "key": "k",
                "secret": "hush-hush",
                "endpoint_url": f"http://127.0.0.1:{closed_port()}",
            },
            "retries": 0,
        }
        backend = "django_fsspec.storage.FSSpecStorage"
        settings.STORAGES = {**settings.STORAGES, "s3": {"BACKEND": backend, "OPTIONS": options}}
        response = browser.get("/?storage=s3")
        assert response.status_code == 503
        assert "did not answer" in shown(response).errors[0]
        assert b"hush-hush" not in response.content
