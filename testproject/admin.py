"""The admin of the demo; its lists ask no storage."""

from __future__ import annotations

from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_fsspec.moving import move_files

from .models import Album, Document
from .templatetags.stored import link


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Documents, sorted and searched by what their rows say of the files."""

    actions = (move_files,)
    list_display = ("title", "opens", "size", "content_type", "storage")
    search_fields = ("title", "file__metadata__original_name")

    @admin.display(description="file", ordering="file__metadata__original_name")
    def opens(self, document: Document) -> SafeString:
        name = document.file.original_name
        return format_html('<a href="{}">{}</a>', link(document.file), name)

    @admin.display(ordering="file__size")
    def size(self, document: Document) -> str:
        return filesizeformat(document.file.size)

    @admin.display(description="type", ordering="file__content_type")
    def content_type(self, document: Document) -> str:
        return str(document.file.content_type)

    @admin.display(ordering="file__backend")
    def storage(self, document: Document) -> str:
        return str(document.file.backend)


@admin.register(Album)
class AlbumAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Albums, with what their photos come to."""

    actions = (move_files,)
    list_display = ("title", "photo_count", "size", "types")
    search_fields = ("title",)

    @admin.display(description="photos", ordering="photos__len")
    def photo_count(self, album: Album) -> int:
        return len(album.photos)

    @admin.display
    def size(self, album: Album) -> str:
        return filesizeformat(sum(photo.size or 0 for photo in album.photos))

    @admin.display(description="type")
    def types(self, album: Album) -> str:
        return ", ".join(sorted({photo.content_type for photo in album.photos}))
