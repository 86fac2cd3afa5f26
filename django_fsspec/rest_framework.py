"""Django REST framework's fields for files: an upload comes in, a description goes out.

A client never says where a file lies: what is no upload is refused. Needs the extra `drf`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist, SuspiciousFileOperation
from django.core.files.storage import storages
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from .core.extras import load
from .fields.stored_object import StoredObjectField
from .objects.description import EXTRA
from .objects.file_object import FileObject

if TYPE_CHECKING:
    from rest_framework import serializers
    from rest_framework.settings import api_settings
else:
    serializers = load("rest_framework.serializers", "drf", __name__)
    api_settings = load("rest_framework.settings", "drf", __name__).api_settings

__all__ = [
    "SHOWN",
    "MultipleStoredObjectSerializerField",
    "StoredObjectSerializerField",
    "StoredObjectSerializerMixin",
]

#: what is told of a file unless `fields` says otherwise
SHOWN = ("name", "size", "content_type", "url", "last_modified")


def _modified(file: FileObject) -> Any:
    """Return the time as a ``DateTimeField`` shows it; None where the row's is no time at all."""
    if file.last_modified is None:
        return None
    try:
        moment = datetime.fromtimestamp(file.last_modified, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return serializers.DateTimeField().to_representation(moment)


_FACTS: dict[str, Callable[[FileObject], Any]] = {
    "name": lambda file: file.original_name,
    "size": lambda file: file.size,
    "content_type": lambda file: file.content_type,
    "last_modified": _modified,
    "checksum": lambda file: file.checksum,
    "width": lambda file: file.width,
    "height": lambda file: file.height,
    "metadata": lambda file: {k: v for k, v in file.metadata.items() if k != EXTRA},
}


class StoredObjectSerializerField(serializers.FileField):  # type: ignore[misc]
    """A file: takes an upload, or None where `allow_null`; shows a dict without any request.

    `fields` are what the dict tells: some of "name" (what the user called the file), "size"
    (bytes), "content_type", "url" (absolute where the context has the request), "last_modified",
    "checksum", "width", "height", "metadata". ``use_url=False`` leaves the URL out. In a
    ``ModelSerializer`` the model field's rules are checked: `max_size`, `content_types`, `image`,
    `validators`, `max_length`.
    """

    default_error_messages = {  # noqa: RUF012 - as in the base
        "invalid": _(
            "This is not an upload: send the file itself as multipart/form-data. Its path or "
            "description is not accepted."
        ),
    }

    validators: list[Any]
    max_length: int | None

    def __init__(self, *, fields: Iterable[str] = SHOWN, **options: Any) -> None:
        self.fields = (fields,) if isinstance(fields, str) else tuple(fields)
        if unknown := set(self.fields) - {*_FACTS, "url"}:
            known = ", ".join(map(repr, sorted([*_FACTS, "url"])))
            raise ValueError(f"fields={sorted(unknown)!r} can't be shown of a file, only {known}.")
        if "encoder" in options:
            # registered without the mixin: DRF knows that the column is JSON, and says so
            for name in ("encoder", "decoder", "style"):
                options.pop(name, None)
        super().__init__(**options)

    def bind(self, field_name: str, parent: Any) -> None:
        """Take part in a serializer: its model has rules for the file."""
        super().bind(field_name, parent)
        rules = _model_field(self)
        if rules is not None and rules.multiple:
            raise TypeError(
                f"{rules} holds several files: declare a MultipleStoredObjectSerializerField for "
                "it, or give the serializer StoredObjectSerializerMixin."
            )
        self._follow(rules)

    def _follow(self, rules: StoredObjectField | None) -> None:
        if rules is None:
            return

        def check(upload: Any) -> None:
            # as full_clean() has it: validators of a model are given what the model would hold
            rules.run_validators(_described(upload))

        own = [validator for validator in self.validators if validator not in rules.validators]
        self.validators = [check, *own]
        self.max_length = self.max_length or rules.max_length

    def to_internal_value(self, data: Any) -> UploadedFile[bytes]:
        """Return the upload; ``ValidationError`` for anything else."""
        if not isinstance(data, UploadedFile):
            self.fail("invalid")
        # Django has refused these, but not behind a backslash
        if str(data.name).rpartition("\\")[2] in ("", ".", ".."):
            self.fail("no_name")
        upload: UploadedFile[bytes] = super().to_internal_value(data)
        return upload

    def to_representation(self, value: Any) -> dict[str, Any] | None:
        """Return what is shown of a file; None for JSON in the row that is no file."""
        if not value:
            return None
        file = _described(value)
        use_url = getattr(self, "use_url", api_settings.UPLOADED_FILES_USE_URL)
        return {
            name: self._url(file) if name == "url" else _FACTS[name](file)
            for name in self.fields
            if name != "url" or use_url
        }

    def _url(self, file: FileObject) -> str | None:
        # JSON of a row that names no storage, or a file outside of it, must not spoil a page
        if file.has_pending_data or file.backend not in storages.backends:
            return None
        try:
            url = file.url
        except SuspiciousFileOperation:
            return None
        request = self.context.get("request")
        return url if request is None else str(request.build_absolute_uri(url))


class MultipleStoredObjectSerializerField(serializers.ListField):  # type: ignore[misc]
    """Several files: the uploads that come in take the place of all that were there.

    ``[]`` clears, and so does an empty value in a form. Options of a ``ListField``, and of
    ``StoredObjectSerializerField`` for each file.
    """

    def __init__(
        self, *, child: StoredObjectSerializerField | None = None, **options: Any
    ) -> None:
        if child is None:
            own = ("fields", "use_url", "allow_empty_file")
            given = {name: options.pop(name) for name in own if name in options}
            child = StoredObjectSerializerField(**given)
        super().__init__(child=child, **options)

    def bind(self, field_name: str, parent: Any) -> None:
        """Take part in a serializer: its model has rules for each file."""
        super().bind(field_name, parent)
        self.child._follow(_model_field(self))

    def get_value(self, dictionary: Mapping[str, Any]) -> Any:
        """Return what a client sent."""
        value = super().get_value(dictionary)
        return [] if value == [""] else value


class StoredObjectSerializerMixin:
    """Gives a ``ModelSerializer`` these fields: write it before the serializer's class.

    Without it, DRF takes a ``StoredObjectField`` for the JSON it is stored as, and lets a client
    write path and alias.
    """

    serializer_field_mapping = {  # noqa: RUF012 - as in the base
        **serializers.ModelSerializer.serializer_field_mapping,
        StoredObjectField: StoredObjectSerializerField,
    }

    def build_standard_field(self, field_name: str, model_field: Any) -> tuple[Any, Any]:
        """Return the class and the options of a serializer's field for a model's."""
        kind, options = super().build_standard_field(  # type: ignore[misc]
            field_name, model_field
        )
        if not isinstance(model_field, StoredObjectField):
            return kind, options
        taken = ("label", "help_text", "read_only", "required", "allow_null")
        options = {name: options[name] for name in taken if name in options}
        if model_field.multiple:
            kind = MultipleStoredObjectSerializerField
            if not model_field.blank and not options.get("read_only"):
                options["allow_empty"] = False
                # the field gives itself this default
                if model_field.default is list and not model_field.null:
                    options.pop("required", None)
        return kind, options


def _described(value: Any) -> FileObject:
    """Return a file of a row as it is, and an upload as the file that it would become."""
    return value if isinstance(value, FileObject) else FileObject("", value.name, content=value)


def _model_field(field: Any) -> StoredObjectField | None:
    """Return the field of a serializer's model that `field` is for."""
    model = getattr(getattr(field.parent, "Meta", None), "model", None)
    if model is None or len(field.source_attrs) != 1:
        return None
    try:
        found = model._meta.get_field(field.source)
    except FieldDoesNotExist:
        return None
    return found if isinstance(found, StoredObjectField) else None
