"""The pages of documents, one file a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from testproject.models import Album, Document
from tests.demo.visit import document, held, picture, send, shown, silent

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries, Settings


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
            {"file": SimpleUploadedFile("a.fsspec-part", b"1")},
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
