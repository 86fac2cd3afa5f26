"""The widget and the form fields: what is shown, what is taken, what is kept, what is refused."""

from __future__ import annotations

import logging
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from django import forms
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.db import transaction
from django.forms import inlineformset_factory, modelform_factory
from django.http import QueryDict
from django.middleware.csrf import get_token
from django.test import RequestFactory
from django.utils import translation
from django.utils.datastructures import MultiValueDict

from django_fsspec import retention
from django_fsspec.cards import Card, icon_of, key_of, key_of_reference, shown_name
from django_fsspec.forms import StoredObjectFormField
from django_fsspec.selection import Selection
from django_fsspec.testing import override_storage
from django_fsspec.widgets import TEXTS, StoredObjectInput
from testproject.browser import Page
from tests.library.models import Box, Ledger, Paper, Photo, Record, Shelf
from tests.test_demo import silent
from tests.test_filefield import png

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    with override_storage("default", "second"):
        yield


@pytest.fixture
def token() -> str:
    return get_token(RequestFactory().get("/"))


def upload(name: str = "up.txt", data: bytes = b"uploaded") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "text/plain")


def form_of(
    model: type[Any],
    data: dict[str, Any] | None = None,
    *uploads: Any,
    instance: Any = None,
    **options: Any,
) -> Any:
    """Return the form of a model, sent with `data` and with uploads for its file field."""
    field = next(f.name for f in model._meta.fields if f.get_internal_type() == "JSONField")
    fields = [f.name for f in model._meta.fields if f.editable and not f.primary_key]
    made = modelform_factory(model, fields=fields, **options)
    if data is None:
        return made(instance=instance)
    sent = QueryDict(mutable=True)
    for key, value in data.items():
        sent.setlist(key, value if isinstance(value, list) else [value])
    files = MultiValueDict({field: list(uploads)} if uploads else {})
    return made(sent, files, instance=instance)


def catalogue(texts: dict[str, str]) -> bytes:
    """Return the file that gettext reads translations from (its manual, 10.3)."""
    pairs = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **texts}.items())
    before = [pair[0].encode() for pair in pairs]
    after = [pair[1].encode() for pair in pairs]
    at, tables = 28 + 16 * len(pairs), b""
    for text in [*before, *after]:
        tables += struct.pack("<II", len(text), at)
        at += len(text) + 1
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + tables + b"".join(text + b"\0" for text in [*before, *after])


def attributes(html: str, name: str) -> list[str]:
    """Return the values of the inputs whose name ends so."""
    found = re.findall(rf'<input[^>]*name="[^"]*{name}"[^>]*>', html)
    return [value for tag in found for value in re.findall(r'value="([^"]*)"', tag)]


def kept() -> set[str]:
    """Return what lies where uploads wait."""
    try:
        return set(storages["default"].listdir(retention.FOLDER)[1])
    except FileNotFoundError:
        return set()


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

    def test_the_key_of_a_file_says_nothing_of_its_path(self) -> None:
        file = Paper.objects.create(file=ContentFile(b"1", name="secret.txt")).file
        assert re.fullmatch(r"[0-9a-f]{32}", key_of(file))

    def test_every_text_is_translated(self, settings: Settings, tmp_path: Path) -> None:
        texts = [*TEXTS.values(), "Drop a file here, or choose one", "Upload", "Cancel", "Remove"]
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


class TestSeveral:
    @pytest.fixture
    def shelf(self) -> Shelf:
        files = [ContentFile(name.encode(), name=f"{name}.txt") for name in "abc"]
        return Shelf.objects.create(files=files)

    @staticmethod
    def names(shelf: Shelf) -> str:
        found = Shelf.objects.get(pk=shelf.pk).files
        return "".join(file.original_name.removesuffix(".txt") for file in found)

    def keys(self, shelf: Shelf) -> dict[str, str]:
        return {file.original_name[0]: key_of(file) for file in shelf.files}

    def send(self, shelf: Shelf, data: dict[str, Any], *uploads: Any) -> Any:
        form = form_of(Shelf, data, *uploads, instance=Shelf.objects.get(pk=shelf.pk))
        assert form.is_valid(), form.errors
        form.save()
        return form

    def test_in_another_order(self, shelf: Shelf) -> None:
        keys = self.keys(shelf)
        order = {"c": 1, "a": 2, "b": 3}
        form = self.send(shelf, {f"files-place-{keys[k]}": str(n) for k, n in order.items()})
        assert self.names(shelf) == "cab"
        assert form.changed_data == ["files"]

    def test_one_is_taken_out_and_its_object_goes(
        self, shelf: Shelf, django_capture_on_commit_callbacks: Any
    ) -> None:
        gone = shelf.files[1]
        with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
            self.send(shelf, {"files-remove": [self.keys(shelf)["b"]]})
        assert self.names(shelf) == "ac"
        assert not gone.exists()

    def test_new_ones_go_where_the_form_says(self, shelf: Shelf) -> None:
        keys = self.keys(shelf)
        data: dict[str, Any] = {
            f"files-place-{keys[name]}": str(n) for name, n in zip("abc", (1, 3, 5), strict=True)
        }
        data["files-upload-place"] = ["4", "2"]
        self.send(shelf, data, upload("y.txt"), upload("x.txt"))
        assert self.names(shelf) == "axbyc"

    def test_new_ones_go_to_the_end_where_it_says_nothing(self, shelf: Shelf) -> None:
        self.send(shelf, {}, upload("x.txt"), upload("y.txt"))
        assert self.names(shelf) == "abcxy"

    @pytest.mark.parametrize("place", ["", "x", "nan", "inf", "-1e400", "9" * 400])
    def test_a_place_that_is_none(self, shelf: Shelf, place: str) -> None:
        self.send(shelf, {f"files-place-{self.keys(shelf)['a']}": place})
        assert sorted(self.names(shelf)) == ["a", "b", "c"]

    def test_a_client_names_no_file_but_the_rows_own(self, shelf: Shelf) -> None:
        other = Shelf.objects.create(files=[ContentFile(b"1", name="z.txt")])
        key = self.keys(other)["z"]
        data = {"files-remove": [key, "x", ""], f"files-place-{key}": "1", "files": "/etc/passwd"}
        form = self.send(shelf, data)
        assert not form.has_changed()
        assert self.names(shelf) == "abc"
        assert self.names(other) == "z"

    def test_nothing_said_is_nothing_changed(self, shelf: Shelf) -> None:
        keys = self.keys(shelf)
        places = {f"files-place-{keys[name]}": str(n) for n, name in enumerate("abc", 1)}
        assert not self.send(shelf, {}).has_changed()
        assert not self.send(shelf, places).has_changed()

    def test_what_was_moved_and_ticked_is_shown_again(self, shelf: Shelf, token: str) -> None:
        keys = self.keys(shelf)
        data: dict[str, Any] = {
            f"files-place-{keys[name]}": str(n) for name, n in zip("abc", (3, 2, 1), strict=True)
        }
        data["files-remove"] = [keys["b"]]
        form = form_of(Shelf, data, upload("e.txt", b""), instance=shelf)
        assert not form.is_valid()
        html = str(form["files"])
        assert re.findall(r'data-label="(\w)\.txt"', html) == ["c", "b", "a"]
        assert re.findall(r'value="(\w+)" checked', html) == [keys["b"]]

    def test_an_error_names_its_file(self, shelf: Shelf) -> None:
        form = form_of(Shelf, {}, upload("good.txt"), upload("void.txt", b""), instance=shelf)
        assert form.errors["files"] == ["void.txt: The submitted file is empty."]

    def test_all_of_a_required_field_can_not_be_taken_out(self) -> None:
        class Form(forms.ModelForm):  # type: ignore[type-arg]
            class Meta:
                model = Shelf
                fields = ("files",)

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.fields["files"].required = True

        shelf = Shelf.objects.create(files=[ContentFile(b"1", name="a.txt")])
        data = QueryDict(f"files-remove={key_of(shelf.files[0])}")
        form = Form(data, MultiValueDict(), instance=shelf)
        assert [error.code for error in form.errors.as_data()["files"]] == ["required"]


class TestKept:
    """Uploads stay when their form is shown again for something else."""

    LONG: ClassVar = {"title": "t" * 60}

    def refused(self, token: str, *uploads: Any, **data: Any) -> Any:
        sent = {**self.LONG, "csrfmiddlewaretoken": token, **data}
        form = form_of(Paper, sent, *uploads)
        assert not form.is_valid()
        return form

    def reference(self, token: str, *uploads: Any) -> str:
        form = self.refused(token, *(uploads or [upload()]))
        (reference,) = attributes(str(form["file"]), "file-retained")
        return reference

    def again(self, token: str, reference: str, *uploads: Any, **data: Any) -> Any:
        sent = {"title": "t", "csrfmiddlewaretoken": token, "file-retained": reference}
        return form_of(Paper, {**sent, **data}, *uploads)

    def test_stored_once_then_saved_with_the_row(
        self, token: str, django_capture_on_commit_callbacks: Any
    ) -> None:
        reference = self.reference(token)
        assert len(kept()) == 1
        with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
            form = self.again(token, reference)
            assert form.is_valid(), form.errors
            paper = form.save()
        paper = Paper.objects.get(pk=paper.pk)
        assert paper.file.get_content() == b"uploaded"
        assert paper.file.original_name == "up.txt"
        assert paper.file.name.startswith("papers/up_")
        assert kept() == set()

    def test_stays_when_the_row_is_rolled_back(
        self, token: str, django_capture_on_commit_callbacks: Any
    ) -> None:
        reference = self.reference(token)
        with (
            pytest.raises(KeyError),
            django_capture_on_commit_callbacks(execute=True),
            transaction.atomic(),
        ):
            self.again(token, reference).save()
            raise KeyError
        assert len(kept()) == 1
        assert self.again(token, reference).is_valid()

    def test_is_shown(self, token: str) -> None:
        html = str(self.refused(token, upload("<i>.txt"))["file"])
        assert "&lt;i&gt;.txt" in html
        assert 'data-card="waiting"' in html

    def test_again_and_again(self, token: str) -> None:
        reference = self.reference(token)
        form = form_of(
            Paper, {**self.LONG, "csrfmiddlewaretoken": token, "file-retained": reference}
        )
        (second,) = attributes(str(form["file"]), "file-retained")
        assert len(kept()) == 1
        assert self.again(token, second).is_valid()

    def test_rendering_twice_stores_once(self, token: str) -> None:
        form = self.refused(token, upload())
        assert str(form["file"]) == str(form["file"])
        assert len(kept()) == 1

    def test_a_large_upload_on_disk(self, token: str) -> None:
        with TemporaryUploadedFile("big.bin", "application/octet-stream", 3_000_000, None) as file:
            file.write(b"x" * 3_000_000)
            file.seek(0)
            reference = self.reference(token, file)
        form = self.again(token, reference)
        assert form.is_valid(), form.errors
        assert form.save().file.size == 3_000_000

    def test_another_file_takes_its_place(self, token: str) -> None:
        form = self.again(token, self.reference(token), upload("new.txt"))
        assert form.is_valid()
        assert form.save().file.original_name == "new.txt"

    def test_can_be_given_up(self, token: str) -> None:
        reference = self.reference(token)
        form = self.again(token, reference, **{"file-remove": key_of_reference(reference)})
        assert form.is_valid()
        assert form.save().file is None

    def test_required_is_met_by_it(self, token: str) -> None:
        sent = {"csrfmiddlewaretoken": token}
        form = form_of(Ledger, sent, upload())
        assert form.is_valid()
        form.add_error(None, "Something else.")
        html = str(form["file"])
        (reference,) = attributes(html, "file-retained")
        assert "required" not in re.findall(r'<input type="file"[^>]*>', html)[0]
        assert form_of(Ledger, {**sent, "file-retained": reference}).is_valid()
        assert not form_of(Ledger, sent).is_valid()

    def test_of_several_each_that_is_right(self, token: str) -> None:
        sent = {"csrfmiddlewaretoken": token}
        form = form_of(Shelf, sent, upload("1.txt"), upload("void.txt", b""), upload("2.txt"))
        assert not form.is_valid()
        references = attributes(str(form["files"]), "files-retained")
        assert len(references) == len(kept()) == 2
        form = form_of(Shelf, {**sent, "files-retained": references}, upload("3.txt"))
        assert form.is_valid(), form.errors
        assert len(form.save().files) == 3

    def test_when_another_row_of_a_formset_is_wrong(self, token: str) -> None:
        formset = inlineformset_factory(Shelf, Box, fields=["file"], extra=2)
        shelf = Shelf.objects.create()
        data = QueryDict(mutable=True)
        data.update(
            {
                "box_set-TOTAL_FORMS": "2",
                "box_set-INITIAL_FORMS": "0",
                "csrfmiddlewaretoken": token,
            }
        )
        files: Any = MultiValueDict(
            {"box_set-0-file": [upload()], "box_set-1-file": [upload("void.txt", b"")]}
        )
        sent = formset(data, files, instance=shelf)
        assert not sent.is_valid()
        references = attributes(str(sent), "box_set-0-file-retained")
        assert len(references) == len(kept()) == 1
        data["box_set-0-file-retained"] = references[0]
        sent = formset(data, MultiValueDict(), instance=shelf)
        assert sent.is_valid(), sent.errors
        sent.save()
        assert [box.file.get_content() for box in shelf.box_set.all()] == [b"uploaded"]

    def test_not_one_that_is_wrong_itself(self, token: str) -> None:
        form = form_of(Photo, {"csrfmiddlewaretoken": token}, upload("a.png", HTML))
        assert attributes(str(form["image"]), "image-retained") == []
        assert kept() == set()

    def test_not_when_the_row_was_saved(self, token: str) -> None:
        form = form_of(Paper, {"title": "t", "csrfmiddlewaretoken": token}, upload())
        form.save()
        assert attributes(str(form["file"]), "file-retained") == []
        assert kept() == set()

    def test_not_without_a_csrf_token(self) -> None:
        for token in ("", "x", "ü" * 64):
            form = self.refused(token, upload())
            assert attributes(str(form["file"]), "file-retained") == []
        assert kept() == set()

    def test_not_where_the_field_says_so(self, token: str) -> None:
        class Form(forms.ModelForm):  # type: ignore[type-arg]
            class Meta:
                model = Paper
                fields = ("title", "file")

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.fields["file"].retains = False  # type: ignore[attr-defined]

        data = QueryDict(mutable=True)
        data.update({**self.LONG, "csrfmiddlewaretoken": token})
        str(Form(data, MultiValueDict({"file": [upload()]})))
        assert kept() == set()

    def test_a_storage_that_does_not_answer_is_no_error(
        self, token: str, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.STORAGES = {**settings.STORAGES, "default": silent()}
        form = self.refused(token, upload())
        assert attributes(str(form["file"]), "file-retained") == []
        assert "could not be kept" in caplog.text
        assert "hush-hush" not in caplog.text

    def test_a_backend_that_is_found_out_later(self, token: str) -> None:
        sent = {"csrfmiddlewaretoken": token, "tenant": "second", "unique": "x" * 30}
        form = form_of(Record, sent, upload())
        assert not form.is_valid()
        (reference,) = attributes(str(form["file"]), "file-retained")
        form = form_of(Record, {**sent, "unique": "x", "file-retained": reference})
        assert form.is_valid(), form.errors
        record = form.save()
        assert record.file.backend == "second"
        assert record.file.name.startswith(f"second/{record.pk}/")

    def test_claims_no_type_where_it_lies(self, token: str) -> None:
        self.reference(token, SimpleUploadedFile("a.html", HTML, "text/html"))
        (name,) = kept()
        stat = storages["default"].stat(f"{retention.FOLDER}/{name}")  # type: ignore[attr-defined]
        assert stat.content_type in (None, "application/octet-stream")
        assert re.fullmatch(r"[A-Za-z0-9]{32}", name)

    # what is refused

    def codes(self, form: Any) -> list[str | None]:
        return [error.code for error in form.errors.as_data().get("file", [])]

    def test_forged(self, token: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING)
        reference = self.reference(token)
        body, _, signature = reference.rpartition(":")
        for forged in ("x", ":", "a:b", f"{body}:{signature[::-1]}", f"x{reference}", "\x00"):
            form = self.again(token, forged)
            assert self.codes(form) == ["forged"], forged
            assert signature not in caplog.text

    def test_of_another_browser(self, token: str) -> None:
        other = get_token(RequestFactory().get("/"))
        assert self.codes(self.again(other, self.reference(token))) == ["forged"]
        assert self.codes(self.again("", self.reference(token))) == ["forged"]

    def test_of_another_field(self, token: str) -> None:
        form = form_of(
            Ledger, {"csrfmiddlewaretoken": token, "file-retained": self.reference(token)}
        )
        assert self.codes(form) == ["forged"]

    def test_expired(self, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
        reference = self.reference(token)
        late = time.time() + retention.LIFETIME + 1
        monkeypatch.setattr(time, "time", lambda: late)
        assert self.codes(self.again(token, reference)) == ["gone"]

    def test_swept(self, token: str) -> None:
        reference = self.reference(token)
        (name,) = kept()
        storages["default"].delete(f"{retention.FOLDER}/{name}")
        form = self.again(token, reference)
        assert self.codes(form) == ["gone"]
        assert attributes(str(form["file"]), "file-retained") == []

    def test_put_in_its_place(self, token: str) -> None:
        reference = self.reference(token)
        (name,) = kept()
        storages["default"].delete(f"{retention.FOLDER}/{name}")
        storages["default"].save(f"{retention.FOLDER}/{name}", ContentFile(b"longer than it was"))
        assert self.codes(self.again(token, reference)) == ["gone"]

    def test_on_an_alias_that_is_gone(self, token: str, settings: Settings) -> None:
        reference = self.reference(token)
        settings.STORAGES = {
            "other": settings.STORAGES["default"],
            **{k: v for k, v in settings.STORAGES.items() if k != "default"},
        }
        field = modelform_factory(Paper, fields=["file"]).base_fields["file"]
        with pytest.raises(forms.ValidationError) as refused:
            field.clean(
                Selection(
                    retained=(reference,),
                    binding=retention.binding_of({"csrfmiddlewaretoken": token}),
                )
            )
        assert refused.value.code == "gone"

    def test_receipts_where_there_are_no_direct_uploads(self, token: str) -> None:
        form = form_of(Paper, {"csrfmiddlewaretoken": token, "file-receipt": "x"})
        assert self.codes(form) == ["receipt"]

    def test_path_backend_and_metadata_from_a_client(self, token: str) -> None:
        said = {
            "file": '{"filename": "/etc/passwd", "backend": "second"}',
            "file-backend": "second",
            "file-metadata": "{}",
            "title": "t",
        }
        form = form_of(Paper, said, upload())
        assert form.is_valid()
        file = form.save().file
        assert (file.backend, file.original_name) == ("default", "up.txt")

    def test_a_file_and_the_order_to_clear(self) -> None:
        assert self.codes(form_of(Paper, {"file-clear": "on"}, upload())) == ["contradiction"]


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
        assert self.codes(Paper, "漢" * 90 + ".txt") == ["invalid_name"]
        assert list(tmp_path.iterdir()) == []

    def test_one_fault_is_one_message(self) -> None:
        assert self.codes(Photo, "a.png", HTML) == ["misnamed"]
        assert self.codes(Photo, "a.txt", b"text") == ["content_type"]
        assert self.codes(Photo, "a.png", png(9, 9)[:40]) == ["invalid_image"]
