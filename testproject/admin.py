"""The admin of the demo; its lists ask no storage."""

from __future__ import annotations

from django.contrib import admin

from django_fsspec.admin import StoredObjectAdminMixin, move_files

from .models import Album, Document


@admin.register(Document)
class DocumentAdmin(StoredObjectAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Documents, sorted, searched and filtered by what their rows say of the files."""

    actions = (move_files,)
    list_display = ("file_preview", "title", "file_size", "file_type", "file_storage")
    list_display_links = ("title",)
    search_fields = ("title", "file__metadata__original_name")


@admin.register(Album)
class AlbumAdmin(StoredObjectAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Albums, with what their photos come to."""

    actions = (move_files,)
    list_display = ("photos_preview", "title", "photo_count", "photos_size", "photos_type")
    list_display_links = ("title",)
    search_fields = ("title",)

    @admin.display(description="photos", ordering="photos__len")
    def photo_count(self, album: Album) -> int:
        return len(album.photos)
