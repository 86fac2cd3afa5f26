"""URLs of files on backends that can't sign their own; the namespace is ``django_fsspec``."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "django_fsspec"

urlpatterns = [
    path("file/<str:token>", views.file, name="file"),
    path("upload/<str:token>", views.upload, name="upload"),
    path("uploads/start", views.start_upload, name="start_upload"),
    path("uploads/status", views.upload_status, name="upload_status"),
    path("uploads/finish", views.finish_upload, name="finish_upload"),
]
