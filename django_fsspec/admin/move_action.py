"""An action of the admin that moves the files of rows to another storage."""

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
from django_fsspec.transfer.engine import Engine
from django_fsspec.transfer.journal import Journal
from django_fsspec.transfer.plan import BadPlan, check_plan

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    ModelAdmin = admin.ModelAdmin[Any]

#: rows that one request moves: each is a field of the form, of which Django takes 1000
MOST = 500
#: failures that are told
TOLD = 10


class TargetForm(forms.Form):
    """Which storage the files go to."""

    target = forms.ChoiceField(label=gettext_lazy("Move them to"))
    delete_source = forms.BooleanField(
        label=gettext_lazy("Delete them where they are now, once their rows are committed"),
        required=False,
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        aliases = [alias for alias in storages.backends if alias != STATICFILES_STORAGE_ALIAS]
        self.fields["target"].choices = [(alias, alias) for alias in aliases]  # type: ignore[attr-defined]


@admin.action(permissions=["change"], description=gettext_lazy("Move files to another storage…"))
def move_files(
    modeladmin: ModelAdmin, request: HttpRequest, queryset: QuerySet[Model]
) -> TemplateResponse | None:
    """Ask for a storage, then move there what the chosen rows hold, as ``migrate_files`` does.

    For the `actions` of any ``ModelAdmin`` whose model has a ``StoredObjectField``. In the
    request: up to 500 rows; for more it names the command.
    """
    rows = list(queryset[: MOST + 1])
    if len(rows) > MOST:
        told = _("At most %d rows can be moved here: use manage.py migrate_files.") % MOST
        modeladmin.message_user(request, told, messages.ERROR)
        return None
    if not all(modeladmin.has_change_permission(request, row) for row in rows):
        raise PermissionDenied
    asked = "target" in request.POST
    form = TargetForm(request.POST if asked else None)
    if not (asked and form.is_valid()):
        return _page(modeladmin, request, rows, form)
    try:
        journal = move(rows, queryset.db, **form.cleaned_data)
    except BadPlan as error:
        modeladmin.message_user(request, str(error), messages.ERROR)
    else:
        _tell(modeladmin, request, journal)
    return None


def move(
    rows: Iterable[Model], using: str, *, target: str, delete_source: bool = False
) -> Journal:
    """Move the files of rows of one model to `target`, and return what came of each.

    Raises ``BadPlan`` for storages between which nothing can be moved.
    """
    columns = _columns(rows, using, target)
    for source in {column.source for column in columns}:
        check_plan(source, target)
    journal = Journal()
    Engine(target, journal, delete_source=delete_source and bool(columns)).run(columns)
    return journal


def _columns(rows: Iterable[Model], using: str, target: str) -> list[FileColumn]:
    """Return a column for each field and each storage that some of the rows' files are on."""
    keys: dict[tuple[Any, str], list[Any]] = {}
    for row in rows:
        for field in stored_among(row._meta.concrete_fields):
            for alias in {file.backend for file in files_of(getattr(row, field.attname))}:
                keys.setdefault((field, alias), []).append(_pk(row, field))
    return [
        FileColumn(field, using, alias, {"pk__in": some})
        for (field, alias), some in keys.items()
        if alias != target
    ]


def _pk(row: Model, field: Any) -> Any:
    """Return a row's primary key in the table that has the field, its parent's maybe."""
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
        "backends": sorted({file.backend for file in files}),
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "django_fsspec/admin/move_files.html", context)


def _tell(modeladmin: ModelAdmin, request: HttpRequest, journal: Journal) -> None:
    moved = journal.counts.get("moved", 0) + journal.counts.get("present", 0)
    changed = journal.counts.get("changed", 0)
    told = ngettext("%d file was moved.", "%d files were moved.", moved) % moved
    modeladmin.message_user(request, told, messages.SUCCESS if moved else messages.INFO)
    if changed:
        told = ngettext(
            "%d file was not: somebody changed its row meanwhile.",
            "%d files were not: somebody changed their rows meanwhile.",
            changed,
        )
        modeladmin.message_user(request, told % changed, messages.WARNING)
    for entry in journal.failures[:TOLD]:
        reason = Truncator(entry.reason or "").chars(300)
        modeladmin.message_user(request, f"{entry.pk}: {entry.name}: {reason}", messages.ERROR)
    if journal.failed > TOLD:
        told = _("… and %d more failed") % (journal.failed - TOLD)
        modeladmin.message_user(request, told, messages.ERROR)
