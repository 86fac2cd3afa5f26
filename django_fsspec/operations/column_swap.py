"""Change the type of a column: fill a new column, then put it in the place of the old one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.backends.ddl_references import Statement
from django.db.backends.utils import truncate_name
from django.db.models import CompositePrimaryKey, Field, Model
from django.db.models.sql.query import get_paths_from_expression  # type: ignore[attr-defined]
from django.db.transaction import atomic

from django_fsspec.core.batches import batches
from django_fsspec.fields.stored_object import StoredObjectField

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState

#: suffix of the name of the new column, until it gets the name of the old one
_SUFFIX = "_converting"
#: options of a field that the new column only gets in its place, or never
_LATE = ("default", "db_default", "unique", "db_index", "db_comment", "validators")


class ConvertedRow(NamedTuple):
    """A row: the values of the old and of the new column, and of other columns."""

    pk: Any
    old: Any
    new: Any
    extra: tuple[Any, ...]


class ConvertedColumn:
    """The column of the field `name` of the model `key`, and the new one to take its place.

    Rows are read and written `size` at a time.
    """

    def __init__(
        self,
        editor: BaseDatabaseSchemaEditor,
        key: tuple[str, str],
        name: str,
        from_state: ProjectState,
        to_state: ProjectState,
        size: int,
    ) -> None:
        self.editor, self.connection, self._size = editor, editor.connection, size
        self.before, self.after = (s.apps.get_model(*key) for s in (from_state, to_state))
        self.old, self.new = _field(self.before, name), _field(self.after, name)
        self.label = f"{self.after._meta.label}.{name}"
        self._table = self._quote(self.after._meta.db_table)
        #: a model with both columns
        self.both = self._with_both(key, from_state)
        self.beside = _field(self.both, f"{name}{_SUFFIX}")
        #: the names of the old and of the new column
        self.column, self._new = _column(self.old), _column(self.beside)
        self._begun = self._resumed = self._new in self._description()
        #: names of indexes and constraints that were dropped with the old column; None if an
        #: interrupted migration may have dropped any
        self._lost: set[str] | None = None

    def _with_both(self, key: tuple[str, str], from_state: ProjectState) -> type[Model]:
        limit = self.connection.ops.max_name_length()
        column = truncate_name(f"{self.old.column}{_SUFFIX}", limit)
        field = _bare(self.new, db_column=column, null=True)
        state = from_state.clone()
        state.add_field(*key, f"{self.old.name}{_SUFFIX}", field, preserve_default=True)
        return state.apps.get_model(*key)

    def _quote(self, name: str) -> str:
        return self.editor.quote_name(name)

    def _description(self) -> dict[str, Any]:
        table, introspection = self.after._meta.db_table, self.connection.introspection
        with self.connection.cursor() as cursor:
            return {c.name: c for c in introspection.get_table_description(cursor, table)}

    def _constraints(self) -> dict[str, Any]:
        table, introspection = self.after._meta.db_table, self.connection.introspection
        with self.connection.cursor() as cursor:
            return introspection.get_constraints(cursor, table)

    def is_json(self) -> bool:
        """Return whether the column is JSON already."""
        column = self._description()[self.column]
        field_type = self.connection.introspection.get_field_type(column.type_code, column)
        return field_type == "JSONField"

    # rows

    def pages(self, *extra: str) -> Iterator[list[ConvertedRow]]:
        """Yield rows with the columns `extra`, ordered by primary key: 1 query a batch."""
        model = self.both if self._begun else self.before
        names = [self.beside.name] if self._begun else []
        manager = model._base_manager.using(self.connection.alias)
        rows = manager.order_by("pk").values_list("pk", self.old.name, *names, *extra)
        page = list(rows[: self._size])
        while page:
            if self._begun:
                yield [ConvertedRow(pk, old, new, tuple(rest)) for pk, old, new, *rest in page]
            else:
                yield [ConvertedRow(pk, old, None, tuple(rest)) for pk, old, *rest in page]
            if len(page) < self._size:
                return
            page = list(rows.filter(pk__gt=page[-1][0])[: self._size])

    def write(self, values: Iterable[tuple[Any, Any]]) -> None:
        """Write (primary key, new value): 1 statement a batch."""
        pk = self.both._meta.pk
        several = isinstance(pk, CompositePrimaryKey)
        fields: list[Any] = list(pk.fields) if isinstance(pk, CompositePrimaryKey) else [pk]
        rows: list[tuple[Any, ...]] = []
        for key, value in values:
            pairs = zip(fields, key if several else [key], strict=True)
            keys = [field.get_db_prep_save(part, self.connection) for field, part in pairs]
            rows.append((*keys, self.beside.get_db_prep_save(value, self.connection)))
        columns = [self._quote(_column(field)) for field in fields]
        if several:
            self._write_each(columns, rows)
        else:
            self._write_many(columns[0], rows)

    def _write_many(self, key: str, rows: Sequence[tuple[Any, ...]]) -> None:
        # CASE: drivers of MySQL send executemany() as one statement for each row
        features = self.connection.features
        for chunk in batches(rows, max(1, (features.max_query_params or 30_000) // 3)):
            case = f"CASE {key} {'WHEN %s THEN %s ' * len(chunk)}END"
            if features.requires_casted_case_in_updates:
                case = f"CAST({case} AS {self.beside.db_type(self.connection)})"
            places = ", ".join(["%s"] * len(chunk))
            target = f"{self._table} SET {self._quote(self._new)}"
            with self.connection.cursor() as cursor:
                cursor.execute(
                    f"UPDATE {target} = {case} WHERE {key} IN ({places})",
                    [*(part for row in chunk for part in row), *(row[0] for row in chunk)],
                )

    def _write_each(self, keys: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        where = " AND ".join(f"{key} = %s" for key in keys)
        target = f"{self._table} SET {self._quote(self._new)}"
        with self.connection.cursor() as cursor:
            cursor.executemany(
                f"UPDATE {target} = %s WHERE {where}",
                [(row[-1], *row[:-1]) for row in rows],
            )

    # the table

    def check_meta(self) -> None:
        """Raise ``ValueError`` for an index or constraint that fits only one of the types."""
        meta = self.after._meta
        refused = [
            item.name for item in (*meta.indexes, *meta.constraints) if self._is_about_column(item)
        ]
        if self.connection.vendor == "mysql" and isinstance(self.new, StoredObjectField):
            # MySQL has no indexes on JSON
            refused += [index.name for index in meta.indexes if self.new.name in index.fields]
        if refused:
            raise ValueError(
                f"{self.label}: {', '.join(map(repr, refused))} can't be kept. Remove them in an "
                "operation before ConvertFileField, and add new ones after it."
            )

    def _is_about_column(self, item: Any) -> bool:
        """Return whether an index or constraint has a condition or expression with the column."""
        expressions = [
            getattr(item, "condition", None),
            *(getattr(item, "expressions", None) or ()),
        ]
        names = {path for each in expressions for path in get_paths_from_expression(each)}
        names.discard(f"{self.new.name}__isnull")
        return self.new.name in {name.partition("__")[0] for name in names}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the table against writes, in a transaction where DDL can be rolled back."""
        if self.connection.vendor == "mysql":
            models = [self.after, *self.after._meta.get_parent_list()]
            tables = sorted({self._quote(model._meta.db_table) for model in models})
            self._execute(f"LOCK TABLES {', '.join(f'{table} WRITE' for table in tables)}")
            try:
                yield
            finally:
                self._execute("UNLOCK TABLES")
            return
        with atomic(self.connection.alias):
            if self.connection.vendor == "postgresql":
                self._execute(f"LOCK TABLE {self._table} IN ACCESS EXCLUSIVE MODE")
            yield

    def _execute(self, sql: str) -> None:
        self.editor.execute(sql, None)

    def begin(self) -> None:
        """Add the new column, unless it exists."""
        if not self._begun:
            self._check_deferred()
            self.editor.add_field(self.before, self.beside)
            self._begun = True

    def swap(self) -> None:
        """Put the new column in the place of the old one."""
        if self.connection.vendor == "sqlite":
            self._remake()
            return
        self._check_deferred()
        self._create_deferred()
        before = set(self._constraints())
        if self.connection.vendor == "mysql":
            self._drop_shared()
            self._swap_at_once()
        else:
            self._swap_in_transaction()
        if not self._resumed:
            self._lost = before - set(self._constraints())
        self.settle()

    def _remake(self) -> None:
        """Remake the table of SQLite once, with the values of the new column.

        Django's public methods would remake it two or three times.
        """
        source = _bare(self.new, null=self.new.null)
        source.set_attributes_from_name(self.old.name)
        source.column = self._new
        self.editor._remake_table(self.before, alter_fields=[(source, self.new)])  # type: ignore[attr-defined]

    def _check_deferred(self) -> None:
        """Check foreign keys of rows that this transaction wrote.

        PostgreSQL can't alter a table with deferred checks.
        """
        if self.connection.vendor == "postgresql":
            self.connection.check_constraints()

    def _create_deferred(self) -> None:
        """Create the indexes that earlier operations deferred to the end of the migration."""
        table = self.after._meta.db_table
        for sql in list(self.editor.deferred_sql):
            if isinstance(sql, Statement) and sql.references_column(table, self.column):
                self.editor.deferred_sql.remove(sql)
                self.editor.execute(sql)

    def _swap_in_transaction(self) -> None:
        old, new = self._quote(self.column), self._quote(self._new)
        # not Django's remove_field(): its CASCADE drops views that use the column
        self._execute(f"ALTER TABLE {self._table} DROP COLUMN {old}")
        self._execute(f"ALTER TABLE {self._table} RENAME COLUMN {new} TO {old}")

    def _swap_at_once(self) -> None:
        """Drop and rename in one statement: interrupted anywhere, the table has one column."""
        old, new = self._quote(self.column), self._quote(self._new)
        bare = self._in_place(_bare(self.new, null=self.new.null))
        definition, _ = self.editor.column_sql(self.after, bare)
        change = f"CHANGE {new} {old} {definition}"
        self._execute(f"ALTER TABLE {self._table} DROP COLUMN {old}, {change}")

    def _drop_shared(self) -> None:
        """Drop constraints on several columns, which MySQL would keep on the others, or refuse."""
        existing, model = self._constraints(), self.before
        on = {name for name, info in existing.items() if self.column in (info["columns"] or ())}
        for constraint in model._meta.constraints:
            if constraint.name in on:
                self.editor.remove_constraint(model, constraint)
        for together in self._together(model):
            if _is_unique(model, together, existing):
                self.editor.alter_unique_together(model, [together], [])

    def settle(self) -> None:
        """Add what the column lacks: NOT NULL, indexes, constraints."""
        if self.connection.vendor == "sqlite":
            return  # the remake added it
        existing, model = self._constraints(), self.after
        self._settle_alone(existing)
        for index in model._meta.indexes:
            if self._lacks(index.name, existing):
                self.editor.add_index(model, index)
        for constraint in model._meta.constraints:
            if self._lacks(constraint.name, existing):
                self.editor.add_constraint(model, constraint)
        for together in self._together(model):
            if not _is_unique(model, together, existing):
                self.editor.alter_unique_together(model, [], [together])

    def _settle_alone(self, existing: dict[str, Any]) -> None:
        """Alter the column to what the field says."""
        model = self.after
        named = {item.name for item in (*model._meta.indexes, *model._meta.constraints)}
        own = [
            info
            for name, info in existing.items()
            if info["columns"] == [self.column] and name not in named
        ]
        bare = _bare(
            self.new,
            null=bool(self._description()[self.column].null_ok),
            unique=any(info["unique"] for info in own),
            db_index=any(info["index"] and not info["unique"] for info in own),
        )
        self.editor.alter_field(model, self._in_place(bare), self.new)

    def _lacks(self, name: str, existing: dict[str, Any]) -> bool:
        return name not in existing and (self._lost is None or name in self._lost)

    def _together(self, model: type[Model]) -> list[tuple[str, ...]]:
        """Return the ``unique_together`` with the column."""
        return [tuple(t) for t in model._meta.unique_together if self.old.name in t]

    def _in_place(self, field: Field[Any, Any]) -> Field[Any, Any]:
        """Return `field` as if it were the field of the model."""
        field.set_attributes_from_name(self.new.name)
        field.model = self.after
        return field


def _bare(field: Field[Any, Any], **changes: Any) -> Field[Any, Any]:
    """Return a field of the same type, without options that only the finished column has."""
    _, _, args, kwargs = field.deconstruct()
    kept = {option: value for option, value in kwargs.items() if option not in _LATE}
    return type(field)(*args, **{**kept, **changes})


def _field(model: type[Model], name: str) -> Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, Field)
    return field


def _column(field: Field[Any, Any]) -> str:
    assert field.column is not None  # not a CompositePrimaryKey, which has several columns
    return field.column


def _is_unique(model: type[Model], fields: Iterable[str], existing: dict[str, Any]) -> bool:
    columns = [_field(model, name).column for name in fields]
    return any(info["unique"] and info["columns"] == columns for info in existing.values())
