"""Files stored without their row: ``row.file.save(name, content, save=False)``."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from django.db import connections, router

from django_fsspec.objects import bulk

from .file_changes import FileChange
from .references import in_transaction
from .row_signals import send_committed, storing
from .transactions import settle

if TYPE_CHECKING:
    from django.db.models import Model

    from django_fsspec.objects.file_object import FileObject

    from .protocols import StoredField


def store(instance: Model, field: StoredField, file: FileObject) -> None:
    """Store a row's file without the row. A rollback of the transaction deletes it.

    Raises what ``FileObject.save()`` raises; the file is then what it was.
    """
    change = FileChange(weakref.ref(instance), upload=(file, bulk.state_of(file)))
    try:
        field.prepare(instance, file)
        with storing([change]):
            file._store()
    except BaseException:
        change.undo()
        raise
    connection = connections[router.db_for_write(type(instance), instance=instance)]
    if in_transaction(connection):
        settle(connection, [change])
    else:
        change.row = instance
        send_committed([change])
