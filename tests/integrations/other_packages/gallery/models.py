"""Pictures, and with django-imagekit thumbnails of them that no column holds."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models

from django_fsspec.fields import StoredObjectField

_thumbnail: Any = None
_spec: Any = None
_processed: Any = None
if apps.is_installed("imagekit"):
    from imagekit.models import ImageSpecField, ProcessedImageField
    from imagekit.processors import ResizeToFill

    _thumbnail = ImageSpecField(source="image", processors=[ResizeToFill(5, 5)], format="PNG")
    _spec = ImageSpecField(source="photo", processors=[ResizeToFill(5, 5)], format="PNG")
    _processed = ProcessedImageField(
        upload_to="processed", processors=[ResizeToFill(6, 6)], format="PNG"
    )


class Picture(models.Model):
    """A picture in a file field."""

    image = models.ImageField(upload_to="pictures")
    thumbnail = _thumbnail
    processed = _processed

    def __str__(self) -> str:
        return str(self.image)


class Print(models.Model):
    """A photo as a stored object on one alias, whose thumbnails go to another."""

    photo: Any = StoredObjectField(upload_to="prints", backend="private", image=True, null=True)
    others = StoredObjectField(upload_to="prints", multiple=True)
    scan = models.FileField(upload_to="scans")
    thumbnail = _spec
