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

from django_fsspec.retention import FOLDER
from testproject import figures, measuring, seed
from testproject.browser import Page
from testproject.library import ALBUMS, DOCUMENTS
from testproject.models import Album, Document
from testproject.placing import placed
from testproject.samples import RECORDING, RECORDING_SIZE, samples
from tests.servers import SeaweedS3, closed_port
from tests.soak import grounds
from tests.support import started
from tests.test_filefield import png

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import DjangoAssertNumQueries, Settings

ROOT = Path(__file__).resolve().parent.parent
STEPS = [
    "an S3 server (SeaweedFS) answers",
    "the database is migrated",
    "sample documents and albums, on both",
    "the web server answers",
    "the page opens, with its style and script",
    "Local disk to S3: a copy has the same bytes",
    "an upload without CSRF token is refused",
    "Local disk, albums: the second of two can't be stored, so none is",
    "overview: opens, at no storage request",
    "overview: the totals are what was uploaded",
    "admin: the printed login works",
    "admin: documents and albums are listed, sorted and searched",
    "admin: a document is moved to S3, its file on the disk is gone",
    "migrate_files: the documents on the disk go to S3, verified",
    "migrate_files: the reverse command brings them back",
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
STEPS_OF_DOCUMENTS = [
    "the samples are listed, at no request",
    "two are uploaded and listed",
    "one goes there past the form",
    "found by title, by original name, by type",
    "a download has the same bytes and its own name",
    "of one that is replaced, the old object is gone",
    "7 hostile uploads are refused",
    "an exception in a transaction leaves nothing",
    "they are deleted, their objects are gone",
]
STEPS_OF_ALBUMS = [
    "one is made of 3 pictures",
    "another picture is added, all are shown, at no request",
    "pictures are moved to the left and the right",
    "one is removed, its object is gone",
    "HTML named .png is refused, and what came with it",
    "the album is deleted, all its objects are gone",
]


def run_demo(var: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = ("DEMO_S3", "DJANGO_FSSPEC_DATABASE", "DJANGO_SETTINGS_MODULE")
    kept = {k: v for k, v in os.environ.items() if k not in ours}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "demo", *arguments],
        env={**kept, "PYTHONIOENCODING": "utf-8", "DJANGO_FSSPEC_VAR": str(var), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=240,
    )


@pytest.mark.timeout(300)
def test_the_demo_works_from_one_end_to_the_other(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--once")
    assert done.returncode == 0, done.stdout
    ticks = [line.split("✓ ")[1] for line in done.stdout.splitlines() if "✓" in line]
    parts = {"": STEPS_OF_EACH, ", documents": STEPS_OF_DOCUMENTS, ", albums": STEPS_OF_ALBUMS}
    each = [
        f"{title}{part}: {step}"
        for title in ("Local disk", "S3")
        for part, steps in parts.items()
        for step in steps
    ]
    assert sorted(tick.rpartition("  ")[0].strip() for tick in ticks) == sorted(STEPS + each)
    assert all(tick.endswith(" s") for tick in ticks)
    files = {path for path in (tmp_path / "media").rglob("*") if path.is_file()}
    # uploads of forms that were refused for something else wait for their next try
    files -= set((tmp_path / "media" / FOLDER).iterdir())
    rows = [sample for sample in DOCUMENTS if sample.alias == "default"]
    photos = [name for sample in ALBUMS if sample.alias == "default" for name in sample.photos]
    assert len(files) == len(samples()) + len(rows) + len(photos)


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
def two_storages(settings: Settings, tmp_path: Path, db: None) -> None:
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


def silent() -> dict[str, Any]:
    """Return an alias whose server does not answer."""
    options = {
        "fs": "s3",
        "prefix": "bucket",
        "fs_options": {
            "key": "k",
            "secret": "hush-hush",
            "endpoint_url": f"http://127.0.0.1:{closed_port()}",
            "client_kwargs": {"region_name": "us-east-1"},
        },
        "retries": 0,
    }
    return {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}


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
        settings.STORAGES = {**settings.STORAGES, "s3": silent()}
        response = browser.get("/?storage=s3")
        assert response.status_code == 503
        assert "did not answer" in shown(response).errors[0]
        assert b"hush-hush" not in response.content


PAGES = ["/", "/documents/", "/albums/", "/overview/"]
HTML = b"<!doctype html><script>alert(1)</script>"


def document(title: str, alias: str = "default", name: str = "a.txt", data: bytes = b"1") -> Any:
    made = Document(title=title)
    made.file = placed(made, "file", alias, ContentFile(data, name=name))
    return made


def send(browser: Client, path: str, **fields: Any) -> Any:
    return browser.post(path, {"storage": "default", **fields}, follow=True)


def picture(name: str = "a.png", data: bytes | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, png(4, 3) if data is None else data, "image/png")


def held(*folders: str) -> set[str]:
    """Return the names of the objects below folders of both storages."""
    names: set[str] = set()
    for alias in ("default", "s3"):
        for folder in folders:
            try:
                names |= {stat.name for stat in storages[alias].walk(folder)}  # type: ignore[attr-defined]
            except FileNotFoundError:
                continue
    return names


@pytest.mark.django_db
class TestPages:
    @pytest.mark.parametrize("path", PAGES)
    def test_one_navigation_nothing_inline_a_strict_policy(
        self, browser: Client, path: str
    ) -> None:
        seed.seed_rows()
        response = browser.get(path)
        page = shown(response)
        assert page.inline == []
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert all(f'href="{other}"' in response.content.decode() for other in PAGES)
        assert f'href="{path}" aria-current="page"' in response.content.decode()

    @pytest.mark.parametrize(
        "path", ["/documents/7/delete/", "/albums/7/delete/", "/albums/7/arrange/"]
    )
    def test_buttons_take_no_get_and_need_a_token(self, browser: Client, path: str) -> None:
        assert browser.get(path).status_code == 405
        assert browser.post(path).status_code == 404
        assert Client(enforce_csrf_checks=True).post(path).status_code == 403

    @pytest.mark.parametrize("path", ["/documents/7/", "/albums/7/", f"/albums/{10**30}/"])
    def test_what_is_not_there(self, browser: Client, path: str) -> None:
        assert browser.get(path).status_code == 404
        assert browser.post(path).status_code == 404

    @pytest.mark.parametrize("page", ["0", "-1", "x", "999999999999999999999", "٣", "²"])
    def test_a_page_that_is_none(self, browser: Client, page: str) -> None:
        assert browser.get("/documents/", {"page": page}).status_code == 200


@pytest.mark.django_db
class TestDocuments:
    def test_a_page_of_40_costs_one_query(
        self, browser: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for rows, shows in ((1, 1), (45, 40)):
            made = [document(f"{n:02}", ("default", "s3")[n % 2]) for n in range(rows)]
            Document.objects.all().delete()
            Document.objects.bulk_create(made)
            with django_assert_num_queries(1):
                page = shown(browser.get("/documents/"))
            assert len(page.all("document")) == shows
            assert page.cost["data-queries"] == "1"
        assert [one["title"] for one in page.all("document")][:2] == ["44", "43"]
        more = browser.get("/documents/?page=2")
        assert len(shown(more).all("document")) == 5
        assert 'rel="prev"' in more.content.decode()
        assert 'rel="next"' not in more.content.decode()

    @pytest.mark.parametrize("alias", ["default", "s3"])
    def test_an_upload_goes_to_the_storage_of_choice(self, browser: Client, alias: str) -> None:
        upload = SimpleUploadedFile("Grüße, 1.txt", b"123", "text/plain")
        response = browser.post("/documents/", {"storage": alias, "file": upload})
        assert response.status_code == 302
        row = Document.objects.get()
        assert (row.title, row.file.original_name) == ("Grüße, 1.txt", "Grüße, 1.txt")
        assert (row.file.backend, row.file.get_content()) == (alias, b"123")
        assert row.file.name.startswith("documents/")
        item = shown(browser.get("/documents/")).all("document")[0]
        assert (item["backend"], item["size"], item["type"]) == (alias, "3", "text/plain")
        if "/files/" in item.links["download"]:
            answer: Any = browser.get(item.links["download"])
            assert b"".join(answer.streaming_content) == b"123"
            told = answer.headers["Content-Disposition"]
            assert told == "attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe%2C%201.txt"

    def test_search(self, browser: Client) -> None:
        names = {"Tides": "figures.csv", "100 % true": "Grüße_1.TXT", "<b>&amp;": "x'y.pdf"}
        Document.objects.bulk_create(document(title, name=name) for title, name in names.items())
        for words, found in (
            ("tide", {"Tides"}),
            ("FIGURES", {"Tides"}),
            ("grüße_", {"100 % true"}),
            ("0 %", {"100 % true"}),
            ("%", {"100 % true"}),
            ("_", {"100 % true"}),
            ("text/", {"Tides", "100 % true"}),
            ("<b>", {"<b>&amp;"}),
            ("'", {"<b>&amp;"}),
            ("csv\x00", {"Tides"}),
            ("\\", set()),
            ("pdf' OR 1=1 --", set()),
            (" ", set(names)),
        ):
            page = shown(browser.get("/documents/", {"q": words}))
            assert {one["title"] for one in page.all("document")} == found, words
            assert page.cost["data-queries"] == "1"

    def test_titles_and_names_are_shown_as_text(self, browser: Client) -> None:
        send(browser, "/documents/", title="<b>\"'&amp;", file=SimpleUploadedFile("<i>.txt", b"1"))
        response = browser.get("/documents/")
        item = shown(response).all("document")[0]
        assert (item["title"], item["original"]) == ("<b>\"'&amp;", "<i>.txt")
        assert b"<b>" not in response.content
        assert b"<i>" not in response.content

    def test_a_file_of_a_document_is_not_deleted_beside_it(self, browser: Client) -> None:
        send(browser, "/documents/", title="Mine", file=SimpleUploadedFile("a.txt", b"1"))
        send(browser, "/albums/", title="Ours", photos=[picture()])
        for name, owner in (
            (Document.objects.get().file.name, "document Mine"),
            (Album.objects.get().photos[0].name, "album Ours"),
        ):
            response = browser.post("/delete/", {"storage": "default", "name": name}, follow=True)
            assert shown(response).errors == [f"{name} belongs to the {owner}: delete it there."]
            assert storages["default"].exists(name)
            storages["s3"].save(name, ContentFile(b"nobody's"))
            browser.post("/delete/", {"storage": "s3", "name": name})
            assert not storages["s3"].exists(name)

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"file": ""},
            {"file": '{"filename": "/etc/passwd", "backend": "default"}'},
            {"file": SimpleUploadedFile("empty.txt", b"")},
            {"file": SimpleUploadedFile("%%%", b"1")},
            {"file": SimpleUploadedFile("漢" * 90 + ".txt", b"1")},
            {"file": SimpleUploadedFile("a.txt", b"1"), "storage": "staticfiles"},
            {"file": SimpleUploadedFile("a.txt", b"1"), "storage": "none"},
            {"file": SimpleUploadedFile("a.txt", b"1"), "title": "t" * 101},
        ],
    )
    def test_hostile_input(self, browser: Client, fields: dict[str, Any]) -> None:
        for path in ("/documents/", "/documents/1/"):
            for given in fields.values():
                if isinstance(given, SimpleUploadedFile):
                    given.seek(0)
            if path == "/documents/1/":
                Document.objects.bulk_create([Document(pk=1, title="1", file=document("").file)])
                if not any(isinstance(given, SimpleUploadedFile) for given in fields.values()):
                    continue  # it keeps the file it has
            before = held("documents")
            response = send(browser, path, **fields)
            assert response.status_code == 400
            assert shown(response).errors
            assert held("documents") == before

    def test_path_backend_and_metadata_are_not_the_clients(self, browser: Client) -> None:
        upload = SimpleUploadedFile("../../up.txt", b"1", "text/html")
        send(browser, "/documents/", file=upload, backend="s3", filename="/x", metadata="{}")
        file = Document.objects.get().file
        assert (file.backend, file.original_name) == ("default", "up.txt")
        assert file.name.startswith("documents/")
        assert file.content_type == "text/plain"

    def test_a_row_whose_storage_is_gone_is_listed_without_links(
        self, browser: Client, settings: Settings
    ) -> None:
        document("Left", "s3", "a.png").save()
        settings.STORAGES = {k: v for k, v in settings.STORAGES.items() if k != "s3"}
        item = shown(browser.get("/documents/")).all("document")[0]
        assert item["title"] == "Left"
        assert "name" not in item.links

    def test_a_storage_that_does_not_answer(self, browser: Client, settings: Settings) -> None:
        settings.STORAGES = {**settings.STORAGES, "s3": silent()}
        file = SimpleUploadedFile("a.txt", b"1")
        response = send(browser, "/documents/", storage="s3", file=file)
        assert response.status_code == 400
        assert "Nothing was stored" in shown(response).errors[0]
        assert b"hush-hush" not in response.content
        assert not Document.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestObjectsGoWithRows:
    @pytest.mark.parametrize("alias", ["default", "s3"])
    def test_replaced_then_deleted(self, browser: Client, alias: str) -> None:
        document("One", alias).save()
        row = Document.objects.get()
        upload = SimpleUploadedFile("b.csv", b"1,2")
        send(browser, f"/documents/{row.pk}/", title="", storage="s3", file=upload)
        assert not row.file.exists()
        row.refresh_from_db()
        assert (row.title, row.file.backend, row.file.get_content()) == ("b.csv", "s3", b"1,2")
        assert held("documents") == {row.file.name}
        assert shown(send(browser, f"/documents/{row.pk}/delete/")).messages
        assert held("documents") == set()

    def test_another_title_keeps_the_file(self, browser: Client) -> None:
        document("One", "s3").save()
        row = Document.objects.get()
        send(browser, f"/documents/{row.pk}/", title="Two")
        assert Document.objects.get(title="Two").file == row.file
        assert row.file.exists()

    def test_album(self, browser: Client) -> None:
        send(browser, "/albums/", title="A", photos=[picture(f"{n}.png") for n in range(3)])
        album = Album.objects.get()
        names = [photo.name for photo in album.photos]
        send(browser, f"/albums/{album.pk}/", storage="s3", photos=[picture("3.png")])
        album.refresh_from_db()
        assert [photo.backend for photo in album.photos] == ["default"] * 3 + ["s3"]
        for number, move, order in ((0, "right", "1023"), (3, "left", "1032"), (1, "out", "132")):
            photo = Album.objects.get().photos[number].name
            response = browser.post(f"/albums/{album.pk}/arrange/", {"photo": photo, "move": move})
            album.refresh_from_db()
            assert "".join(one.original_name[0] for one in album.photos) == order
        assert response.headers["Location"] == f"/albums/{album.pk}/#photo-2"
        assert names[0] not in held("albums")
        assert len(held("albums")) == 3
        send(browser, f"/albums/{album.pk}/delete/")
        assert held("albums") == set()


@pytest.mark.django_db
class TestAlbums:
    def test_costs_one_query(
        self, browser: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for _ in range(3):
            send(browser, "/albums/", title="A", photos=[picture(f"{n}.png") for n in range(4)])
        with django_assert_num_queries(1):
            page = shown(browser.get("/albums/"))
        assert [one["photos"] for one in page.all("album")] == ["4"] * 3
        with django_assert_num_queries(1):
            page = shown(browser.get(f"/albums/{page.all('album')[0]['pk']}/"))
        for photo in page.all("photo"):
            shape = {key: photo.pictures[0][key] for key in ("width", "height", "loading")}
            assert shape == {"width": "4", "height": "3", "loading": "lazy"}

    @pytest.mark.parametrize(
        ("name", "data", "said"),
        [
            ("evil.png", HTML, "evil.png"),
            ("evil.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image"),
            ("a.txt", b"text", "text/plain"),
            ("cut.png", png(30, 30)[:60], "image"),
            ("empty.png", b"", "empty"),
            ("漢" * 90 + ".png", png(2, 2), "Nothing was stored"),
        ],
    )
    def test_what_is_refused_is_refused_with_all_that_came_along(
        self, browser: Client, name: str, data: bytes, said: str
    ) -> None:
        album = Album.objects.create(title="A", photos=[picture("kept.png")])
        before = held("albums")
        for path in ("/albums/", f"/albums/{album.pk}/"):
            photos = [picture("good.png"), picture(name, data)]
            response = send(browser, path, title="B", photos=photos)
            assert response.status_code == 400
            assert any(said in error for error in shown(response).errors), shown(response).errors
        assert held("albums") == before
        assert [photo.original_name for photo in Album.objects.get().photos] == ["kept.png"]

    def test_nothing_to_add(self, browser: Client) -> None:
        album = Album.objects.create(title="A", photos=[picture()])
        response = send(browser, f"/albums/{album.pk}/")
        assert response.status_code == 400
        assert shown(response).errors == ["Choose at least one picture."]
        assert len(Album.objects.get().photos) == 1

    def test_an_album_without_photos(self, browser: Client) -> None:
        send(browser, "/albums/", title="A")
        assert shown(browser.get("/albums/")).all("album", photos="0")
        assert browser.get(f"/albums/{Album.objects.get().pk}/").status_code == 200

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"photo": "a.png", "move": "left"},
            {"photo": "../../etc/passwd", "move": "out"},
            {"photo": None, "move": "up"},
            {"photo": None},
        ],
    )
    def test_hostile_arrangements(self, browser: Client, fields: dict[str, Any]) -> None:
        album = Album.objects.create(title="A", photos=[picture("a.png"), picture("b.png")])
        fields = {key: value or album.photos[0].name for key, value in fields.items()}
        assert shown(send(browser, f"/albums/{album.pk}/arrange/", **fields)).errors
        assert Album.objects.get().photos == album.photos
        assert len(held("albums")) == 2


@pytest.mark.django_db
class TestOverview:
    def test_figures(
        self, browser: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        sizes = range(1000, 13_000, 1000)
        Document.objects.bulk_create(
            document(
                f"{size}", ("default", "s3")[n % 2], ("a.txt", "b.png")[n % 3 == 0], bytes(size)
            )
            for n, size in enumerate(sizes)
        )
        Album.objects.create(title="A", photos=[picture(), picture()])
        with django_assert_num_queries(6):
            page = shown(browser.get("/overview/"))
        numbers = {one["label"]: one["value"] for one in page.all("figure")}
        assert numbers == {
            "Documents": "12",
            "Bytes in documents": "78000",
            "Photos in albums": "2",
        }
        bars = {
            (one["label"], one["files"], one["bytes"])
            for one in page.all("bar")
            if "data-files" in one.data
        }
        assert bars == {
            ("text/plain", "8", "56000"),
            ("image/png", "4", "22000"),
            ("Local disk", "6", "36000"),
            ("S3", "6", "42000"),
        }
        largest = [one["label"] for one in page.all("bar", chart="The 10 largest")]
        assert largest == [str(size) for size in reversed(sizes)][:10]

    def test_of_nothing(self, browser: Client) -> None:
        page = shown(browser.get("/overview/"))
        assert [one["value"] for one in page.all("figure")] == ["0", "0", "0"]
        assert page.all("bar") == []

    def test_the_code_shown_is_the_code_that_runs(self) -> None:
        assert figures.code_of(figures.largest) == 'Document.objects.order_by("-file__size")[:10]'
        assert figures.code_of(figures.by_storage).splitlines()[:2] == [
            'Document.objects.values(label=F("file__backend"))',
            '    .annotate(files=Count("pk"), bytes=Sum("file__size"))',
        ]


@pytest.mark.django_db
class TestSeeds:
    def test_made_once_and_anew_where_files_went(self, two_storages: None) -> None:
        seed.seed_rows()
        rows = set(Document.objects.values_list("pk", flat=True))
        albums = set(Album.objects.values_list("pk", flat=True))
        assert (len(rows), len(albums)) == (len(DOCUMENTS), len(ALBUMS))
        before = held("documents", "albums")
        seed.seed_rows()
        assert set(Document.objects.values_list("pk", flat=True)) == rows
        assert set(Album.objects.values_list("pk", flat=True)) == albums
        assert held("documents", "albums") == before
        for name in (before := held("documents", "albums")):
            storages["s3"].delete(name)
        seed.seed_rows()
        kept = set(Document.objects.values_list("pk", flat=True)) & rows
        assert len(kept) == sum(sample.alias == "default" for sample in DOCUMENTS)
        assert (Document.objects.count(), Album.objects.count()) == (len(rows), len(albums))
        assert held("documents", "albums") == before


@pytest.mark.django_db
class TestAdmin:
    @pytest.mark.parametrize("model", ["document", "album"])
    def test_a_list_asks_no_storage_and_no_row_twice(
        self, admin_client: Client, settings: Settings, model: str, two_storages: None
    ) -> None:
        seed.seed_rows()
        # where any request would be an error
        settings.STORAGES = {**settings.STORAGES, "default": silent(), "s3": silent()}
        with measuring.counted() as cost:
            response = admin_client.get(f"/admin/testproject/{model}/")
        assert response.status_code == 200
        assert cost.requests == 0
        few = cost.queries
        # by their JSON: a row that is copied gets a copy of its file, which is a request
        for document in list(Document.objects.all()) * 5:
            Document.objects.create(title=document.title, file=document.file.to_dict())
        for album in list(Album.objects.all()) * 5:
            photos = [photo.to_dict() for photo in album.photos]
            Album.objects.create(title=album.title, photos=photos)
        with measuring.counted() as cost:
            response = admin_client.get(f"/admin/testproject/{model}/?o=2")
        assert response.status_code == 200
        assert (cost.requests, cost.queries) == (0, few)


@pytest.fixture(scope="module")
def seaweed() -> Iterator[SeaweedS3]:
    with started(SeaweedS3) as server:
        yield server


@pytest.mark.django_db
class TestMeasuring:
    def test_requests_are_counted_by_who_makes_them(
        self, browser: Client, settings: Settings, seaweed: SeaweedS3
    ) -> None:
        options = grounds.s3_options(seaweed, grounds.folder("demo"))
        backend = "django_fsspec.storage.FSSpecStorage"
        settings.STORAGES = {**settings.STORAGES, "s3": {"BACKEND": backend, "OPTIONS": options}}
        upload(browser, "a.txt", storage="s3")
        upload(browser, "b.txt", storage="s3")
        Document.objects.bulk_create(document(str(n), "s3") for n in range(3))
        costs = {
            path: shown(browser.get(path)).cost["data-requests"]
            for path in ("/?storage=s3", "/", "/documents/", "/albums/", "/overview/")
        }
        # one list, a look at each of two files
        assert costs.pop("/?storage=s3") == "3"
        assert set(costs.values()) == {"0"}
        with measuring.counted() as cost:
            Document.objects.bulk_create(document(str(n), "s3", f"{n}.txt") for n in range(3))
        assert cost.requests == 3
