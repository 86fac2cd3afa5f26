"""Classes of one's own over those of the package: nothing of it is refused."""

from __future__ import annotations

from typing import reveal_type

from django.contrib import admin
from django.http import HttpRequest

from django_fsspec import FileObject
from django_fsspec.admin import SizeListFilter, StoredObjectAdminMixin
from django_fsspec.storage import FSSpecStorage
from django_fsspec.views import StoredObjectDownloadView

from .models import Document


class DocumentAdmin(StoredObjectAdminMixin, admin.ModelAdmin[Document]):
    list_display = ("file_preview", "file_size")
    list_filter = (("file", SizeListFilter),)


class DocumentView(StoredObjectDownloadView):
    model = Document
    field = "file"

    def has_permission(self, request: HttpRequest, file: FileObject) -> bool:
        return bool(self.get_object().pk) and request.user.is_authenticated

    def get_filename(self, file: FileObject) -> str:
        return file.original_name


class MediaStorage(FSSpecStorage):
    def get_valid_name(self, name: str) -> str:
        return name.lower()


reveal_type(MediaStorage(fs="memory").get_content("a.txt"))  # bytes
