"""System checks of the image options of a ``StoredObjectField``; no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Error
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
