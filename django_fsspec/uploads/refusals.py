"""Why an upload is refused: ``UploadRefused``, and the refusals of several modules."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.http import HttpResponseBase
from django.utils.translation import gettext

from django_fsspec.core.log_fields import log_fields

logger = logging.getLogger("django_fsspec")


class UploadRefused(Exception):
    """A direct upload is refused: `status` is the HTTP status, `message` the reason.

    `shown` says that the message is for the visitor, in the visitor's language.
    """

    def __init__(self, status: int, message: str, *, shown: bool = False) -> None:
        super().__init__(message)
        self.status, self.message, self.shown = status, message, shown

    def as_json(self) -> dict[str, Any]:
        """Return the body of the response."""
        return {"error": self.message, **({"shown": True} if self.shown else {})}


def not_passed(name: str) -> UploadRefused:
    """Return the refusal of a file that the hook `scan` refuses; `name` is the original one."""
    message = gettext("“%(name)s” did not pass the check of this site and was deleted.")
    return UploadRefused(422, message % {"name": name}, shown=True)


def too_long() -> UploadRefused:
    """Return the refusal of a body that is longer than was announced."""
    return UploadRefused(413, "The body is longer than was announced.")


def too_slow() -> UploadRefused:
    """Return the refusal of a client that is too slow."""
    return UploadRefused(408, "The upload was too slow. Upload the file again.")


def ended_early() -> UploadRefused:
    """Return the refusal of a body whose client is gone, or has sent less than it announced."""
    return UploadRefused(400, "The upload ended early. Upload the file again.")


def other_bytes() -> UploadRefused:
    """Return the refusal of bytes that have another SHA-256 than was announced."""
    message = "The bytes differ from the SHA-256 that was announced. Upload the file again."
    return UploadRefused(400, message)


Response = TypeVar("Response", bound=HttpResponseBase)


def without_django_log(response: Response) -> Response:
    """Return an error response that Django does not log: its log would have the path's token."""
    # the flag that Django's own exception handlers set
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


@contextmanager
def refusing_storage_errors() -> Iterator[None]:
    """Log an ``OSError`` inside the block and raise ``UploadRefused`` (502) in its place."""
    try:
        yield
    except OSError as error:
        logger.exception(
            "A direct upload failed: the storage failed.",
            extra=log_fields(operation="upload", status=502, error=error),
        )
        raise UploadRefused(502, "The storage failed.") from None
