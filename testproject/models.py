"""Models with Django's own file fields, over whatever STORAGES says."""

from __future__ import annotations

from django.db import models


class Document(models.Model):
    """A file with a title."""

    title = models.CharField(max_length=100)
    file = models.FileField(upload_to="documents/%Y", max_length=60)
    picture = models.ImageField(
        upload_to="pictures", width_field="width", height_field="height", blank=True
    )
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)

    def __str__(self) -> str:
        return self.title
