"""Inputs for files."""

from __future__ import annotations

from typing import Any

from django.forms import ClearableFileInput

from . import uploads


class StoredObjectInput(ClearableFileInput):
    """Shows the stored file, and takes another one."""

    #: where files may go past the form; their tickets are ``uploads.ticket(direct_upload)``
    direct_upload: uploads.Destination | None = None

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """Return what was uploaded with the form, or before it."""
        value = super().value_from_datadict(data, files, name)
        return uploads.submitted(value, data, name, multiple=self.allow_multiple_selected)


class MultipleStoredObjectInput(StoredObjectInput):
    """Shows the stored files, and takes more."""

    allow_multiple_selected = True
    clear_checkbox_label = "Clear all"
