"""Form fields for uploads into a ``StoredObjectField``."""

from __future__ import annotations

from typing import Any

from django import forms

from . import uploads
from .widgets import MultipleStoredObjectInput, StoredObjectInput


class StoredObjectFormField(forms.FileField):
    """One uploaded file. Path, backend and metadata are never taken from a client.

    With a destination in `direct_upload` a receipt of a direct upload is as good as a file.
    """

    widget = StoredObjectInput

    def __init__(
        self, *args: Any, direct_upload: uploads.Destination | None = None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.direct_upload = self.widget.direct_upload = direct_upload

    def to_python(self, data: Any) -> Any:
        """Return the upload, or the file that a receipt stands for."""
        return super().to_python(uploads.redeemed(data, self.direct_upload))


class MultipleStoredObjectFormField(StoredObjectFormField):
    """Several uploaded files, which come to those that are there."""

    widget = MultipleStoredObjectInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Return all files, or False when they are to be cleared; each upload is validated."""
        if not data:
            return super().clean(False if data is False else None, initial)
        uploads = data if isinstance(data, list | tuple) else [data]
        cleaned = [super(MultipleStoredObjectFormField, self).clean(one) for one in uploads]
        return [*(initial or ()), *cleaned]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return whether files were uploaded, or are to be cleared."""
        return not self.disabled and (data is False or bool(data))
