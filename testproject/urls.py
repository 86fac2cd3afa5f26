"""URLs of the demo."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from .views import CopyView, DeleteView, FilesView

urlpatterns = [
    path("", FilesView.as_view(), name="files"),
    path("delete/", DeleteView.as_view(), name="delete"),
    path("copy/", CopyView.as_view(), name="copy"),
    path("admin/", admin.site.urls),
    path("files/", include("django_fsspec.urls")),
]
