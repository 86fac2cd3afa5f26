"""Django REST framework: serializer fields for files, and views for direct uploads. Extra `drf`.

A client can't set the path of a file: only uploads are accepted, and receipts of direct uploads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from django_fsspec.core.extras import load
from django_fsspec.core.names import last_part
from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.forms.cards import url_of
from django_fsspec.objects.description import EXTRA
from django_fsspec.objects.file_object import FileObject
from django_fsspec.uploads import Destination, check_list, redeemed
from django_fsspec.uploads.rest_framework import DirectUploadViewSet

if TYPE_CHECKING:
    from rest_framework import serializers
    from rest_framework.exceptions import PermissionDenied
    from rest_framework.settings import api_settings
else:
    PermissionDenied = load("rest_framework.exceptions", "drf", __name__).PermissionDenied
    serializers = load("rest_framework.serializers", "drf", __name__)
    api_settings = load("rest_framework.settings", "drf", __name__).api_settings

__all__ = [
    "SHOWN",
    "DirectUploadViewSet",
    "MultipleStoredObjectSerializerField",
    "StoredObjectSerializerField",
    "StoredObjectSerializerMixin",
]

#: default of `fields`
SHOWN = ("name", "size", "content_type", "url", "last_modified")


def _modified(file: FileObject) -> Any:
    """Return the time as a ``DateTimeField`` does."""
    if file.last_modified is None:
        return None
    moment = datetime.fromtimestamp(file.last_modified, UTC)
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
    """A serializer field for a file: accepts an upload, returns a dict. Makes no request.

    Example::

        class DocumentSerializer(serializers.Serializer):
            file = StoredObjectSerializerField(fields=["name", "size", "url"])

        assert DocumentSerializer(document).data["file"]["name"] == "may.txt"

    `fields` are keys of the dict: "name" (that the user gave the file), "size" (bytes),
    "content_type", "url" (absolute where the context has the request), "last_modified",
    "checksum", "width", "height", "metadata". ``use_url=False`` omits the URL. ``allow_null``
    accepts None. A ``ModelSerializer`` checks the rules of the model field: `max_size`,
    `content_types`, `image`, `validators`, `max_length`. Raises ``ValueError`` for unknown
    `fields`.

    Where the model field has ``direct_upload=True``, or with a `destination`, the receipt of a
    direct upload is accepted as well, as text. The receipt of another user is a 403.
    """

    default_error_messages = {  # noqa: RUF012 - as in the base
        "invalid": _(
            "This is not an upload. Send the file itself as multipart/form-data; a path or a "
            "description is not accepted."
        ),
    }

    validators: list[Any]
    max_length: int | None

    def __init__(
        self,
        *,
        fields: Iterable[str] = SHOWN,
        destination: Destination | None = None,
        **options: Any,
    ) -> None:
        self.destination = destination
        self.fields = (fields,) if isinstance(fields, str) else tuple(fields)
        if unknown := set(self.fields) - {*_FACTS, "url"}:
            keys = ", ".join(map(repr, sorted([*_FACTS, "url"])))
            raise ValueError(f"fields={sorted(unknown)!r} are unknown; there are {keys}.")
        if "encoder" in options:
            # without the mixin, DRF passes the options of a JSON field
            for name in ("encoder", "decoder", "style"):
                options.pop(name, None)
        super().__init__(**options)

    def bind(self, field_name: str, parent: Any) -> None:
        """Use the rules of the model field. Raises ``TypeError`` for one with several files."""
        super().bind(field_name, parent)
        rules = _model_field(self)
        if rules is not None and rules.multiple:
            raise TypeError(
                f"{rules} holds several files: declare a MultipleStoredObjectSerializerField for "
                "it, or add StoredObjectSerializerMixin to the serializer."
            )
        self._follow(rules)

    def _follow(self, rules: StoredObjectField | None) -> None:
        if rules is None:
            return

        def check(upload: Any) -> None:
            # as full_clean() does: validators of a model get the value that the model would hold
            file = _described(upload)
            if file is not upload:
                rules.validate_name(file, None)
            rules.run_validators(file)

        own = [validator for validator in self.validators if validator not in rules.validators]
        self.validators = [check, *own]
        self.max_length = self.max_length or rules.max_length
        if rules.direct_upload and self.destination is None:
            self.destination = Destination.of(rules)

    def to_internal_value(self, data: Any) -> UploadedFile[bytes] | FileObject:
        """Return the upload, or the file of a receipt: 1 request, and 1 query for each field.

        Raises ``ValidationError`` for anything else, ``PermissionDenied`` for a receipt that is
        forged, another user's, for another field or used already.
        """
        if isinstance(data, str) and data and self.destination is not None:
            with _refusals():
                return redeemed(data, [self.destination])
        if not isinstance(data, UploadedFile):
            self.fail("invalid")
        if not last_part(str(data.name)):
            self.fail("no_name")
        upload: UploadedFile[bytes] = super().to_internal_value(data)
        return upload

    def to_representation(self, value: Any) -> dict[str, Any] | None:
        """Return the dict; None for no file, and for invalid JSON in the row."""
        if not value:
            return None
        file = _described(value)
        return {
            name: self._url(file) if name == "url" else _FACTS[name](file)
            for name in self.shown_keys()
        }

    def shown_keys(self) -> list[str]:
        """Return the keys of the dict: `fields`, without "url" where there is to be none."""
        use_url = getattr(self, "use_url", api_settings.UPLOADED_FILES_USE_URL)
        return [name for name in self.fields if name != "url" or use_url]

    def _url(self, file: FileObject) -> str | None:
        # one row whose file has no URL must not break a page of rows
        url = url_of(file)
        if not url:
            return None
        request = self.context.get("request")
        return url if request is None else str(request.build_absolute_uri(url))


class MultipleStoredObjectSerializerField(serializers.ListField):  # type: ignore[misc]
    """A serializer field for several files: uploads replace all files of the row.

    Example::

        files = MultipleStoredObjectSerializerField(fields=["name", "url"], max_length=10)

    ``[]`` removes all files, and so does an empty value in a form. Takes the options of
    ``ListField``, and of ``StoredObjectSerializerField`` for each file.
    """

    def __init__(
        self, *, child: StoredObjectSerializerField | None = None, **options: Any
    ) -> None:
        if child is None:
            own = ("fields", "use_url", "allow_empty_file", "destination")
            child_options = {name: options.pop(name) for name in own if name in options}
            child = StoredObjectSerializerField(**child_options)
        super().__init__(child=child, **options)

    def bind(self, field_name: str, parent: Any) -> None:
        """Use the rules of the model field for each file."""
        super().bind(field_name, parent)
        self.child._follow(_model_field(self))

    def get_value(self, dictionary: Mapping[str, Any]) -> Any:
        """Return the value that the client sent."""
        value = super().get_value(dictionary)
        return [] if value == [""] else value

    def to_internal_value(self, data: Any) -> list[Any]:
        """Return the uploads and the files of receipts. Raises as its `child` does."""
        items = data if isinstance(data, list | tuple) else []
        receipts = [item for item in items if item and isinstance(item, str)]
        if receipts and self.child.destination is not None:
            with _refusals():
                check_list(receipts)
        return list(super().to_internal_value(data))


class StoredObjectSerializerMixin:
    """Makes a ``ModelSerializer`` use these fields: name it before the serializer's base class.

    Example::

        class DocumentSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):
            class Meta:
                model = Document
                fields = ["title", "file"]

        assert DocumentSerializer(document).data["file"]["size"] == 11

    Without it, DRF treats a ``StoredObjectField`` as JSON, and a client could write path and
    alias.
    """

    serializer_field_mapping = {  # noqa: RUF012 - as in the base
        **serializers.ModelSerializer.serializer_field_mapping,
        StoredObjectField: StoredObjectSerializerField,
    }

    def build_standard_field(self, field_name: str, model_field: Any) -> tuple[Any, Any]:
        """Return class and options of the serializer field for a model field."""
        field_class, options = super().build_standard_field(  # type: ignore[misc]
            field_name, model_field
        )
        if not isinstance(model_field, StoredObjectField):
            return field_class, options
        taken = ("label", "help_text", "read_only", "required", "allow_null")
        options = {name: options[name] for name in taken if name in options}
        if model_field.multiple:
            field_class = MultipleStoredObjectSerializerField
            if not model_field.blank and not options.get("read_only"):
                options["allow_empty"] = False
                # the model field sets this default itself
                if model_field.default is list and not model_field.null:
                    options.pop("required", None)
        return field_class, options


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise what DRF knows for a receipt that is refused, with the status that it has."""
    try:
        yield
    except ValidationError as error:
        if (error.params or {}).get("status") == 403:
            raise PermissionDenied(error.messages[0]) from None
        raise serializers.ValidationError(error.messages, code="receipt") from None


def _described(value: Any) -> FileObject:
    """Return a file of a row as it is, and an upload as an unsaved file."""
    if isinstance(value, FileObject):
        return value
    return FileObject("", last_part(value.name), content=value)


def _model_field(field: Any) -> StoredObjectField | None:
    """Return the model field that a serializer field is for."""
    model = getattr(getattr(field.parent, "Meta", None), "model", None)
    if model is None or len(field.source_attrs) != 1:
        return None
    try:
        model_field = model._meta.get_field(field.source)
    except FieldDoesNotExist:
        return None
    return model_field if isinstance(model_field, StoredObjectField) else None
