"""What the admin shows for a read-only field and in a list: links with the original names."""

from __future__ import annotations

import json
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from django_fsspec.forms.cards import shown_name, url_of
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.values import files_of


class AdminEncoder(json.JSONEncoder):
    """The `encoder` of the field, by which the admin shows the value of a JSON field. No request.

    Example::

        AdminEncoder().encode(document.file)  # '<a href="/files/…">may.txt</a>'

    Files are links as a ``FileField`` has one, with the original name. With an `indent`, as
    django-unfold shows JSON, and for other values it writes JSON.
    """

    def encode(self, o: Any) -> str:
        """Return the links of files, and the JSON of other values."""
        files = files_of(o)
        if files and self.indent is None:
            return links(files)
        return super().encode(o)

    def default(self, o: Any) -> Any:
        """Return the row's JSON of a file."""
        return o._to_json() if isinstance(o, FileObject) else super().default(o)


def links(files: list[FileObject]) -> SafeString:
    """Return a link for each file, and its name or its error where it has no URL."""
    return format_html_join(", ", "{}", ((_link(file),) for file in files))


def _link(file: FileObject) -> SafeString | str:
    if file.error:
        return shown_name(file.error)
    url, name = url_of(file), shown_name(file.original_name)
    return format_html('<a href="{}">{}</a>', url, name) if url else name
