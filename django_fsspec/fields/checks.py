"""System checks of the places and image options of a ``StoredObjectField``; no I/O."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.core.exceptions import ImproperlyConfigured

from django_fsspec.objects import images
from django_fsspec.validators import ImageValidator

if TYPE_CHECKING:
    from django_fsspec.rows.protocols import StoredField

_ID = "django_fsspec.E016"


def image_messages(field: StoredField) -> Iterable[CheckMessage]:
    """Yield an error for `formats` and `max_pixels` that are wrong or have no effect."""
    given = {"formats": field.formats, "max_pixels": field.max_pixels}
    options = [option for option, value in given.items() if value is not None]
    if options and not field.image:
        names = " and ".join(options)
        yield Error(f"{names} without image=True.", hint="Add image=True.", obj=field, id=_ID)
        return
    try:
        formats = ImageValidator(field.formats, field.max_pixels).formats
        unknown = images.unknown_formats(formats or ())
    except ImproperlyConfigured:
        return  # E013 tells which package is missing
    except (AttributeError, TypeError, ValueError) as error:
        yield Error(str(error), obj=field, id=_ID)
        return
    if unknown or formats == ():
        wrong = ", ".join(unknown) or "nothing"
        yield Error(
            f"formats={list(formats or ())!r}: Pillow can't open {wrong}.",
            hint="Write names of Pillow's formats, such as ['JPEG', 'PNG'].",
            obj=field,
            id=_ID,
        )


def place_messages(field: StoredField) -> Iterable[CheckMessage]:
    """Yield messages for an alias that is not in STORAGES, and for `upload_to`."""
    aliases = ", ".join(map(repr, settings.STORAGES))
    if not callable(field.backend):
        if field.backend not in settings.STORAGES:
            yield Error(
                f"backend={field.backend!r} is not in STORAGES, which has {aliases}.",
                hint="Add it, or use another alias.",
                obj=field,
                id="django_fsspec.E010",
            )
    elif alias := _unknown_alias(field.backend):
        yield Warning(
            f"backend is a function that returns {alias!r} now, which is not in STORAGES. It has "
            f"{aliases}.",
            hint="Return one of these.",
            obj=field,
            id="django_fsspec.W013",
        )
    if isinstance(field.upload_to, str) and field.upload_to.startswith("/"):
        yield Error(
            f"upload_to={field.upload_to!r} is not relative to the storage.",
            hint="Remove the leading slash.",
            obj=field,
            id="django_fsspec.E011",
        )


def takes_argument(function: Callable[..., str]) -> bool:
    """Return whether a callable `backend` takes the row."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional and p.default is p.empty for p in parameters)


def _unknown_alias(backend: Callable[..., str]) -> str | None:
    """Return what a callable `backend` returns, if it is the name of no storage.

    None where that depends on the row, or on a request or tenant that is not there.
    """
    if takes_argument(backend):
        return None
    try:
        alias = backend()
    except Exception:
        return None
    is_unknown = isinstance(alias, str) and alias and alias not in settings.STORAGES
    return alias if is_unknown else None
