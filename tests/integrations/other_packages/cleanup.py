"""What is left of the files of a row, beside django-cleanup."""

from __future__ import annotations

from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection, transaction


def left() -> dict[str, list[str]]:
    """Return what is stored after each step: by alias in the order of `STORAGES`."""
    from django_cleanup.signals import cleanup_pre_delete

    from tests.integrations.other_packages.gallery.models import Print

    asked: list[str] = []

    def note(field_name: str, **event: Any) -> None:
        asked.append(field_name)

    cleanup_pre_delete.connect(note)
    with connection.schema_editor() as editor:
        editor.create_model(Print)
    rows = Print._default_manager
    rows.create(photo=_file("1"), others=[_file("2"), _file("3")], scan=_file("4"))
    steps = {"made": _stored()}

    row = rows.get()
    row.photo, row.scan = _file("5"), _file("6")
    row.others = [row.others[1], _file("7")]
    try:
        with transaction.atomic():
            row.save()
            raise _RollBack
    except _RollBack:
        steps["rolled back"] = _stored()

    row = rows.get()
    row.photo, row.scan = _file("5"), _file("6")
    row.others = [row.others[1], _file("7")]
    row.save()
    steps["replaced"] = _stored()
    rows.get().save()
    steps["saved again"] = _stored()
    rows.get().delete()
    steps["deleted"] = _stored()
    return {**steps, "asked of django-cleanup": asked}


class _RollBack(Exception):
    pass


def _file(content: str) -> ContentFile[bytes]:
    return ContentFile(content.encode(), name=f"{content}.txt")


def _stored() -> list[str]:
    """Return the content of all stored files."""
    found = []
    for alias in ("default", "private"):
        storage: Any = storages[alias]
        found += [storage.get_content(stat.name).decode() for stat in storage.walk()]
    return sorted(found)
