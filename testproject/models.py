"""Models whose rows hold files, on whichever storage their owner chose."""

from __future__ import annotations

from django.db import models
from django.db.models import F

from django_fsspec.fields import StoredObjectField


class Document(models.Model):
    """One file with a title."""

    title = models.CharField(max_length=100)
    file = StoredObjectField(upload_to="documents/%Y")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]
        # asked for before a file is deleted: is it any other row's?
        indexes = [models.Index(F("file__filename"), name="document_filename")]

    def __str__(self) -> str:
        return self.title


class Album(models.Model):
    """Pictures that belong together, in an order."""

    title = models.CharField(max_length=100)
    photos = StoredObjectField(
        upload_to="albums/%Y", multiple=True, blank=True, image=True, content_types=["image/*"]
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.title
