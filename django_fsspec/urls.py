"""URLs of files on backends that can't sign their own; the namespace is ``django_fsspec``."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "django_fsspec"

urlpatterns = [
    path("file/<str:token>", views.file, name="file"),
    path("upload/<str:token>", views.upload, name="upload"),
]
