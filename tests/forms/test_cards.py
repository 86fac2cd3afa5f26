"""What the widget shows of the files that a row has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django import forms
from django.contrib.staticfiles import finders
from django.core.files.base import ContentFile
from django.utils import translation
from django.utils.datastructures import MultiValueDict

from django_fsspec.core.names import BIDI
from django_fsspec.forms import StoredObjectFormField, cards
from django_fsspec.forms.cards import Card, icon_of, key_of, shown_name
from django_fsspec.forms.widgets import TEXTS
from django_fsspec.uploads.start import MAX_NAME
from django_fsspec.widgets import StoredObjectInput
from testproject.browser import Page
from tests.demo.visit import silent
from tests.forms.submissions import HTML, catalogue, form_of, upload
from tests.helpers.samples import png
from tests.library.models import Paper, Photo, Record, Shelf

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory")]


class TestCards:
    def test_shows_what_is_stored(self) -> None:
        paper = Paper.objects.create(file=ContentFile(b"12345", name="Grüße & <b>.txt"))
        html = str(form_of(Paper, instance=paper)["file"])
        assert "Grüße &amp; &lt;b&gt;.txt" in html
        assert "<b>" not in html
        assert "5\xa0bytes" in html
        assert "text/plain" in html
        assert "default" in html
        assert html.count('href="/files/file/') == 3
        assert 'name="file-clear"' in html

    def test_a_picture_is_shown_small(self) -> None:
        photo = Photo.objects.create(image=ContentFile(png(4, 3), name="a.png"))
        html = str(form_of(Photo, instance=photo)["image"])
        assert 'loading="lazy"' in html
        assert 'width="4" height="3"' in html
        assert 'accept="image/*"' in html

    def test_a_picture_that_can_run_something_is_not(self) -> None:
        file = Paper.objects.create(file=ContentFile(b"<svg/>", name="a.svg")).file
        assert Card.of(file).thumbnail == ""
        assert Card.of(file).icon == "image"

    def test_a_required_file_has_no_way_to_clear_it(self) -> None:
        photo = Photo.objects.create(image=ContentFile(png(4, 3), name="a.png"))
        assert "image-clear" not in str(form_of(Photo, instance=photo)["image"])

    def test_costs_no_request(self, settings: Settings) -> None:
        shelf = Shelf.objects.create(
            files=[ContentFile(b"1", name=f"{number}.png") for number in range(20)]
        )
        settings.STORAGES = {**settings.STORAGES, "default": silent()}
        html = str(form_of(Shelf, instance=Shelf.objects.get(pk=shelf.pk))["files"])
        assert html.count("<img ") == 20

    def test_a_storage_that_is_gone_has_no_links(self, settings: Settings) -> None:
        paper = Paper.objects.create(file=ContentFile(b"1", name="a.txt"))
        settings.STORAGES = {k: v for k, v in settings.STORAGES.items() if k != "default"}
        html = str(form_of(Paper, instance=Paper.objects.get(pk=paper.pk))["file"])
        assert "a.txt" in html
        assert "href" not in html

    def test_nothing_that_a_strict_policy_forbids(self) -> None:
        paper = Paper.objects.create(file=ContentFile(b"1", name="a.txt"))
        form = form_of(Paper, instance=paper)
        page = Page(f"{form.media}{form}")
        assert page.inline == []
        assert page.assets == [
            "/static/django_fsspec/stored-object.css",
            "/static/django_fsspec/stored-object.js",
        ]
        assert 'type="module"' in str(form.media)

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("\u202egnp.exe", "\ufffdgnp.exe"),
            ("a\x00b\x1f\x9f", "a\ufffdb\ufffd\ufffd"),
            ("\u2066a\u2069.txt", "\ufffda\ufffd.txt"),
            ("שלום.txt", "שלום.txt"),
        ],
    )
    def test_no_name_looks_like_another(self, name: str, shown: str) -> None:
        assert shown_name(name) == shown

    @pytest.mark.parametrize(
        ("kind", "icon"),
        [
            ("image/png", "image"),
            ("audio/ogg", "audio"),
            ("video/mp4", "video"),
            ("application/zip", "archive"),
            ("application/x-tar", "archive"),
            ("application/pdf", "text"),
            ("text/csv", "text"),
            ("application/octet-stream", "file"),
            ("", "file"),
        ],
    )
    def test_icons(self, kind: str, icon: str) -> None:
        assert icon_of(kind) == icon

    def test_the_script_shows_new_files_as_the_server_shows_stored_ones(self) -> None:
        script, widget = (
            Path(finders.find(f"django_fsspec/{name}") or "").read_text()
            for name in ("new-card.js", "stored-object.js")
        )
        for icon, pattern in cards._ICONS:
            escaped = pattern.pattern.replace("/", r"\/")
            assert f'["{icon}", /^(?:{escaped})/],' in script
        for characters in (BIDI, cards._UNSEEN):
            assert f"= /{characters.pattern}/g;" in script.replace(r"\u00", r"\x")
        assert f"const LONGEST_NAME = {MAX_NAME};" in widget

    def test_where_to_drop_a_file_that_replaces_another(self) -> None:
        paper = Paper.objects.create(file=ContentFile(b"1", name="a.txt"))
        assert "Drop a file here to replace this one" in str(
            form_of(Paper, instance=paper)["file"]
        )
        assert "replace" not in str(form_of(Paper, instance=Paper())["file"])
        shelf = Shelf.objects.create(files=[ContentFile(b"1", name="a.txt")])
        assert "to replace" not in str(form_of(Shelf, instance=shelf)["files"])

    def test_the_key_of_a_file_says_nothing_of_its_path(self) -> None:
        file = Paper.objects.create(file=ContentFile(b"1", name="secret.txt")).file
        assert re.fullmatch(r"[0-9a-f]{32}", key_of(file))

    def test_every_text_is_translated(self, settings: Settings, tmp_path: Path) -> None:
        texts = [*TEXTS.values(), "Drop a file here, or choose one", "Upload", "Remove"]
        folder = tmp_path / "eo" / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "django.mo").write_bytes(catalogue({text: f"[eo] {text}" for text in texts}))
        settings.LOCALE_PATHS = [tmp_path]
        with translation.override("eo"):
            html = StoredObjectInput().render("file", None, {"id": "id_file"})
        for text in texts:
            assert html.count(f"[eo] {text}") == html.count(text) > 0, text

    def test_in_a_form_without_a_model(self) -> None:
        class Form(forms.Form):
            file = StoredObjectFormField(max_size=3, content_types=["text/*"])

        form = Form()
        html = str(form["file"])
        assert 'data-max-size="3"' in html
        assert 'data-types="text/*"' in html
        sent = Form({}, MultiValueDict({"file": [upload(data=b"1234")]}))
        assert [error.code for error in sent.errors.as_data()["file"]] == ["max_size"]
        sent = Form({}, MultiValueDict({"file": [upload("a.txt", b"123")]}))
        assert sent.is_valid(), sent.errors
        assert sent.cleaned_data["file"].read() == b"123"


class TestNames:
    def codes(self, model: type[Any], name: str, data: bytes = b"1") -> list[str | None]:
        form = form_of(model, {"title": "t"}, upload(name, data))
        field = "image" if model is Photo else "file"
        return [error.code for error in form.errors.as_data().get(field, [])]

    @pytest.mark.parametrize("name", ["%%%", "a.fsspec-part"])
    def test_of_which_no_path_can_be_made(self, name: str) -> None:
        assert self.codes(Paper, name) == ["invalid_name"]

    @pytest.mark.parametrize(
        ("name", "path"),
        [("a::b", r"papers/ab_\w{7}"), ("x?versionId=1.txt", r"papers/xversionId1_\w{7}\.txt")],
    )
    def test_of_which_one_can(self, name: str, path: str) -> None:
        form = form_of(Paper, {"title": "t"}, upload(name))
        assert form.is_valid(), form.errors
        assert re.fullmatch(path, form.save().file.name)

    def test_percent_signs_where_the_row_names_the_file(self) -> None:
        form = form_of(Record, {"tenant": "default"}, upload("%%%"))
        assert [error.code for error in form.errors.as_data()["file"]] == ["invalid_name"]

    @pytest.mark.parametrize("name", ["\u202egnp.exe", "a\u2066b.txt", "\u200fa.txt"])
    def test_that_hides_what_it_is(self, name: str) -> None:
        assert self.codes(Paper, name) == ["deceptive_name"]
        assert "\u202e" not in str(form_of(Paper, {}, upload(name)))

    @pytest.mark.parametrize("name", ["<script>alert(1)</script>.txt", '"><img onerror=x>.txt'])
    def test_that_is_markup(self, name: str) -> None:
        form = form_of(Paper, {"title": "t"}, upload(name))
        assert form.is_valid(), form.errors
        paper = form.save()
        html = str(form_of(Paper, instance=Paper.objects.get(pk=paper.pk)))
        assert "<script>" not in html
        assert "<img onerror" not in html

    def test_of_300_characters(self) -> None:
        form = form_of(Paper, {"title": "t"}, upload("n" * 300 + ".txt"))
        assert form.is_valid(), form.errors
        assert len(form.save().file.name) <= 255

    def test_longer_than_a_disk_takes(self, settings: Settings, tmp_path: Any) -> None:
        local = {
            "BACKEND": "django_fsspec.storage.FSSpecStorage",
            "OPTIONS": {"fs": "file", "prefix": str(tmp_path)},
        }
        settings.STORAGES = {**settings.STORAGES, "default": local}
        form = form_of(Paper, {"title": "t"}, upload("漢" * 90 + ".txt"))
        assert form.is_valid(), form.errors
        file = form.save().file
        assert file.name.endswith(".txt")
        assert (tmp_path / file.name).read_bytes() == b"uploaded"

    def test_one_fault_is_one_message(self) -> None:
        assert self.codes(Photo, "a.png", HTML) == ["misnamed"]
        assert self.codes(Photo, "a.txt", b"text") == ["content_type"]
        assert self.codes(Photo, "a.png", png(9, 9)[:40]) == ["invalid_image"]
