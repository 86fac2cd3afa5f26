"""Histories of rows: django-simple-history keeps rows, django-reversion keeps JSON.

Models of django-simple-history have `instance_type`, the model that they follow, and the fields of
that model with its primary key. Its documentation lists the name among those that all historical
models have. A history row holds the same files as the row that it follows, instead of copies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist

from .references import is_history, may_hold, values_of_rows
from .transactions import deletions_of
from .values import Ref, refs_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

    from .protocols import StoredField


class Owner(NamedTuple):
    """The row that a history row follows: its field of the same name, and its primary key."""

    field: StoredField
    pk: Any


def owner_of(instance: Model, field: StoredField) -> Owner | None:
    """Return the row that `instance` follows; None where that is no history row, or unknown.

    That row may be gone, or hold another file by now.
    """
    if not is_history(type(instance)):
        return None
    followed: type[Model] = instance.instance_type  # type: ignore[attr-defined]
    try:
        owned: Any = followed._meta.get_field(field.name)
    except FieldDoesNotExist:
        return None
    # of the table that has the column: a parent's may be another than that of the model
    keys = owned.model._meta.pk_fields
    pk = tuple(key.to_python(getattr(instance, key.attname, None)) for key in keys)
    return None if None in pk else Owner(owned, pk[0] if len(pk) == 1 else pk)


def files_of_owners(
    connection: BaseDatabaseWrapper, owners: Iterable[Owner]
) -> dict[Owner, set[Ref]]:
    """Return the files of rows, which are locked until the end of the transaction.

    1 query for 900 rows of a table. Of a row that this transaction deleted, return what it held:
    no query. A history row may hold these files: whoever deletes them later waits for the lock,
    and finds the history row then. Raises ``DatabaseError``.
    """
    files: defaultdict[Owner, set[Ref]] = defaultdict(set)
    tables: defaultdict[type[Model], list[Owner]] = defaultdict(list)
    deletions = deletions_of(connection)
    for owner in owners:
        model = owner.field.model
        change = deletions.get((model, owner.pk))
        # a rollback to a savepoint frees the change, and brings the row back
        if change is not None:
            files[owner] = change.replaced
        elif may_hold(connection.alias, model):
            tables[model].append(owner)
    for rows in tables.values():
        fields = list(dict.fromkeys(owner.field for owner in rows))
        pks = dict.fromkeys(owner.pk for owner in rows)
        values_by_pk = values_of_rows(connection.alias, fields, pks)
        for owner in rows:
            if owner.pk in values_by_pk:
                files[owner] = refs_of(values_by_pk[owner.pk][fields.index(owner.field)])
    return files


def versioned_models() -> set[type[Model]]:
    """Return the models of which django-reversion keeps versions: JSON that no search reads."""
    if not apps.is_installed("reversion"):
        return set()
    import reversion

    models = (model._meta.concrete_model for model in reversion.get_registered_models())
    return set(filter(None, models))
