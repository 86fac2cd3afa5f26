"""What can be asked of a file in a query: typed, the same on every database, no storage asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import EmptyResultSet
from django.db.models import BigIntegerField, Field, FloatField, JSONField, TextField
from django.db.models.fields.json import (
    CaseInsensitiveMixin,
    JSONExact,
    KeyTransform,
)
from django.db.models.lookups import (
    IContains,
    IEndsWith,
    IExact,
    IsNull,
    IStartsWith,
    Lookup,
    Transform,
)

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

    Compiled = tuple[str, tuple[Any, ...]]


class TextValue(TextField):  # type: ignore[type-arg]
    """Text out of JSON, which MySQL compares by its bytes."""


def _ignoring_case(lookup: type[Any]) -> None:
    made = type(f"JSON{lookup.__name__}", (CaseInsensitiveMixin, lookup), {})
    TextValue.register_lookup(made)


for _lookup in (IExact, IContains, IStartsWith, IEndsWith):
    _ignoring_case(_lookup)


def _quoted(text: str) -> str:
    # a key of the nine, or a number: nothing in it needs escaping
    return f"'{text}'"


class ValueKey(KeyTransform):
    """One of the nine keys, as a column of its type: what is of another type is NULL.

    The key is written into the SQL, so that GROUP BY and indexes see the same expression.
    """

    #: type in SQLite, in PostgreSQL, in MySQL -> what the value is made to be there
    json_types: ClassVar[tuple[str, str, str]]
    postgresql_cast: ClassVar[str]
    mysql_cast: ClassVar[str | None] = None

    def get_lookup(self, lookup: str) -> type[Lookup] | None:
        """Return what compares values of this type; JSON's own comparisons are left alone."""
        return self.output_field.get_lookup(lookup)

    def get_transform(self, name: str) -> Any:
        """See get_lookup()."""
        return self.output_field.get_transform(name)

    def _source(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        lhs, params, keys = self.preprocess_lhs(compiler, connection)
        return lhs, tuple(params), keys

    def _path(self, keys: Iterable[str]) -> str:
        return _quoted("$" + "".join(f"[{key}]" if key.isdigit() else f".{key}" for key in keys))

    def as_sqlite(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> Compiled:
        """Return SQL for SQLite."""
        lhs, params, keys = self._source(compiler, connection)
        place = f"{lhs}, {self._path(keys)}"
        kind = f"JSON_TYPE({place}) IN {self.json_types[0]}"
        return f"(CASE WHEN {kind} THEN JSON_EXTRACT({place}) END)", params * 2

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL for PostgreSQL."""
        lhs, params, keys = self._source(compiler, connection)
        parts = [key if key.isdigit() else _quoted(key) for key in keys]
        element = " -> ".join([lhs, *parts])
        text = " ->> ".join([" -> ".join([lhs, *parts[:-1]]), parts[-1]])
        sql = (
            f"(CASE WHEN jsonb_typeof({element}) = '{self.json_types[1]}' "
            f"THEN ({text}){self.postgresql_cast} END)"
        )
        return sql, params * 2

    def as_mysql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL for MariaDB and MySQL."""
        lhs, params, keys = self._source(compiler, connection)
        place = f"{lhs}, {self._path(keys)}"
        # MySQL cuts at 512 characters unless told otherwise; MariaDB knows no RETURNING
        length = "" if connection.mysql_is_mariadb else " RETURNING CHAR(4096)"  # type: ignore[attr-defined]
        value = f"JSON_VALUE({place}{length})"
        value = f"CAST({value} AS {self.mysql_cast})" if self.mysql_cast else value
        kind = f"JSON_TYPE(JSON_EXTRACT({place}))"
        return f"(CASE WHEN {kind} IN {self.json_types[2]} THEN {value} END)", params * 2


class TextKey(ValueKey):
    """A key whose value is text."""

    json_types = ("('text')", "string", "('STRING')")
    postgresql_cast = ""
    output_field = TextValue()


class IntegerKey(ValueKey):
    """A key whose value is a whole number."""

    json_types = ("('integer', 'real')", "number", "('INTEGER', 'UNSIGNED INTEGER')")
    postgresql_cast = "::numeric::bigint"
    mysql_cast = "SIGNED"
    output_field = BigIntegerField()


class FloatKey(ValueKey):
    """A key whose value is a number."""

    json_types = (
        "('integer', 'real')",
        "number",
        "('INTEGER', 'UNSIGNED INTEGER', 'DOUBLE', 'DECIMAL')",
    )
    postgresql_cast = "::double precision"
    mysql_cast = "DOUBLE"
    output_field = FloatField()


class MetadataKey(KeyTransform):
    """``metadata``: JSON, asked as in a ``JSONField``."""

    output_field = JSONField()


KEYS: dict[str, type[KeyTransform]] = {
    "filename": TextKey,
    "content_type": TextKey,
    "size": IntegerKey,
    "last_modified": FloatKey,
    "checksum": TextKey,
    "etag": TextKey,
    "version_id": TextKey,
    "backend": TextKey,
    "metadata": MetadataKey,
}


class ElementKey(KeyTransform):
    """One file of a field with several: ``files__0``."""

    def __init__(self, key_name: str, *args: Any, element: Field[Any, Any]) -> None:
        super().__init__(key_name, *args)
        self._element = element

    @property
    def output_field(self) -> Field[Any, Any]:
        """A field of one file."""
        return self._element


class Count(Transform):
    """How many files a field with several holds: ``files__len``."""

    lookup_name = "len"
    output_field = BigIntegerField()

    def as_sqlite(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> Compiled:
        """Return SQL for SQLite."""
        sql = "(CASE WHEN JSON_TYPE({0}) = 'array' THEN JSON_ARRAY_LENGTH({0}) END)"
        return self._sql(compiler, sql)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL for PostgreSQL."""
        sql = "(CASE WHEN jsonb_typeof({0}) = 'array' THEN jsonb_array_length({0}) END)"
        return self._sql(compiler, sql)

    def as_mysql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL for MariaDB and MySQL."""
        sql = "(CASE WHEN JSON_TYPE({0}) = 'ARRAY' THEN JSON_LENGTH({0}) END)"
        return self._sql(compiler, sql)

    def _sql(self, compiler: SQLCompiler, template: str) -> Compiled:
        lhs, params = compiler.compile(self.lhs)
        return template.format(lhs), tuple(params) * template.count("{0}")


class IsEmpty(IsNull):
    """Whether there is no file: NULL, or the JSON ``null`` that others write for it."""

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL."""
        lhs, params = compiler.compile(self.lhs)
        kind = "jsonb_typeof" if connection.vendor == "postgresql" else "JSON_TYPE"
        null = "'NULL'" if connection.vendor == "mysql" else "'null'"
        if self.rhs:
            sql = f"({lhs} IS NULL OR {kind}({lhs}) = {null})"
        else:
            sql = f"({lhs} IS NOT NULL AND {kind}({lhs}) <> {null})"
        return sql, (*params, *params)


class SameFile(JSONExact):
    """Whether a field holds this very file: the same backend and name, as ``==`` has it."""

    can_use_none_as_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL; a list of files is compared as JSON."""
        if not isinstance(self.rhs, dict):
            return super().as_sql(compiler, connection)
        return _is_one_of(compiler, self.lhs, [self.rhs])


class AmongFiles(Lookup):
    """Whether a field holds one of these files."""

    lookup_name = "in"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL."""
        prepare = self.lhs.output_field.get_prep_value
        files = [data for data in map(prepare, self.rhs) if isinstance(data, dict)]
        if not files:
            raise EmptyResultSet
        return _is_one_of(compiler, self.lhs, files)


def _is_one_of(compiler: SQLCompiler, lhs: Any, files: list[dict[str, Any]]) -> Compiled:
    sql: list[str] = []
    values: list[Any] = []
    for file in files:
        parts = []
        for key in ("backend", "filename"):
            part, params = compiler.compile(TextKey(key, lhs))
            parts.append(f"{part} = %s")
            values += [*params, file.get(key)]
        sql.append(f"({' AND '.join(parts)})")
    return f"({' OR '.join(sql)})", tuple(values)


class HeldValue(Lookup):
    """Whether a field, of one file or of several, holds a file with one of these values."""

    prepare_rhs = False
    key: ClassVar[str]

    def get_prep_lookup(self) -> list[str]:
        """Return the values."""
        return [self.rhs] if isinstance(self.rhs, str) else [str(value) for value in self.rhs]

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL."""
        values: list[str] = self.get_prep_lookup()
        if not values:
            raise EmptyResultSet
        if not self.lhs.output_field.multiple:
            lhs, params = compiler.compile(TextKey(self.key, self.lhs))
            return f"{lhs} IN ({_marks(values)})", (*params, *values)
        lhs, params = compiler.compile(self.lhs)
        build: Callable[[str, list[str]], tuple[str, int]] = getattr(
            self, f"_among_{connection.vendor}"
        )
        sql, times = build(lhs, values)
        return sql, (*(tuple(params) * times), *values)

    def _among_sqlite(self, lhs: str, values: list[str]) -> tuple[str, int]:
        has = f"JSON_EXTRACT(f.value, '$.{self.key}') IN ({_marks(values)})"
        files = f"JSON_EACH({lhs}) AS f WHERE f.type = 'object' AND {has}"
        return f"EXISTS (SELECT 1 FROM {files})", 1  # noqa: S608 - nothing of a user's

    def _among_postgresql(self, lhs: str, values: list[str]) -> tuple[str, int]:
        array = f"CASE WHEN jsonb_typeof({lhs}) = 'array' THEN {lhs} ELSE '[]'::jsonb END"
        has = f"f ->> '{self.key}' IN ({_marks(values)})"
        files = f"jsonb_array_elements({array}) AS f WHERE {has}"
        return f"EXISTS (SELECT 1 FROM {files})", 2  # noqa: S608 - nothing of a user's

    def _among_mysql(self, lhs: str, values: list[str]) -> tuple[str, int]:
        # decoded: text may stand there escaped, as Django writes it, or as it is
        path = f"COLUMNS (v LONGTEXT PATH '$.{self.key}')"
        has = f"t.v COLLATE utf8mb4_bin IN ({_marks(values)})"
        files = f"JSON_TABLE({lhs}, '$[*]' {path}) AS t WHERE {has}"
        return f"EXISTS (SELECT 1 FROM {files})", 1  # noqa: S608 - nothing of a user's


class RefersTo(HeldValue):
    """Whether a field holds a file of one of these names: ``file__refers_to=["a.txt"]``."""

    lookup_name = "refers_to"
    key = "filename"


class StoredOn(HeldValue):
    """Whether a field holds a file on one of these aliases: ``files__stored_on="s3"``."""

    lookup_name = "stored_on"
    key = "backend"


def _marks(values: list[str]) -> str:
    return ", ".join(["%s"] * len(values))
