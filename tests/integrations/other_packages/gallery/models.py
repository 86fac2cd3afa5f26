"""A picture, and with django-imagekit a thumbnail of it that no column holds."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models

_thumbnail: Any = None
if apps.is_installed("imagekit"):
    from imagekit.models import ImageSpecField
    from imagekit.processors import ResizeToFill

    _thumbnail = ImageSpecField(source="image", processors=[ResizeToFill(5, 5)], format="PNG")


class Picture(models.Model):
    """A picture in a file field."""

    image = models.ImageField(upload_to="pictures")
    thumbnail = _thumbnail

    def __str__(self) -> str:
        return str(self.image)
