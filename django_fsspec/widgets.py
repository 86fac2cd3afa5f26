"""Inputs for files."""

from __future__ import annotations

from django.forms import ClearableFileInput


class StoredObjectInput(ClearableFileInput):
    """Shows the stored file, and takes another one."""


class MultipleStoredObjectInput(StoredObjectInput):
    """Shows the stored files, and takes more."""

    allow_multiple_selected = True
    clear_checkbox_label = "Clear all"
