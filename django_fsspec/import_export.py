"""django-import-export: columns of files in resources. Extra `import-export`.

An import can't choose files: it keeps, reorders or removes those that a row has.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from django_fsspec.core.extras import load
from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.values import files_of, same_json, to_json

if TYPE_CHECKING:
    from import_export.fields import Field
    from import_export.widgets import Widget
else:
    Field = load("import_export.fields", "import-export", __name__).Field
    Widget = load("import_export.widgets", "import-export", __name__).Widget

__all__ = ["StoredObjectResourceField", "StoredObjectResourceMixin"]


class _FilesWidget(Widget):  # type: ignore[misc]
    """A value of a ``StoredObjectField`` as JSON text, and back as JSON."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
        """Return the JSON of a cell. Raises ``ValueError`` for text that is none."""
        if not isinstance(value, str):
            return value
        return json.loads(value) if value.strip() else None

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str | None:
        """Return the row's JSON."""
        return None if value is None else json.dumps(to_json(value))


class StoredObjectResourceField(Field):  # type: ignore[misc]
    """A column with the row's JSON of a file, or of a list of files. Makes no request.

    Example::

        from import_export.resources import ModelResource

        class DocumentResource(ModelResource):
            scan = StoredObjectResourceField(attribute="file", column_name="Scan")

            class Meta:
                model = Document
                fields = ("id", "title", "scan")

    An import keeps the files of the row that it names, by alias and path, in its order; the rest
    of the JSON is not read. A file that the row does not have is an error of the row, so whoever
    imports can't choose alias and path. An empty cell, null and ``[]`` remove the files. Takes
    the options of ``Field``.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("widget", _FilesWidget())
        super().__init__(*args, **options)

    def save(self, instance: Any, row: Any, is_m2m: bool = False, **kwargs: Any) -> None:
        """Assign the files that a cell keeps. Raises ``ValueError`` for a file of another row."""
        if self.readonly:
            return
        value = self.clean(row, **kwargs)
        *path, name = self.attribute.split("__")
        for relation in path:
            instance = getattr(instance, relation)
        if value is not None or self.saves_null_values:
            setattr(instance, name, _kept(getattr(instance, name), value))


class StoredObjectResourceMixin:
    """Makes a ``ModelResource`` use this field: name it before the resource's base class.

    Example::

        from import_export.resources import ModelResource

        class DocumentResource(StoredObjectResourceMixin, ModelResource):
            class Meta:
                model = Document

        assert document.file.name in DocumentResource().export([document]).csv

    Without it, django-import-export treats a ``StoredObjectField`` as JSON: an export fails.
    """

    @classmethod
    def field_from_django_field(cls, field_name: str, django_field: Any, readonly: bool) -> Any:
        """Return the field of the resource for a model field."""
        if not isinstance(django_field, StoredObjectField):
            return super().field_from_django_field(  # type: ignore[misc]
                field_name, django_field, readonly
            )
        return StoredObjectResourceField(
            attribute=field_name,
            column_name=field_name,
            readonly=readonly,
            default=django_field.default,
        )


def _kept(value: Any, data: Any) -> Any:
    """Return the part of a field's value that JSON names."""
    held = files_of(value)
    if data is None:
        return None
    if isinstance(data, list):
        return [_held(held, item) for item in data]
    return _held(held, data)


def _held(held: list[FileObject], data: Any) -> FileObject:
    """Return the file among `held` that JSON describes."""
    place = (data.get("backend"), data.get("filename")) if isinstance(data, dict) else None
    for file in held:
        if place == (file.backend, file.filename) or same_json(file, data):
            return file
    raise ValueError(
        _("An import can keep or remove the files of a row, and not choose others: %(file)s.")
        % {"file": place[1] if place else data}
    )
