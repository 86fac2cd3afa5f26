"""Forms about files as they lie in a storage: what that refuses is an error of the form."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import Storage, storages
from django.core.files.uploadedfile import UploadedFile

from django_fsspec import FileObject
from django_fsspec.storage.aliases import label_of

from ..listing import aliases
from ..models import Album, Document


class MultipleFileInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class MultipleFileField(forms.FileField):
    """Several files of one input, as Django's documentation shows it."""

    widget = MultipleFileInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        one = super().clean
        cleaned: list[UploadedFile[Any]] = [one(given) for given in data or [None]]
        return cleaned


class StorageForm(forms.Form):
    """A form about one of the storages."""

    storage = forms.ChoiceField(
        choices=lambda: [(alias, alias) for alias in aliases()], widget=forms.HiddenInput
    )

    @property
    def alias(self) -> str:
        return str(self.cleaned_data["storage"])

    @property
    def title(self) -> str:
        return label_of(self.alias)


class UploadForm(StorageForm):
    """Stores files in a folder."""

    folder = forms.CharField(
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"placeholder": "top folder", "autocomplete": "off"}),
    )
    uploads = MultipleFileField(label="Files", allow_empty_file=True)

    def clean_folder(self) -> str:
        return str(self.cleaned_data["folder"]).removesuffix("/")

    def save(self) -> list[str]:
        """Store the files and return their names; each refused one becomes an error."""
        storage, folder = storages[self.alias], self.cleaned_data["folder"]
        stored = []
        for file in self.cleaned_data["uploads"]:
            try:
                stored.append(storage.save(f"{folder}/{file.name}" if folder else file.name, file))
            except SuspiciousFileOperation as refusal:
                self.add_error(None, f"{file.name} was not stored. {refusal}")
            except OSError as failure:
                self.add_error(None, f"{file.name} could not be stored. {failure}")
        return stored


class StoredFileForm(StorageForm):
    """Names one stored file."""

    name = forms.CharField(strip=False)

    def clean(self) -> None:
        super().clean()
        if self.errors:
            return
        name = self.cleaned_data["name"]
        try:
            found = self.source.exists(name)
        except (SuspiciousFileOperation, OSError) as refusal:
            raise forms.ValidationError(str(refusal)) from refusal
        if not found:
            raise forms.ValidationError(f"There is no file {name} on {self.title} any more.")

    @property
    def source(self) -> Storage:
        return storages[self.alias]

    @cached_property
    def folder(self) -> str:
        """The folder of the file, where the listing goes on."""
        return str(self.cleaned_data.get("name", "")).rpartition("/")[0]


class DeleteForm(StoredFileForm):
    """Deletes a file, unless it is a document's or an album's."""

    def clean(self) -> None:
        super().clean()
        if self.errors:
            return
        name = self.cleaned_data["name"]
        file = FileObject(self.alias, name)
        albums = Album.objects.filter(photos__refers_to=name)
        owners = [
            *Document.objects.filter(file=file),
            *(album for album in albums if file in album.photos),
        ]
        for row in owners[:1]:
            raise forms.ValidationError(
                f"{name} belongs to the {row._meta.verbose_name} {row}: delete it there."
            )

    def save(self) -> str:
        self.source.delete(self.cleaned_data["name"])
        while self.folder and self._vanished():
            self.folder = self.folder.rpartition("/")[0]
        return f"Deleted {self.cleaned_data['name']} from {self.title}."

    def _vanished(self) -> bool:
        """Remove the folder if it is empty: on S3 one without files does not even exist."""
        try:
            if any(self.source.listdir(self.folder)):
                return False
            self.source.delete(self.folder)
        except FileNotFoundError:
            pass
        return True


class CopyForm(StoredFileForm):
    """Copies a file to another storage, chunk by chunk."""

    to = forms.ChoiceField(choices=lambda: [(alias, alias) for alias in aliases()])

    def save(self) -> str:
        name, to = self.cleaned_data["name"], self.cleaned_data["to"]
        with self.source.open(name) as file:
            stored = storages[to].save(name, File(file, name))
        return f"Copied {name} from {self.title} to {label_of(to)}, as {stored}."
