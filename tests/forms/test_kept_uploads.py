"""Uploads of a form that was refused: kept for the next try, of nobody else."""

from __future__ import annotations

import logging
import re
import time
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
from django.test import Client, RequestFactory, override_settings
from django.utils.datastructures import MultiValueDict

from django_fsspec.forms import kept_uploads
from django_fsspec.forms.cards import key_of_reference
from django_fsspec.forms.submitted import Selection
from tests.demo.visit import silent
from tests.forms.submissions import HTML, attributes, form_of, kept, upload
from tests.helpers.samples import png
from tests.library.models import Box, Ledger, Paper, Photo, Record, Shelf

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory")]


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
        assert 'data-card="uploaded"' in html

    @pytest.mark.parametrize("data", [png(4, 3), HTML], ids=["a picture", "a lie"])
    def test_a_picture_keeps_its_thumbnail(
        self, token: str, client: Client, settings: Settings, data: bytes
    ) -> None:
        html = str(self.refused(token, SimpleUploadedFile("a.png", data, "image/png"))["file"])
        (url,) = re.findall(r'<img src="([^"]+)"[^>]*data-thumbnail', html)
        assert "<a " not in html
        response: Any = client.get(url)
        assert b"".join(response.streaming_content) == data
        assert response["Content-Type"] == "image/png"
        assert response["X-Content-Type-Options"] == "nosniff"

    def test_what_could_run_has_none(self, token: str) -> None:
        html = str(self.refused(token, SimpleUploadedFile("a.svg", HTML, "image/svg+xml"))["file"])
        assert "<img" not in html

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

    def test_not_more_than_a_visitor_may_have(self, token: str) -> None:
        with override_settings(FSSPEC_UPLOADS={"max_kept": 2}):
            for _ in range(4):
                self.refused(token, upload()).as_p()
            assert len(kept()) == 2
            # another browser's
            other = get_token(RequestFactory().get("/"))
            self.refused(other, upload()).as_p()
            assert len(kept()) == 3

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
        stat = storages["default"].stat(f"{kept_uploads.FOLDER}/{name}")  # type: ignore[attr-defined]
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
        late = time.time() + kept_uploads.LIFETIME + 1
        monkeypatch.setattr(time, "time", lambda: late)
        assert self.codes(self.again(token, reference)) == ["gone"]

    def test_swept(self, token: str) -> None:
        reference = self.reference(token)
        (name,) = kept()
        storages["default"].delete(f"{kept_uploads.FOLDER}/{name}")
        form = self.again(token, reference)
        assert self.codes(form) == ["gone"]
        assert attributes(str(form["file"]), "file-retained") == []

    def test_put_in_its_place(self, token: str) -> None:
        reference = self.reference(token)
        (name,) = kept()
        storages["default"].delete(f"{kept_uploads.FOLDER}/{name}")
        storages["default"].save(
            f"{kept_uploads.FOLDER}/{name}", ContentFile(b"longer than it was")
        )
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
                    references=(reference,),
                    binding=kept_uploads.binding_of({"csrfmiddlewaretoken": token}),
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
