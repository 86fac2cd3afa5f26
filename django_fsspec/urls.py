"""URLs of files on backends that can't sign their own; the namespace is ``django_fsspec``."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "django_fsspec"

urlpatterns: list[URLPattern] = []
