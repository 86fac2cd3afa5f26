"""Stored files in the admin: the widget, columns, filters, metadata and what they come to."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import PermissionDenied
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_fsspec.forms.cards import Card, shown_name
from django_fsspec.forms.widgets import StoredObjectInput
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.references import stored_among, stored_fields
from django_fsspec.rows.values import files_of

from .filters import BackendListFilter, ContentTypeListFilter, SizeListFilter
from .overview import WIDTH, Overview

if TYPE_CHECKING:
    from django_fsspec.rows.protocols import StoredField

    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = object

__all__ = [
    "AdminStoredObjectWidget",
    "BackendListFilter",
    "ContentTypeListFilter",
    "SizeListFilter",
    "StoredObjectAdminMixin",
]


class AdminStoredObjectWidget(StoredObjectInput):
    """The input in the colours of the admin; every ``ModelAdmin`` uses it by itself."""

    look = "stored-object stored-object-admin"


class StoredObjectAdminMixin(ModelAdmin):
    """For a ``ModelAdmin`` whose model has a `StoredObjectField`, or several. Asks no storage.

    For each field `file` there are columns `file_preview`, `file_size`, `file_type` and
    `file_storage` for `list_display`, and `file_metadata` for `readonly_fields`. A list that
    names no columns and no filters gets them. The page `storage/` says what all files come to
    that the user may see.
    """

    change_list_template = "django_fsspec/admin/change_list.html"
    #: actions for every such admin, besides `actions`
    stored_object_actions: ClassVar[Sequence[Callable[..., Any]]] = ()

    def __init__(self, model: Any, admin_site: admin.AdminSite) -> None:
        self.stored_fields = stored_among(model._meta.concrete_fields)
        for found in self.stored_fields:
            for name, made in _columns(found).items():
                if not hasattr(self, name):
                    setattr(self, name, made)
        if self.stored_object_actions:
            self.actions = [*(self.actions or ()), *self.stored_object_actions]
        super().__init__(model, admin_site)

    @property
    def media(self) -> forms.Media:
        """The style of previews, and what is the admin's own."""
        return super().media + forms.Media(css={"all": ["django_fsspec/stored-object.css"]})

    # lists

    def get_list_display(self, request: Any) -> Any:
        """Return the columns; those of files where none were chosen."""
        chosen = super().get_list_display(request)
        if tuple(chosen) != ("__str__",):
            return chosen
        names = [found.name for found in self.stored_fields]
        previews = [f"{name}_preview" for name in names]
        facts = [f"{name}_{fact}" for name in names for fact in ("size", "type", "storage")]
        return [*previews, "__str__", *facts]

    def get_list_display_links(self, request: Any, list_display: Any) -> Any:
        """Return the columns that lead to a row: not a preview, unless there is nothing else."""
        links = super().get_list_display_links(request, list_display)
        if self.list_display_links == () and self.list_display == ("__str__",):
            return ["__str__"]
        return links

    def get_list_filter(self, request: Any) -> Any:
        """Return the filters; those of files where none were chosen."""
        chosen = super().get_list_filter(request)
        if chosen:
            return chosen
        filters: list[Any] = []
        for found in self.stored_fields:
            kinds = [ContentTypeListFilter, BackendListFilter, SizeListFilter]
            kinds = [BackendListFilter] if found.multiple else kinds
            filters += [(found.name, kind) for kind in kinds]
        return filters

    # a row

    @property
    def _metadata_names(self) -> list[str]:
        return [f"{found.name}_metadata" for found in self.stored_fields]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> Any:
        """Return what can't be changed: what is known of the files, too."""
        given = super().get_readonly_fields(request, obj)
        if obj is None:
            return given
        return [*given, *(name for name in self._metadata_names if name not in given)]

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        """Return the fieldsets, and one of metadata unless it was placed elsewhere."""
        sets = super().get_fieldsets(request, obj)
        names = self._metadata_names
        placed = flatten_fieldsets(self.fieldsets or ()) + list(self.fields or ())
        if obj is None or not names or set(names) & set(placed):
            return sets
        kept = [
            (label, {**options, "fields": [one for one in options["fields"] if one not in names]})
            for label, options in sets
        ]
        about = {"fields": names, "classes": ["collapse"]}
        return [*kept, (_("What is known of the stored files"), about)]

    # what files come to

    def get_urls(self) -> Any:
        """Return the URLs, and that of the overview."""
        opts = self.model._meta
        name = f"{opts.app_label}_{opts.model_name}_storage"
        view = self.admin_site.admin_view(self.storage_view)
        return [path("storage/", view, name=name), *super().get_urls()]

    def storage_view(self, request: Any) -> TemplateResponse:
        """Show bytes and files by storage and type, of all that the user may see.

        A query for each field; fields with several files are read row by row. No storage is
        asked.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        overview, shown = Overview(), []
        for found in stored_fields():
            if not self.admin_site.is_registered(found.model):
                continue
            owner = self.admin_site.get_model_admin(found.model)
            if owner.has_view_permission(request):
                overview.count(found, owner.get_queryset(request))
                shown.append(f"{found.model._meta.verbose_name}: {found.verbose_name}")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Storage"),
            "opts": self.model._meta,
            "media": self.media,
            "overview": overview,
            "fields": shown,
            "width": WIDTH,
        }
        return TemplateResponse(request, "django_fsspec/admin/overview.html", context)


def _columns(found: StoredField) -> dict[str, Callable[[Any], Any]]:
    """Return what an admin shows of a field, by the names of its columns."""
    name = found.name
    parts: dict[str, tuple[Any, Callable[[Any], Any], str | None]] = {
        "preview": (gettext_lazy("preview"), _preview, None),
        "size": (gettext_lazy("size"), _size, "size"),
        "type": (gettext_lazy("type"), _type, "content_type"),
        "storage": (gettext_lazy("storage"), _storage, "backend"),
        "metadata": (_label(found), _metadata, None),
    }
    made: dict[str, Callable[[Any], Any]] = {}
    for part, (label, shown, key) in parts.items():
        order = None if key is None or found.multiple else f"{name}__{key}"
        column = functools.partial(_of_row, name, shown)
        made[f"{name}_{part}"] = admin.display(
            column, description=label, ordering=order, empty_value="-"
        )
    return made


def _label(found: StoredField) -> str:
    return str(found.verbose_name or found.name)


def _of_row(name: str, shown: Callable[[list[FileObject]], Any], row: Any) -> Any:
    """Return what a column shows of a row."""
    return shown([file for file in files_of(getattr(row, name)) if file]) or None


def _preview(files: list[FileObject]) -> SafeString | str:
    cards = [Card.of(file) for file in files[:1]]
    more = len(files) - 1
    extra = format_html('<span class="stored-object-more">+{}</span>', more) if more > 0 else ""
    return format_html_join(
        "",
        '<span class="stored-object-preview">{}{}</span>',
        ((_picture(card), extra) for card in cards),
    )


def _picture(card: Card) -> SafeString:
    if card.thumbnail:
        html = '<img src="{}" alt="{}" width="48" height="48" loading="lazy">'
        return format_html(html, card.thumbnail, card.name)
    return format_html("<span>{}</span>", card.extension or card.icon)


def _size(files: list[FileObject]) -> str:
    known = [file.size for file in files if file.size is not None]
    return filesizeformat(sum(known)) if known else ""


def _type(files: list[FileObject]) -> str:
    return ", ".join(sorted({file.content_type for file in files}))


def _storage(files: list[FileObject]) -> str:
    return ", ".join(sorted({file.backend for file in files}))


def _metadata(files: list[FileObject]) -> SafeString:
    """Show what the column holds, key by key."""
    lists = []
    for file in files:
        rows = (
            (key, shown_name(json.dumps(value, ensure_ascii=False, default=str)))
            for key, value in file.to_dict().items()
        )
        lists.append((format_html_join("", "<dt>{}</dt><dd><code>{}</code></dd>", rows),))
    heading = ngettext("%(count)d file", "%(count)d files", len(files)) % {"count": len(files)}
    shown = format_html_join("", '<dl class="stored-object-metadata">{}</dl>', lists)
    return format_html("<div><p>{}</p>{}</div>", heading, shown) if len(files) > 1 else shown
