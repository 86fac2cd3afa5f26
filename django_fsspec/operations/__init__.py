"""ConvertFileField: a migration operation that turns a FileField into a StoredObjectField."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from django.db.migrations.operations.base import OperationCategory
from django.db.migrations.operations.fields import FieldOperation

from django_fsspec.fields.stored_object import StoredObjectField

from .column_swap import ConvertedColumn
from .conversions import Conversion, ToFiles, ToPaths

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState

__all__ = ["ConvertFileField"]


class ConvertFileField(FieldOperation):
    """Turn a ``FileField`` or ``ImageField`` into the ``StoredObjectField`` `field`.

    Example::

        operation = ConvertFileField("document", "file", StoredObjectField(upload_to="documents"))

    Files are not moved. `storage` is the alias of their storage: by default that of the
    ``FileField``, or the `backend` of `field` if that storage has no alias. Size, time and etag
    are read from listings, 1 request for 1000 files; on storages of other packages 1 or more
    requests for each file. With ``list_storage=False`` no request is made, and rows hold names
    only. Rows are read and written `batch_size` at a time.

    It can be reversed. Raises ``ValueError``, before anything changes, for rows that the new
    column can't hold, and ``TypeError`` for fields of other types. If the database can't roll
    back (MariaDB, MySQL, or ``atomic = False``), the next ``migrate`` continues.
    """

    category = OperationCategory.ALTERATION
    # with False, sqlmigrate would not change the state, and later operations would fail
    reduces_to_sql = True

    # no keyword-only options: Django's migration writer omits them
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
                "ConvertFileField can't convert to multiple=True. Convert without it, then add an "
                "AlterField to multiple=True: a single file is read as a list of one."
            )
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, not {batch_size}.")
        super().__init__(model_name, name, field)
        self.field: StoredObjectField = field
        self.batch_size, self.storage, self.list_storage = batch_size, storage, list_storage

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        """Return the arguments for a migration."""
        kwargs = {"model_name": self.model_name, "name": self.name, "field": self.field}
        options = {
            "batch_size": (self.batch_size, 1000),
            "storage": (self.storage, None),
            "list_storage": (self.list_storage, True),
        }
        changed = {key: value for key, (value, default) in options.items() if value != default}
        return type(self).__name__, [], kwargs | changed

    def describe(self) -> str:
        """Return the line of ``migrate --plan``."""
        return f"Convert file field {self.name} on {self.model_name} to a StoredObjectField"

    @property
    def migration_name_fragment(self) -> str:
        """The name of a migration with this operation alone."""
        return f"convert_{self.model_name_lower}_{self.name_lower}"

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Replace the field in the state."""
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
        """Convert paths to files. Raises ``ValueError`` for rows that can't be converted."""
        self._convert(ToFiles, app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Convert files to paths. Raises ``ValueError`` for rows that can't be converted."""
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
            # the SQL alone would drop the column with the paths
            editor.collected_sql.append("-- THIS OPERATION CANNOT BE WRITTEN AS SQL")
            return
        key = (app_label, self.model_name_lower)
        column = ConvertedColumn(editor, key, self.name, from_state, to_state, self.batch_size)
        with closing(way(self, column)) as conversion:
            conversion.run()
