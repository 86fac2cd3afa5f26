"""Model forms whose uploads go to the storage that the user chose."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from django_fsspec.forms import StoredObjectFormField
from django_fsspec.rows.references import stored_among
from django_fsspec.rows.values import files_of
from django_fsspec.storage.aliases import label_of
from django_fsspec.uploads import Choice, Destination

from ..listing import aliases
from ..placing import placed


def titled(hint: str) -> forms.TextInput:
    """Return an input for titles."""
    return forms.TextInput(attrs={"placeholder": hint, "autocomplete": "off"})


class OnStorageForm(forms.ModelForm):  # type: ignore[type-arg]
    """Turns uploads into files on a storage; what cannot be stored is an error of the form."""

    storage = forms.ChoiceField(
        label="New files go to",
        choices=lambda: [(alias, label_of(alias)) for alias in aliases()],
    )
    field_order = ("title", "storage")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        values = [getattr(self.instance, f.name) for f in stored_among(self.instance._meta.fields)]
        files = [file for value in values for file in files_of(value)]
        self.initial["storage"] = files[0].backend if files else aliases()[0]
        for field in self.fields.values():
            if isinstance(field, StoredObjectFormField) and field.model_field:
                # past this site, where there is JavaScript
                places = {alias: Destination.of(field.model_field, alias) for alias in aliases()}
                field.direct_upload = Choice("storage", places)

    def placed(self, name: str, upload: Any) -> Any:
        """Return an upload into the field `name` as a file on the chosen storage."""
        alias = self.cleaned_data.get("storage")
        if alias is None or not isinstance(upload, UploadedFile):
            return upload
        try:
            return placed(self.instance, name, alias, upload)
        except SuspiciousFileOperation as refusal:
            raise ValidationError(f"{upload.name} can't be stored. {refusal}") from refusal

    def stored(self) -> Any:
        """Save the row and its files and return it; None, and an error, where that fails."""
        if not self.is_valid():
            return None
        try:
            with transaction.atomic():
                return self.save()
        except (SuspiciousFileOperation, OSError) as failure:
            self.add_error(None, f"Nothing was stored. {failure}")
            return None
