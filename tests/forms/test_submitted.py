"""Several files: added, removed, put into another order."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import pytest
from django import forms
from django.core.files.base import ContentFile
from django.db import transaction
from django.forms import modelform_factory
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict

from django_fsspec.forms import MultipleStoredObjectFormField
from django_fsspec.forms.cards import key_of
from tests.forms.submissions import form_of, upload
from tests.library.models import Paper, Shelf

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory")]


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


class TestWidgetsOfDjango:
    """A field under a widget that is not ours gets an upload, a list of them, None or False."""

    class Plain(forms.ModelForm):  # type: ignore[type-arg]
        class Meta:
            model = Paper
            fields = ("file",)
            widgets: ClassVar = {"file": forms.ClearableFileInput}

    @pytest.fixture
    def paper(self) -> Paper:
        return Paper.objects.create(file=ContentFile(b"old", name="old.txt"))

    def sent(self, paper: Paper, *uploads: Any, **data: str) -> Any:
        files: Any = MultiValueDict({"file": list(uploads)} if uploads else {})
        return self.Plain(data, files, instance=Paper.objects.get(pk=paper.pk))

    def test_an_upload_replaces_the_file(self, paper: Paper) -> None:
        form = self.sent(paper, upload("new.txt", b"new"))
        assert form.is_valid(), form.errors
        assert form.changed_data == ["file"]
        form.save()
        assert Paper.objects.get().file.get_content() == b"new"

    def test_nothing_sent_keeps_the_file(self, paper: Paper) -> None:
        form = self.sent(paper)
        assert not form.has_changed()
        form.save()
        assert Paper.objects.get().file.get_content() == b"old"
        assert 'name="file-clear"' in str(form["file"])
        assert "<stored-object-input" not in str(form["file"])

    def test_the_box_clears_the_field(self, paper: Paper) -> None:
        form = self.sent(paper, **{"file-clear": "on"})
        assert form.is_valid(), form.errors
        form.save()
        assert Paper.objects.get().file is None

    def test_an_upload_and_the_box_contradict_each_other(self, paper: Paper) -> None:
        form = self.sent(paper, upload(), **{"file-clear": "on"})
        assert [error.code for error in form.errors.as_data()["file"]] == ["contradiction"]

    def test_a_list_of_uploads(self) -> None:
        field = MultipleStoredObjectFormField(widget=forms.FileInput)
        uploads = [upload("a.txt"), upload("b.txt")]
        assert field.clean(uploads) == uploads
        with pytest.raises(forms.ValidationError, match="required"):
            field.clean([])


def test_a_form_of_plain_dicts() -> None:
    shelf = Shelf.objects.create(files=[ContentFile(name.encode(), name=name) for name in "ab"])
    first, second = map(key_of, shelf.files)
    made = modelform_factory(Shelf, fields=["files"])
    data = {"files-remove": [first, "x"], f"files-place-{second}": "2"}
    files: Any = {"files": [upload("c.txt")]}
    form = made(data, files, instance=shelf)
    assert form.is_valid(), form.errors
    form.save()
    assert [file.original_name for file in Shelf.objects.get().files] == ["b", "c.txt"]


def test_a_disabled_field_ignores_what_is_sent() -> None:
    shelf = Shelf.objects.create(files=[ContentFile(b"a", name="a")])
    form = form_of(Shelf, {"files-remove": [key_of(shelf.files[0])]}, upload(), instance=shelf)
    form.fields["files"].disabled = True
    assert not form.has_changed()
    assert form.is_valid()
    assert form.cleaned_data["files"] == shelf.files
