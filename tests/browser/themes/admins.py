"""The admin of the browser tests, made of the classes of a theme."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from django_fsspec.admin import StoredObjectAdminMixin
from tests.library.models import Box, Paper, Shelf


def patterns(
    site: admin.AdminSite = admin.site,
    model_admin: Any = admin.ModelAdmin,
    tabular: Any = admin.TabularInline,
) -> list[URLPattern | URLResolver]:
    """Register the models with a site; return the URLs of its pages and files."""
    inline = type("BoxInline", (tabular,), {"model": Box, "extra": 1})
    shelves = {"inlines": (inline,), "save_as": True}
    site.register(Shelf, type("ShelfAdmin", (StoredObjectAdminMixin, model_admin), shelves))
    papers = {"list_display": ("file_preview", "title", "file_type", "file_storage", "file")}
    site.register(Paper, type("PaperAdmin", (StoredObjectAdminMixin, model_admin), papers))
    return [path("admin/", site.urls), path("files/", include("django_fsspec.urls"))]
