"""Stored files in the admin: widget, list columns, filters, file details, totals."""

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
from django_fsspec.forms.type_names import name_of_type
from django_fsspec.forms.widgets import StoredObjectInput
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.references import stored_among, stored_fields
from django_fsspec.rows.values import files_of
from django_fsspec.storage.aliases import label_of

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
    """The file input in the admin's colours; every ``ModelAdmin`` uses it by default."""

    look = "stored-object stored-object-admin"


class StoredObjectAdminMixin(ModelAdmin):
    """Mixin for a ``ModelAdmin`` of a model with ``StoredObjectField`` s. No storage requests.

    Example::

        from django.contrib import admin

        class DocumentAdmin(StoredObjectAdminMixin, admin.ModelAdmin):
            list_display = ["title", "file_preview", "file_size", "file_storage"]

    For each field `file` it adds the columns `file_preview`, `file_size`, `file_type` and
    `file_storage` for `list_display`, and `file_metadata` for `readonly_fields`. They are the
    default, as are the filters, where `list_display` and `list_filter` are not set. The page
    `storage/` shows totals of all files that the user may view.
    """

    change_list_template = "django_fsspec/admin/change_list.html"
    #: actions of all subclasses, in addition to `actions`
    stored_object_actions: ClassVar[Sequence[Callable[..., Any]]] = ()

    def __init__(self, model: Any, admin_site: admin.AdminSite) -> None:
        self.stored_fields = stored_among(model._meta.concrete_fields)
        for field in self.stored_fields:
            for name, column in _columns(field, self.list_display).items():
                if not hasattr(self, name):
                    setattr(self, name, column)
        if self.stored_object_actions:
            self.actions = [*(self.actions or ()), *self.stored_object_actions]
        super().__init__(model, admin_site)

    @property
    def media(self) -> forms.Media:
        """The style sheet of previews, and the admin's own media."""
        return super().media + forms.Media(css={"all": ["django_fsspec/stored-object.css"]})

    # lists

    def get_list_display(self, request: Any) -> Any:
        """Return the columns; those of files where `list_display` is not set."""
        chosen = super().get_list_display(request)
        if tuple(chosen) != ("__str__",):
            return self._without_nested_links(
                chosen, super().get_list_display_links(request, chosen)
            )
        names = [field.name for field in self.stored_fields]
        previews = [f"{name}_preview" for name in names]
        details = [f"{name}_{part}" for name in names for part in ("size", "type", "storage")]
        return [*previews, "__str__", *details]

    def get_list_display_links(self, request: Any, list_display: Any) -> Any:
        """Return the columns that link to a row; by default not the preview."""
        links = super().get_list_display_links(request, list_display)
        if self.list_display_links == () and self.list_display == ("__str__",):
            return ["__str__"]
        return self._without_nested_links(links, links) if links else links

    def _without_nested_links(self, columns: Any, links: Any) -> list[Any]:
        """Return the columns; the name of a file, not its link, in one that links to the row."""
        files = {field.name for field in self.stored_fields} & set(links or ())
        return [f"{name}_name" if name in files else name for name in columns]

    def get_list_filter(self, request: Any) -> Any:
        """Return the filters; those of files where `list_filter` is not set."""
        chosen = super().get_list_filter(request)
        if chosen:
            return chosen
        filters: list[Any] = []
        for field in self.stored_fields:
            classes = [ContentTypeListFilter, BackendListFilter, SizeListFilter]
            classes = [BackendListFilter] if field.multiple else classes
            filters += [(field.name, filter_class) for filter_class in classes]
        return filters

    # a row

    @property
    def _metadata_names(self) -> list[str]:
        return [f"{field.name}_metadata" for field in self.stored_fields]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> Any:
        """Return the read-only fields, with the file details."""
        names = super().get_readonly_fields(request, obj)
        if obj is None:
            return names
        return [*names, *(name for name in self._metadata_names if name not in names)]

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        """Return the fieldsets, and one of file details unless `fieldsets` has them."""
        sets = super().get_fieldsets(request, obj)
        names = self._metadata_names
        placed = flatten_fieldsets(self.fieldsets or ()) + list(self.fields or ())
        if obj is None or not names or set(names) & set(placed):
            return sets
        kept = [
            (
                label,
                {**options, "fields": [name for name in options["fields"] if name not in names]},
            )
            for label, options in sets
        ]
        details = {"fields": names, "classes": ["collapse"]}
        return [*kept, (_("File details"), details)]

    # totals

    def get_urls(self) -> Any:
        """Return the URLs, and that of the totals."""
        opts = self.model._meta
        name = f"{opts.app_label}_{opts.model_name}_storage"
        view = self.admin_site.admin_view(self.storage_view)
        return [path("storage/", view, name=name), *super().get_urls()]

    def storage_view(self, request: Any) -> TemplateResponse:
        """Show totals by storage and content type, of all files that the user may view.

        1 query for each field; a field with several files is read row by row. No request to a
        storage. Raises ``PermissionDenied`` without the permission to view the model.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        overview, labels = Overview(), []
        for field in stored_fields():
            if not self.admin_site.is_registered(field.model):
                continue
            owner = self.admin_site.get_model_admin(field.model)
            if owner.has_view_permission(request):
                overview.count(field, owner.get_queryset(request))
                labels.append(f"{field.model._meta.object_name}.{field.name}")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Storage of all files"),
            "media": self.media,
            "overview": overview,
            "fields": labels,
            "width": WIDTH,
        }
        return TemplateResponse(request, "django_fsspec/admin/overview.html", context)


def _columns(field: StoredField, listed: Any) -> dict[str, Callable[[Any], Any]]:
    """Return the columns of a field by name.

    The first one that a list shows, the preview if it is there, tells errors of files too.
    """
    name = field.name
    parts: dict[str, tuple[Any, Callable[[Any], Any], str | None]] = {
        "preview": (gettext_lazy("preview"), _preview, None),
        "size": (gettext_lazy("size"), _size, "size"),
        "type": (gettext_lazy("type"), _type, "content_type"),
        "storage": (gettext_lazy("storage"), _storage, "backend"),
        "metadata": (_label(field), _metadata, None),
        "name": (_label(field), _names, "metadata__original_name"),
    }
    shown = (part for part in parts if f"{name}_{part}" in listed)
    telling = next(shown, "preview")
    columns: dict[str, Callable[[Any], Any]] = {}
    for part, (label, show, key) in parts.items():
        order = None if key is None or field.multiple else f"{name}__{key}"
        if part == telling and show is not _metadata:  # which always tells them
            column = functools.partial(_of_row, name, functools.partial(_with_errors, show))
        else:
            column = functools.partial(_of_row, name, show)
        columns[f"{name}_{part}"] = admin.display(
            column, description=label, ordering=order, empty_value="-"
        )
    return columns


def _label(field: StoredField) -> str:
    return str(field.verbose_name or field.name)


def _of_row(name: str, show: Callable[[list[FileObject]], Any], row: Any) -> Any:
    """Return what a column shows for a row."""
    return show(files_of(getattr(row, name))) or None


def _preview(files: list[FileObject]) -> SafeString | str:
    cards = [Card.of(file) for file in files if file][:1]
    more = len(files) - 1
    extra = format_html('<span class="stored-object-more">+{}</span>', more) if more > 0 else ""
    return format_html_join(
        "",
        '<span class="stored-object-preview">{}{}</span>',
        ((_picture(card), extra) for card in cards),
    )


def _with_errors(show: Callable[[list[FileObject]], Any], files: list[FileObject]) -> SafeString:
    """Return what a column shows, and why files can't be used."""
    return format_html("{}{}", show(files), _errors(files))


def _errors(files: list[FileObject]) -> SafeString:
    """Return why files can't be used, as HTML."""
    errors = (shown_name(error) for file in files if (error := file.error))
    return format_html_join(
        "", '<span class="stored-object-error">{}</span>', ((error,) for error in errors)
    )


def _picture(card: Card) -> SafeString:
    if card.thumbnail:
        html = '<img src="{}" alt="{}" width="48" height="48" loading="lazy">'
        return format_html(html, card.thumbnail, card.name)
    return format_html("<span>{}</span>", card.extension or card.icon)


def _size(files: list[FileObject]) -> str:
    sizes = [file.size for file in files if file.size is not None]
    return filesizeformat(sum(sizes)) if sizes else ""


def _type(files: list[FileObject]) -> str:
    return ", ".join(sorted({name_of_type(file.content_type) for file in files if file}))


def _names(files: list[FileObject]) -> str:
    return ", ".join(shown_name(file.original_name) for file in files)


def _storage(files: list[FileObject]) -> str:
    return ", ".join(sorted({label_of(file.backend) for file in files if file}))


def _metadata(files: list[FileObject]) -> SafeString:
    """Return the keys and values in the column as HTML."""
    lists = []
    for file in files:
        rows = (
            (key, shown_name(json.dumps(value, ensure_ascii=False, default=str)))
            for key, value in file._nine_keys().items()
        )
        lists.append((format_html_join("", "<dt>{}</dt><dd><code>{}</code></dd>", rows),))
    errors = _errors(files)
    heading = ngettext("%(count)d file", "%(count)d files", len(files)) % {"count": len(files)}
    shown = errors + format_html_join("", '<dl class="stored-object-metadata">{}</dl>', lists)
    return format_html("<div><p>{}</p>{}</div>", heading, shown) if len(files) > 1 else shown
