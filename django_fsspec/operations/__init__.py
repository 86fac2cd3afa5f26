"""``ConvertFileField``: a migration that turns a ``FileField`` into a ``StoredObjectField``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from django.db.migrations.operations.base import OperationCategory
from django.db.migrations.operations.fields import FieldOperation

from django_fsspec.fields.stored_object import StoredObjectField

from .column_swap import Column
from .conversions import Conversion, ToFiles, ToPaths

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState

__all__ = ["ConvertFileField"]


class ConvertFileField(FieldOperation):
    """Turn a ``FileField`` or ``ImageField`` into the ``StoredObjectField`` `field`, rows and all.

    Files stay where they are. `storage` is the alias they are under: by default that of the
    ``FileField``'s storage, or the `backend` of `field` where that storage was made by hand. Size,
    time and etag are those of its listings, 1 request a thousand files; a storage that is not of
    ours is asked for each file. Without `list_storage` nothing is asked, and rows hold names
    alone. `batch_size` rows are read and written at a time.

    Reversible. ``ValueError`` tells, before anything is changed, of rows that the new column can't
    hold. Where the database can't undo (MariaDB, MySQL, or ``atomic = False``) the next
    ``migrate`` goes on where this one was stopped.
    """

    category = OperationCategory.ALTERATION
    # False would have sqlmigrate leave the state as it was, and fail at what follows
    reduces_to_sql = True

    # no keyword-only options: Django's migration writer leaves them out
    def __init__(
        self,
        model_name: str,
        name: str,
        field: StoredObjectField,
        batch_size: int = 1000,
        storage: str | None = None,
        list_storage: bool = True,
    ) -> None:
        if not isinstance(field, StoredObjectField):
            raise TypeError(f"field must be a StoredObjectField, not {type(field).__name__}.")
        if field.multiple:
            raise ValueError(
                "ConvertFileField makes fields of one file. Convert without multiple=True, then "
                "add an AlterField: a list of one is read from what this one wrote."
            )
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, not {batch_size}.")
        super().__init__(model_name, name, field)
        self.field: StoredObjectField = field
        self.batch_size, self.storage, self.list_storage = batch_size, storage, list_storage

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        """Return what a squashed migration holds."""
        kwargs = {"model_name": self.model_name, "name": self.name, "field": self.field}
        options = {
            "batch_size": (self.batch_size, 1000),
            "storage": (self.storage, None),
            "list_storage": (self.list_storage, True),
        }
        given = {key: value for key, (value, default) in options.items() if value != default}
        return type(self).__name__, [], kwargs | given

    def describe(self) -> str:
        """Return what ``migrate --plan`` shows."""
        return f"Convert file field {self.name} on {self.model_name} to a StoredObjectField"

    @property
    def migration_name_fragment(self) -> str:
        """What a migration of this operation alone is called."""
        return f"convert_{self.model_name_lower}_{self.name_lower}"

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Replace the field."""
        state.alter_field(
            app_label, self.model_name_lower, self.name, self.field, preserve_default=True
        )

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Convert paths to files."""
        self._convert(ToFiles, app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Convert files to paths."""
        self._convert(ToPaths, app_label, schema_editor, from_state, to_state)

    def _convert(
        self,
        way: type[Conversion],
        app_label: str,
        editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(editor.connection.alias, model):
            return
        if editor.collect_sql:
            # the statements alone would drop the column with the paths
            editor.collected_sql.append("-- THIS OPERATION CANNOT BE WRITTEN AS SQL")
            return
        key = (app_label, self.model_name_lower)
        column = Column(editor, key, self.name, from_state, to_state, self.batch_size)
        with closing(way(self, column)) as conversion:
            conversion.run()
