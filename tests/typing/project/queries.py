"""What only the plugin of django-stubs knows."""

from __future__ import annotations

from typing import reveal_type

from django.core.files.base import ContentFile
from django.db.models import F, Sum

from django_fsspec import FileObject

from .models import Document


def right(file: FileObject) -> None:
    Document.objects.create(file=file, cover=None, pages=[file], scan=5, strict=file)
    Document.objects.create(file=ContentFile(b"x", name="x.txt"), strict=file)
    Document.objects.filter(file=file, cover=None, cover__isnull=False, pages__len=5)
    Document.objects.filter(file={"backend": "default", "filename": "a.txt"}, file__in=[file])
    Document.objects.filter(file__size__gt=5, file__content_type__startswith="image/")
    Document.objects.filter(file__metadata__camera="x", file__refers_to="a.txt", pages__0__size=5)
    Document.objects.filter(file=F("cover")).update(cover=None, file=file)
    Document.objects.order_by("file__size").aggregate(Sum("file__size"))
    reveal_type(Document.objects.get().file)  # FileObject
    reveal_type(Document.objects.values_list("file", flat=True).get())  # FileObject
    reveal_type(Document.objects.values_list("cover", flat=True).get())  # FileObject | None
    reveal_type(Document.objects.values_list("pages", flat=True).get())  # FileList


def wrong(file: FileObject) -> None:
    Document(file=b"x", strict=file)  # refused
    Document(file=None, strict=file)  # refused
    Document(pages=file)  # refused with stubs
    Document.objects.create(file="a.txt")  # refused
    Document.objects.create(cover=b"x")  # refused
    Document.objects.filter(file="a.txt")  # refused
    Document.objects.filter(files=file)  # refused
