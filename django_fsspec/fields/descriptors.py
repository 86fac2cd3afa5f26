"""StoredObjectDescriptor: the attribute of a row, whose files belong to the row."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldError
from django.core.files.base import File
from django.db.models.fields.files import FieldFile
from django.db.models.query_utils import DeferredAttribute

from django_fsspec.core.names import last_part
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.loaded_values import remember_row
from django_fsspec.rows.stored_without_row import store
from django_fsspec.rows.values import FileList

if TYPE_CHECKING:
    from django.db.models import Model

    from django_fsspec.rows.protocols import StoredField


class RowField(NamedTuple):
    """A row and one of its fields: the owner of the files in it."""

    instance: Model
    field: StoredField

    def __str__(self) -> str:
        return f"{self.field} of {self.instance._meta.object_name} {self.instance.pk!r}"

    def accept(self, value: Any) -> FileObject | None:
        """Return `value` as a file of the row.

        Raises ``TypeError`` for a value that is no file, and ``FieldError`` for an upload without
        a name.
        """
        if isinstance(value, FileObject):
            return self.bind(value)
        if value is None or (isinstance(value, FieldFile) and not value):
            return None
        if isinstance(value, Mapping):
            return self.bind(FileObject.from_dict(value)) if value else None
        if isinstance(value, File):
            return self.bind(self._drafted(value))
        raise TypeError(
            f"{self.field} takes a FileObject, a Django File or upload, its JSON as a dict, or "
            f"None, not {type(value).__name__}.{_advice(value)}"
        )

    def bind(self, file: FileObject) -> FileObject:
        """Return `file` as a file of this row: a copy where another row has it, or may have it."""
        row = file._row
        # copies of a row share what was read
        if row is None and file._raw is None:
            file._row = self
        elif (
            not isinstance(row, RowField)
            or row.instance is not self.instance
            or (row.field is not self.field)
        ):
            file = copy.deepcopy(file)
            file._row = self
        return file

    def _drafted(self, content: File[Any]) -> FileObject:
        name = last_part(str(content.name or ""))
        if not name:
            raise FieldError(
                f"{self.field}: the file has no name. Give it a name: "
                "ContentFile(data, name='report.txt') or File(file, name='report.txt')."
            )
        # a callable is called when the file is stored: only then the row has all its values
        backend = "" if callable(self.field.backend) else self.field.backend
        file = FileObject(backend, name, content=content)
        file.metadata["original_name"] = name
        file._draft = True
        return file

    def save(self, file: FileObject, name: Any, content: Any, save: bool) -> None:
        """Store `content`, or the unsaved content, and the row, unless `save` is false."""
        if content is None and name is not None and not isinstance(name, str):
            name, content = None, name
        if content is not None:
            file._replace_content(content, name)
            file.filename, file._draft = file.original_name, True
        if name is not None:
            file.filename, file._draft = name, True
        if save:
            self.instance.save()
        else:
            store(self.instance, self.field, file)

    async def asave(self, file: FileObject, name: Any, content: Any, save: bool) -> None:
        """See save()."""
        await sync_to_async(self.save)(file, name, content, save)

    def delete(self, file: FileObject, save: bool) -> None:
        """Remove `file` from the row; saving the row deletes it."""
        if self.field.multiple:
            files = getattr(self.instance, self.field.attname)
            files[:] = [other for other in files if other is not file]
        else:
            setattr(self.instance, self.field.attname, None)
        if save:
            self.instance.save()

    async def adelete(self, file: FileObject, save: bool) -> None:
        """See delete()."""
        await sync_to_async(self.delete)(file, save)


def _advice(value: Any) -> str:
    """Return a sentence that names the class which makes a file of `value`, or ""."""
    if isinstance(value, str):
        return " For the name of a stored file write FileObject(alias, name)."
    if isinstance(value, (bytes, bytearray, memoryview)):
        return " Write ContentFile(content, name='report.txt')."
    if hasattr(value, "read"):
        return " Write File(file, name='report.txt'), with django.core.files.File."
    return ""


class StoredObjectDescriptor(DeferredAttribute):
    """The attribute of a ``StoredObjectField``: returns files, accepts files and uploads.

    Assigning raises ``TypeError`` for a value that is no file, or no list of files.
    """

    field: StoredField  # type: ignore[assignment]

    def __get__(self, instance: Model | None, cls: type[Model] | None = None) -> Any:
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        if isinstance(value, FileObject):
            bound: Any = RowField(instance, self.field).bind(value)
        elif isinstance(value, FileList):
            bound = value.bind(RowField(instance, self.field))
        else:
            return value
        instance.__dict__[self.field.attname] = bound
        return bound

    def __set__(self, instance: Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = self._accepted(instance, value)

    def fetch_many(self, instances: Any) -> None:
        """Read the deferred values of many rows at once (Django 6.1)."""
        # the others may have a value that is not saved yet
        deferred = [row for row in instances if self.field.attname not in vars(row)]
        super().fetch_many(instances)
        for instance in deferred:
            remember_row(instance, instance._state.db, [self.field])

    def _accepted(self, instance: Model, value: Any) -> Any:
        if hasattr(value, "resolve_expression"):
            return value
        if getattr(value, "_raw", None) is not None and value._row is None:
            return value  # from the database: bound on first access
        row = RowField(instance, self.field)
        if not self.field.multiple:
            return row.accept(value)
        if isinstance(value, FileList):
            return value.bind(row)
        if isinstance(value, str | bytes | Mapping | File) or not (
            value is None or isinstance(value, Iterable)
        ):
            raise TypeError(
                f"{self.field} holds several files: assign a list of files, not "
                f"{type(value).__name__}."
            )
        files = FileList().bind(row)
        files.extend(value or ())
        return files
