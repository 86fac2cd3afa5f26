"""The admin action move_files: move the files of selected rows to another storage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import STATICFILES_STORAGE_ALIAS
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.core.files.storage import storages
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_fsspec.rows.columns import FileColumn
from django_fsspec.rows.references import stored_among
from django_fsspec.rows.values import files_of
from django_fsspec.storage.aliases import label_of
from django_fsspec.transfer.engine import Engine
from django_fsspec.transfer.journal import Journal
from django_fsspec.transfer.plan import BadPlan, check_plan

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    ModelAdmin = admin.ModelAdmin[Any]

#: rows of one request: each is an input of the form, and Django takes 1000
MOST = 500
#: failures that are shown
SHOWN = 10


class TargetForm(forms.Form):
    """The form that asks for the target storage."""

    target = forms.ChoiceField(label=gettext_lazy("Target storage"))
    delete_source = forms.BooleanField(
        label=gettext_lazy("Delete the source files once the rows are updated"),
        required=False,
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        aliases = [alias for alias in storages.backends if alias != STATICFILES_STORAGE_ALIAS]
        self.fields["target"].choices = [(a, label_of(a)) for a in aliases]  # type: ignore[attr-defined]


@admin.action(permissions=["change"], description=gettext_lazy("Move files to another storage…"))
def move_files(
    modeladmin: ModelAdmin, request: HttpRequest, queryset: QuerySet[Model]
) -> TemplateResponse | None:
    """Ask for a storage and move the files of the selected rows there, like ``migrate_files``.

    Example::

        class DocumentAdmin(admin.ModelAdmin):
            actions = [move_files]

    For a ``ModelAdmin`` whose model has a ``StoredObjectField``. It moves up to 500 rows in the
    request; for more it says to use the command. Raises ``PermissionDenied`` where the user may
    not change one of the rows.
    """
    rows = list(queryset[: MOST + 1])
    if len(rows) > MOST:
        message = _("Select at most %d rows, or use manage.py migrate_files.") % MOST
        modeladmin.message_user(request, message, messages.ERROR)
        return None
    if not all(modeladmin.has_change_permission(request, row) for row in rows):
        raise PermissionDenied
    submitted = "target" in request.POST
    form = TargetForm(request.POST if submitted else None)
    if not (submitted and form.is_valid()):
        return _page(modeladmin, request, rows, form)
    try:
        journal = move(rows, queryset.db, **form.cleaned_data)
    except BadPlan as error:
        modeladmin.message_user(request, str(error), messages.ERROR)
    else:
        _report(modeladmin, request, journal)
    return None


def move(
    rows: Iterable[Model], using: str, *, target: str, delete_source: bool = False
) -> Journal:
    """Move the files of rows of one model to the alias `target`; return the result of each.

    Raises ``BadPlan`` where files can't be moved between the storages.
    """
    columns = _columns(rows, using, target)
    for source in {column.source for column in columns}:
        check_plan(source, target)
    journal = Journal()
    Engine(target, journal, delete_source=delete_source and bool(columns)).run(columns)
    return journal


def _columns(rows: Iterable[Model], using: str, target: str) -> list[FileColumn]:
    """Return a column for each field and each storage that has files of the rows."""
    keys: dict[tuple[Any, str], list[Any]] = {}
    for row in rows:
        for field in stored_among(row._meta.concrete_fields):
            for alias in {file.backend for file in files_of(getattr(row, field.attname))}:
                keys.setdefault((field, alias), []).append(_pk(row, field))
    return [
        FileColumn(field, using, alias, {"pk__in": row_keys})
        for (field, alias), row_keys in keys.items()
        if alias != target
    ]


def _pk(row: Model, field: Any) -> Any:
    """Return a row's primary key in the table with the field, which may be a parent's."""
    return getattr(row, field.model._meta.pk.attname)


def _page(
    modeladmin: ModelAdmin, request: HttpRequest, rows: list[Model], form: TargetForm
) -> TemplateResponse:
    files = [
        file
        for row in rows
        for field in stored_among(row._meta.concrete_fields)
        for file in files_of(getattr(row, field.attname))
    ]
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": _("Move files to another storage"),
        "opts": modeladmin.opts,
        "rows": rows,
        "form": form,
        "files": len(files),
        "bytes": sum(file.size or 0 for file in files),
        "backends": sorted({label_of(file.backend) for file in files}),
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "django_fsspec/admin/move_files.html", context)


def _report(modeladmin: ModelAdmin, request: HttpRequest, journal: Journal) -> None:
    moved = journal.counts.get("moved", 0) + journal.counts.get("present", 0)
    changed = journal.counts.get("changed", 0)
    message = ngettext("%d file was moved.", "%d files were moved.", moved) % moved
    modeladmin.message_user(request, message, messages.SUCCESS if moved else messages.INFO)
    if changed:
        message = ngettext(
            "%d file was not moved: its row was changed meanwhile.",
            "%d files were not moved: their rows were changed meanwhile.",
            changed,
        )
        modeladmin.message_user(request, message % changed, messages.WARNING)
    if journal.kept:
        message = ngettext(
            "%d source file was kept: it is in use without a row.",
            "%d source files were kept: they are in use without a row.",
            journal.kept,
        )
        modeladmin.message_user(request, message % journal.kept, messages.WARNING)
    for entry in journal.failures[:SHOWN]:
        reason = Truncator(entry.reason or "").chars(300)
        modeladmin.message_user(request, f"{entry.pk}: {entry.name}: {reason}", messages.ERROR)
    if journal.failed > SHOWN:
        message = _("… and %d more files failed") % (journal.failed - SHOWN)
        modeladmin.message_user(request, message, messages.ERROR)
