"""The OpenAPI schema of fields and views; drf-spectacular knows these classes by itself."""

from __future__ import annotations

import inspect
from typing import Any

from drf_spectacular.extensions import (
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
    OpenApiViewExtension,
)
from drf_spectacular.plumbing import append_meta
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view

from . import rest_framework as uploads

_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "nullable": True}
_FACTS: dict[str, dict[str, Any]] = {
    "name": _TEXT,
    "size": _NUMBER,
    "content_type": _TEXT,
    "url": {"type": "string", "format": "uri", "nullable": True},
    "last_modified": {"type": "string", "format": "date-time", "nullable": True},
    "checksum": {"type": "string", "nullable": True},
    "width": _NUMBER,
    "height": _NUMBER,
    "metadata": {"type": "object", "additionalProperties": {}},
}
_UPLOAD = {"type": "string", "format": "binary"}
_RECEIPT = {"type": "string", "description": "The receipt of a direct upload."}


class FieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """A file: an upload or a receipt in requests, an object in responses."""

    target_class = "django_fsspec.rest_framework.StoredObjectSerializerField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Return the schema of the field for one direction."""
        if direction == "request":
            takes_receipts = self.target.destination is not None
            return {"oneOf": [_UPLOAD, _RECEIPT]} if takes_receipts else _UPLOAD
        # OpenAPI 3.1 says otherwise than 3.0 what is nullable
        facts = {name: append_meta(_FACTS[name], {}) for name in self.target.shown_keys()}
        return {"type": "object", "properties": facts, "required": list(facts)}


class SerializerSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """A serializer with the mixin, described by its own docstring and not by that of the mixin."""

    target_class = "django_fsspec.rest_framework.StoredObjectSerializerMixin"
    match_subclasses = True
    priority = -1  # a project's own goes first

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Return the schema of the serializer for one direction."""
        schema: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        if schema.get("description") == inspect.getdoc(self.target_class):
            del schema["description"]
        return schema


class UploadViewsSchema(OpenApiViewExtension):  # type: ignore[no-untyped-call]
    """The four requests of a direct upload."""

    target_class = "django_fsspec.uploads.rest_framework.DirectUploadViewSet"
    match_subclasses = True

    def view_replacement(self) -> Any:
        """Return the view with its requests and responses."""
        view: Any = self.target_class
        refused = {
            status: OpenApiResponse(description=text)
            for status, text in {
                403: "The token is not valid, or another user's.",
                410: "The token has expired.",
                413: "The file is too large.",
                415: "The content type is not allowed.",
            }.items()
        }

        def step(request: Any, response: Any) -> Any:
            return extend_schema(request=request, responses={200: response, **refused})

        return extend_schema_view(
            create=step(uploads.StartSerializer, uploads.InstructionsSerializer),
            status=step(uploads.UploadSerializer, uploads.StatusSerializer),
            finish=step(uploads.FinishSerializer, uploads.ReceiptSerializer),
            abort=step(uploads.UploadSerializer, uploads.AbortedSerializer),
        )(type(view.__name__, (view,), {}))
