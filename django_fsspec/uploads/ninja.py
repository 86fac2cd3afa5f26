"""Direct uploads in django-ninja: types of schema fields that take receipts, and a router.

Needs the extra `ninja`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from django.core.exceptions import ValidationError

from django_fsspec import uploads
from django_fsspec.core.extras import load
from django_fsspec.objects.file_object import FileObject
from django_fsspec.uploads import Destination, UploadRefused
from django_fsspec.uploads.refusals import refusing_storage_errors
from django_fsspec.uploads.tokens import field_of_label

if TYPE_CHECKING:
    from ninja import Router, Schema
    from ninja.errors import HttpError
    from pydantic import PlainValidator, WithJsonSchema
else:
    _ninja = load("ninja", "ninja", __name__)
    Router, Schema = _ninja.Router, _ninja.Schema
    HttpError = load("ninja.errors", "ninja", __name__).HttpError
    _pydantic = load("pydantic", "ninja", __name__)
    PlainValidator, WithJsonSchema = _pydantic.PlainValidator, _pydantic.WithJsonSchema

__all__ = ["receipt_of", "upload_router"]

Result = TypeVar("Result")
_RECEIPT = {"type": "string", "description": "The receipt of a direct upload."}


class Start(Schema):
    """What a client wants to upload; `size` is in bytes."""

    name: str
    size: int
    type: str = ""
    sha256: str = ""


class Instructions(Schema):
    """Where to send the bytes, and the token of the upload; see ``uploads.start()``."""

    upload: str
    method: str
    url: str | None
    headers: dict[str, str]
    part_size: int | None
    parts: list[dict[str, Any]]
    #: how many parts may be sent at a time; None: any number
    parallel: int | None = None


class Upload(Schema):
    """The token of an upload."""

    upload: str


class Finish(Upload):
    """The token of an upload, and what the client computed while it sent."""

    sha256: str = ""


class Status(Schema):
    """Parts that arrived, and new URLs for the others."""

    finished: list[dict[str, Any]]
    parts: list[dict[str, Any]]


class Receipt(Schema):
    """The receipt of an upload."""

    receipt: str


class Aborted(Schema):
    """Whether parts were removed."""

    aborted: bool


def receipt_of(field: str = "", *, destination: Destination | None = None) -> Any:
    """Return the type of a schema's field that takes the receipt of a direct upload.

    Example::

        from ninja import Schema

        class DocumentIn(Schema):
            title: str
            file: receipt_of("testproject.Document.file")

    The value is a ``FileObject`` to assign to the row, for a field with several files a list of
    them, for which a list of receipts is taken. `field` is the label of a ``StoredObjectField``;
    without one, `destination` says for which uploads the receipts are. A receipt that is forged,
    another user's, for another field or used already is a 403, any other a 422. Costs 1 request
    and 1 query for each field. Raises ``LookupError`` for the label of no such field.
    """
    target = destination or Destination.of(field_of_label(field))
    model_field = target.model_field

    def file_of(value: Any) -> FileObject:
        if not isinstance(value, str):
            raise ValueError("A receipt is text.")  # noqa: TRY004 - pydantic makes a 422 of it
        return _checked(lambda: uploads.redeemed(value, [target]))

    def files_of(value: Any) -> list[FileObject]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError("Receipts are a list of text.")
        _checked(lambda: uploads.check_list(value))
        return [file_of(item) for item in value]

    if model_field is not None and model_field.multiple:
        schema = WithJsonSchema({"type": "array", "items": _RECEIPT})
        return Annotated[list[FileObject], PlainValidator(files_of), schema]
    return Annotated[FileObject, PlainValidator(file_of), WithJsonSchema(_RECEIPT)]


def upload_router(
    field: str = "", *, destination: Destination | None = None, **options: Any
) -> Router:
    """Return a router with the four requests of a direct upload.

    Example::

        from ninja import NinjaAPI

        api = NinjaAPI(urls_namespace="example")
        api.add_router("/document-uploads", upload_router("testproject.Document.file"))

    ``POST`` to its root starts an upload, and `status`, `finish` and `abort` take its token: see
    docs/how-to/rest-and-schemas.md. Needs ``UploadsMiddleware``. Uploads belong to the user whom
    the authentication of the API returns. `options` are those of ninja's ``Router``.
    Raises ``LookupError`` for the label of no ``StoredObjectField``.
    """
    target = destination or Destination.of(field_of_label(field))
    router, name = Router(**options), (field or target.alias or "upload").replace(".", "_")

    @router.post("/", response=Instructions, operation_id=f"{name}_start_upload")
    def start(request: Any, file: Start) -> Any:
        ticket = uploads.ticket(target)
        return _answer(
            lambda: uploads.start(ticket, file.name, file.size, file.type, sha256=file.sha256)
        )

    @router.post("/status", response=Status, operation_id=f"{name}_upload_status")
    def status(request: Any, given: Upload) -> Any:
        return _answer(lambda: uploads.status(given.upload))

    @router.post("/finish", response=Receipt, operation_id=f"{name}_finish_upload")
    def finish(request: Any, given: Finish) -> Any:
        return _answer(lambda: {"receipt": uploads.finish(given.upload, given.sha256)})

    @router.post("/abort", response=Aborted, operation_id=f"{name}_abort_upload")
    def abort(request: Any, given: Upload) -> Any:
        return _answer(lambda: {"aborted": uploads.abort(given.upload)})

    return router


def _checked(action: Callable[[], Result]) -> Result:
    """Return the result; a refused receipt raises ``HttpError`` (403) or ``ValueError``."""
    try:
        return action()
    except ValidationError as error:
        if (error.params or {}).get("status") == 403:
            raise HttpError(403, error.messages[0]) from None
        raise ValueError(error.messages[0]) from None


def _answer(action: Callable[[], Any]) -> Any:
    """Return the result; a refusal and a storage that fails raise ``HttpError``."""
    try:
        with refusing_storage_errors():
            return action()
    except UploadRefused as refusal:
        raise HttpError(refusal.status, refusal.message) from None
