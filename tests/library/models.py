"""One model a way to hold files.

A file that is optional is Any to mypy: a test knows which of its rows have one.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper

from django_fsspec import FileObject
from django_fsspec.fields import StoredObjectField


class Attachment(models.Model):
    """Django's own file fields."""

    title = models.CharField(max_length=100)
    file = models.FileField(upload_to="documents/%Y", max_length=60)
    picture = models.ImageField(
        upload_to="pictures", width_field="width", height_field="height", blank=True
    )
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)

    def __str__(self) -> str:
        return self.title


class Paper(models.Model):
    """One file, optional."""

    title = models.CharField(max_length=50, blank=True)
    file: Any = StoredObjectField(upload_to="papers", null=True, blank=True)

    def __str__(self) -> str:
        return self.title


class Magazine(Paper):
    """A paper with a table of its own beside it, and a cover."""

    cover: Any = StoredObjectField(upload_to="covers", null=True, blank=True)


class Leaflet(Paper):
    """A paper by another name."""

    class Meta:
        proxy = True


class Binder(Paper):
    """A paper with a table of its own beside it, without files in that."""

    rings = models.IntegerField(default=2)


def default_portrait() -> FileObject:
    """Return the file of members without a picture of their own."""
    return FileObject("default", "members/default.txt")


class Member(models.Model):
    """Files that new rows get, by Python and by the database."""

    name = models.CharField(max_length=50, blank=True)
    file: Any = StoredObjectField(upload_to="members", null=True, default=default_portrait)
    badge: Any = StoredObjectField(
        upload_to="members",
        null=True,
        db_default=models.Value(
            {"backend": "default", "filename": "members/badge.txt"}, models.JSONField()
        ),
    )
    picture = models.FileField(default="members/picture.txt")


class Shelf(models.Model):
    """Several files; deleting it deletes the boxes on it."""

    files = StoredObjectField(upload_to="shelves/%Y", multiple=True, blank=True)


class Box(models.Model):
    """A file that goes with its shelf."""

    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE)
    file = StoredObjectField()


class Label(models.Model):
    """A row of which the database makes a part, and newer versions of Django read it back."""

    title = models.CharField(max_length=100)
    loud = models.GeneratedField(
        expression=Upper("title"), output_field=models.CharField(max_length=100), db_persist=True
    )
    file: Any = StoredObjectField(null=True)


def alias_of_tenant(instance: Any) -> str:
    """Return the alias for the files of a tenant."""
    return str(instance.tenant)


def named_by_row(instance: Any, filename: str) -> str:
    return f"{instance.tenant}/{instance.id}/{filename}"


def named_by_time(instance: Any, filename: str) -> str:
    return f"{instance.created:%Y/%m}/{instance.changed:%d}/{filename}"


class Minutes(models.Model):
    """A file whose path is made of times that Django sets, before and after it."""

    created = models.DateTimeField(auto_now_add=True)
    file = StoredObjectField(upload_to=named_by_time)
    changed = models.DateField(auto_now=True)


class Record(models.Model):
    """A primary key that is known before the row is stored, files where the tenant's are."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    tenant = models.CharField(max_length=20, default="default")
    file = StoredObjectField(backend=alias_of_tenant, upload_to=named_by_row)
    unique = models.CharField(max_length=20, null=True, unique=True)  # noqa: DJ001 - many NULLs


class Photo(models.Model):
    """A small picture."""

    image = StoredObjectField(
        upload_to="photos", image=True, content_types=["image/*"], max_size=100_000
    )


class Parcel(models.Model):
    """Files that browsers send past the form."""

    file: Any = StoredObjectField(
        upload_to="parcels",
        direct_upload=True,
        max_size=40_000_000,
        content_types=["image/png", "text/plain", "application/octet-stream"],
        null=True,
        blank=True,
    )
    files = StoredObjectField(
        upload_to="parcels", direct_upload=True, multiple=True, max_size=1000, blank=True
    )
    picture: Any = StoredObjectField(
        upload_to="parcels", direct_upload=True, image=True, null=True, blank=True
    )


class Archive(models.Model):
    """Files outlive their rows."""

    file: Any = StoredObjectField(cleanup=False, null=True, blank=True, checksum="md5")


class Ledger(models.Model):
    """A file that the database itself bounds and finds by name."""

    file = StoredObjectField(max_length=40)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(file__size__lte=1000), name="ledger_is_small"),
        ]
        indexes = [models.Index(F("file__filename"), name="ledger_by_filename")]


class Folder(models.Model):
    """A file and a list of files, among columns whose values can be refused."""

    pages = models.IntegerField(default=0)
    file: Any = StoredObjectField(upload_to="folders", null=True, blank=True)
    files = StoredObjectField(upload_to="folders", multiple=True, blank=True)
    copies = models.IntegerField(default=0)
    code = models.CharField(max_length=20, null=True, unique=True)  # noqa: DJ001 - many NULLs


def named_by_folder(instance: Any, filename: str) -> str:
    return f"chapters/{instance.folder_id}/{filename}"


class Chapter(models.Model):
    """Rows in the order of another table's, with two lists of files."""

    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, null=True)
    file: Any = StoredObjectField(upload_to=named_by_folder, null=True)
    notes = StoredObjectField(multiple=True)
    figures = StoredObjectField(multiple=True)

    class Meta:
        ordering = ["folder__code"]


class Page(models.Model):
    """A file in the order of its folder's pages."""

    folder = models.ForeignKey(Folder, on_delete=models.CASCADE)
    file: Any = StoredObjectField(null=True)

    class Meta:
        order_with_respect_to = "folder"


class Cabinet(models.Model):
    """A row of which Django asks whether it is there before it saves it."""

    file: Any = StoredObjectField(null=True)
    files = StoredObjectField(multiple=True)

    class Meta:
        select_on_save = True


class Journal(models.Model):
    """A row that notes which of its attributes were set, as packages for dirty fields do."""

    title = models.CharField(max_length=50, blank=True)
    file: Any = StoredObjectField(null=True)
    files = StoredObjectField(multiple=True)
    outliving: Any = StoredObjectField(null=True, cleanup=False)

    def __setattr__(self, name: str, value: Any) -> None:
        vars(self).setdefault("attributes_set", set()).add(name)
        super().__setattr__(name, value)


class CountingField(models.IntegerField):  # type: ignore[type-arg]
    """The number of times that ``pre_save()`` was called for a row."""

    def pre_save(self, model_instance: models.Model, add: bool) -> int:
        count = int(getattr(model_instance, self.attname)) + 1
        setattr(model_instance, self.attname, count)
        return count


class Tally(models.Model):
    """A field that changes with each statement."""

    number = CountingField(default=0)


class Edition(models.Model):
    """A file beside such a field."""

    file: Any = StoredObjectField(null=True)
    number = CountingField(default=0)


class Draft(models.Model):
    """A row whose file comes after the class."""

    title = models.CharField(max_length=50, blank=True)


Draft.add_to_class("file", StoredObjectField(null=True))


class Dossier(models.Model):
    """One file and several, between columns that can be refused."""

    title = models.CharField(max_length=50)
    file: Any = StoredObjectField(upload_to="dossiers", null=True, blank=True)
    number = models.IntegerField(default=0)
    files = StoredObjectField(upload_to="dossiers", multiple=True, blank=True)
    code = models.CharField(max_length=50, unique=True)

    def __str__(self) -> str:
        return self.title


class Volume(Dossier):
    """A dossier with a table of its own beside it."""

    cover: Any = StoredObjectField(upload_to="volumes", null=True, blank=True)


class TrackedDossier(Dossier):
    """A dossier that looks at each assignment, as packages that track changes do."""

    class Meta:
        proxy = True

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
