"""Hooks in models with a StoredObjectField, set when the field is added to the class.

Django has no public hook around the statement of one table that knows the database. These methods
are wrapped instead; tests/rows/test_model_hooks.py checks what that relies on. See
docs/decisions/0014.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.models import QuerySet
from django.db.models.signals import pre_delete

from . import references
from .bulk_create import BulkSave, set_related_keys
from .deleted_rows import row_deleted
from .loaded_values import remember_refreshed, remember_row
from .raw_saves import check_after_commit, new_files
from .saving import RowSave

if TYPE_CHECKING:
    from django.db.models import Model

    from .protocols import StoredField

#: attribute of a method that is wrapped already, in this class or in one that it inherits from
_WRAPPED = "stores_files"


def add_hooks(model: type[Model], field: StoredField) -> None:
    """Save rows of `model`, and of models that inherit it, with their files in `field`."""
    references.register(field)
    _wrap(model, "_save_table", _saving)
    _wrap(model, "refresh_from_db", _refreshing)
    _wrap(model, "from_db", _reading)
    _wrap(QuerySet, "bulk_create", _bulk_creating)
    pre_delete.connect(row_deleted, sender=model)


def _wrap(owner: type, name: str, wrapping: Callable[[Any], Any]) -> None:
    inherited = getattr(owner, name)
    if hasattr(inherited, _WRAPPED):
        return
    is_classmethod = hasattr(inherited, "__func__")
    function = inherited.__func__ if is_classmethod else inherited
    wrapper = functools.wraps(function)(wrapping(function))
    setattr(wrapper, _WRAPPED, True)
    setattr(owner, name, classmethod(wrapper) if is_classmethod else wrapper)


def _saving(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def _save_table(
        self: Model,
        raw: bool = False,
        cls: Any = None,
        force_insert: bool = False,
        force_update: bool = False,
        using: Any = None,
        update_fields: Any = None,
    ) -> Any:
        with RowSave(self, cls, using, update_fields, raw=raw) as save:
            files = new_files(save) if raw else {}
            options = (force_insert, force_update, using, update_fields)
            is_updated = inherited(self, raw, cls, *options)
            if files:
                check_after_commit(save.connection, self.pk, files)
            return is_updated

    return _save_table


def _refreshing(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def refresh_from_db(self: Model, *args: Any, **options: Any) -> None:
        before = vars(self).copy()
        inherited(self, *args, **options)
        remember_refreshed(self, before)

    return refresh_from_db


def _reading(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def from_db(cls: type[Model], db: str, *args: Any, **options: Any) -> Model:
        instance: Model = inherited(cls, db, *args, **options)
        remember_row(instance, db)
        return instance

    return from_db


def _bulk_creating(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def bulk_create(
        self: QuerySet[Any],
        objs: Iterable[Any],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Any = None,
        unique_fields: Any = None,
    ) -> Any:
        rows = list(objs)
        conflicts = (ignore_conflicts, update_conflicts, update_fields, unique_fields)
        if not references.stored_fields_of(self.model):
            return inherited(self, rows, batch_size, *conflicts)
        self._for_write = True  # type: ignore[attr-defined] # as Django does, before it asks for `db`
        save = BulkSave(
            self.model,
            connections[self.db],
            update_fields or (),
            handles_conflicts=ignore_conflicts or update_conflicts,
        )
        set_related_keys(rows)
        with save:
            save.store(rows)
            return inherited(self, rows, batch_size, *conflicts)

    return bulk_create
