"""Form fields and an input."""

from __future__ import annotations

from typing import reveal_type

from django import forms

from django_fsspec.forms import MultipleStoredObjectFormField, StoredObjectFormField
from django_fsspec.widgets import StoredObjectInput


class UploadForm(forms.Form):
    file = StoredObjectFormField(max_size=5, content_types=["image/*"], required=False)
    pages = MultipleStoredObjectFormField(widget=StoredObjectInput())


def fields(form: UploadForm) -> None:
    reveal_type(UploadForm.base_fields["file"])  # Field with stubs
