"""django-import-export: columns of files in resources. Extra `import-export`.

An import can't choose files: it keeps, reorders or removes those that a row has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.utils.translation import gettext as _

from django_fsspec.core.extras import load
from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.values import files_of, same_json, to_json

if TYPE_CHECKING:
    from import_export.fields import Field
    from import_export.resources import ModelResource
    from import_export.widgets import JSONWidget, Widget
else:
    Field = load("import_export.fields", "import-export", __name__).Field
    ModelResource = load("import_export.resources", "import-export", __name__).ModelResource
    JSONWidget = load("import_export.widgets", "import-export", __name__).JSONWidget
    Widget = load("import_export.widgets", "import-export", __name__).Widget

__all__ = ["StoredObjectResourceField", "StoredObjectResourceMixin"]

#: methods of model admins that return the resources
_RESOURCE_METHODS = (
    "get_resource_classes",
    "get_import_resource_classes",
    "get_export_resource_classes",
)


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
    """Return those files of a field's value that JSON names. Raises ``ValueError`` for others."""
    files = files_of(value)
    if data is None:
        return None
    if isinstance(data, list):
        return [_file_among(files, item) for item in data]
    return _file_among(files, data)


def _file_among(files: list[FileObject], data: Any) -> FileObject:
    """Return the one of `files` that JSON describes. Raises ``ValueError`` where none is."""
    place = (data.get("backend"), data.get("filename")) if isinstance(data, dict) else None
    for file in files:
        if place == (file.backend, file.filename) or same_json(file, data):
            return file
    raise ValueError(
        _("An import can keep or remove the files of a row, and not choose others: %(file)s.")
        % {"file": place[1] if place else data}
    )


def json_columns() -> Iterator[tuple[type, str]]:
    """Yield the columns that treat files as JSON, for a system check.

    Each with its resource, or with the model admin for which a resource is made.
    """
    resources = [*ModelResource.__subclasses__()]
    for resource in resources:
        resources += resource.__subclasses__()
        names = _fields(resource._meta.model)
        for name, column in resource.fields.items():
            is_json = column.attribute in names and isinstance(column.widget, JSONWidget)
            if is_json and not column.readonly:
                yield resource, name
    for owner in _admins_without_resource():
        yield from ((type(owner), name) for name in _fields(owner.model))


def _fields(model: Any) -> list[str]:
    fields = model._meta.concrete_fields if model is not None else ()
    return [field.name for field in fields if isinstance(field, StoredObjectField)]


def _admins_without_resource() -> Iterator[Any]:
    """Yield the model admins for which django-import-export makes a resource."""
    if not apps.is_installed("django.contrib.admin"):
        return
    from django.contrib.admin.sites import all_sites

    base = load("import_export.mixins", "import-export", __name__).BaseImportExportMixin
    for site in all_sites:
        for model in filter(site.is_registered, apps.get_models()):
            owner = site.get_model_admin(model)
            if isinstance(owner, base) and not owner.resource_classes:
                methods = [getattr(type(owner), name, base) for name in _RESOURCE_METHODS]
                # an admin that overrides one of them names resources there
                if all(method.__module__ == base.__module__ for method in methods):
                    yield owner
