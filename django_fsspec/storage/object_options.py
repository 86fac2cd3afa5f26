"""Object options: content type, encoding, headers and metadata that are sent with a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_fsspec.adapters.base import Dialect
from django_fsspec.core.content_types import guess_type, safe_type

from .options import OptionError, StorageOptions, check_object_options

#: content types that `gzip=True` packs
GZIP_TYPES = (
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/xml",
    "image/svg+xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/plain",
    "text/xml",
)


def resolve(
    options: StorageOptions, dialect: Dialect, name: str, content: object
) -> dict[str, Any]:
    """Return the neutral options to send with `name`.

    Raises ``OptionError`` for one that the service can't keep; nothing is dropped silently.
    """
    chosen = options.object_options
    resolved = dict(chosen if isinstance(chosen, Mapping) else chosen(name))
    if not isinstance(chosen, Mapping):
        check_object_options(resolved)
        check_honoured(resolved, dialect)
    given = resolved.get("content_type")
    resolved["content_type"] = safe_type(given) if given else guess_type(name, content)
    if packs(options, resolved["content_type"]) and "content_encoding" not in resolved:
        resolved["content_encoding"] = "gzip"
    return resolved


def packs(options: StorageOptions, content_type: str) -> bool:
    """Return whether content of this type is gzipped on write."""
    if not options.gzip:
        return False
    types = GZIP_TYPES if options.gzip is True else options.gzip
    return content_type.partition(";")[0].strip() in types


def check_honoured(options: Mapping[str, Any], dialect: Dialect) -> None:
    """Raise ``OptionError`` for an object option that the service can't keep."""
    for name in options:
        if name != "extra" and name not in dialect.headers:
            able = ", ".join(map(repr, dialect.headers)) or "none"
            raise OptionError(
                "object_options",
                f"{name!r} can't be kept by this service (it keeps {able}): remove it.",
            )
    if reason := metadata_fault(options.get("metadata") or {}, dialect):
        raise OptionError("object_options", reason)
    if options.get("extra") and not dialect.headers:
        raise OptionError("object_options", "'extra' has no meaning for this service: remove it.")


def metadata_fault(metadata: Mapping[str, str], dialect: Dialect) -> str | None:
    """Return why a service can't keep `metadata`, and what to do; None where it can."""
    for name, value in metadata.items():
        if dialect.ascii_metadata and not f"{name}{value}".isascii():
            return (
                f"has metadata {name!r} that are not ASCII, which this service can't keep: "
                "encode them, for example with urllib.parse.quote()."
            )
    return None


def check_options(options: StorageOptions, dialect: Dialect) -> None:
    """Raise ``OptionError`` for object options and `gzip` that the service can't keep."""
    if isinstance(options.object_options, Mapping):
        check_honoured(options.object_options, dialect)
    if options.gzip and "content_encoding" not in dialect.headers:
        raise OptionError(
            "gzip", "needs a service that keeps a content encoding, which this one does not."
        )
