"""Models with a history of django-simple-history, and models under django-reversion's control.

Only an installed app can have such models, so that tests get them from the registry of apps.
"""

from __future__ import annotations

import reversion
from django.db import models
from simple_history.models import HistoricalRecords

from django_fsspec.fields import StoredObjectField


class Document(models.Model):
    """A file and a list of files, with a history in the row's own database."""

    title = models.CharField(max_length=50, blank=True)
    file = StoredObjectField(upload_to="documents", null=True, blank=True)
    files = StoredObjectField(upload_to="documents", multiple=True, blank=True)

    history = HistoricalRecords(use_base_model_db=True)

    def __str__(self) -> str:
        return self.title


class Report(Document):
    """A document with a table of its own beside it, and a history of both tables."""

    cover = StoredObjectField(upload_to="reports", null=True, blank=True)

    history = HistoricalRecords()


class Statute(models.Model):
    """Files outlive their rows."""

    title = models.CharField(max_length=50, blank=True)
    file = StoredObjectField(upload_to="statutes", cleanup=False, null=True, blank=True)

    history = HistoricalRecords()

    def __str__(self) -> str:
        return self.title


class Note(models.Model):
    """The history goes with the row."""

    title = models.CharField(max_length=50, blank=True)
    file = StoredObjectField(upload_to="notes", null=True, blank=True)

    history = HistoricalRecords(cascade_delete_history=True)

    def __str__(self) -> str:
        return self.title


@reversion.register()
class Contract(models.Model):
    """Files go when rows no longer hold them, and reverting finds them gone."""

    title = models.CharField(max_length=50, blank=True)
    file = StoredObjectField(upload_to="contracts", null=True, blank=True)
    files = StoredObjectField(upload_to="contracts", multiple=True, blank=True)

    def __str__(self) -> str:
        return self.title


@reversion.register()
class Treaty(models.Model):
    """Files stay, so that reverting finds them."""

    title = models.CharField(max_length=50, blank=True)
    file = StoredObjectField(upload_to="treaties", cleanup=False, null=True, blank=True)

    def __str__(self) -> str:
        return self.title
