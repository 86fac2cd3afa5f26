"""Lookups and transforms of StoredObjectField: typed, the same on every database, no request."""

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
    """Text from JSON; MySQL compares it byte by byte.

    SQLite gives lone surrogates of the JSON as bytes that are no UTF-8, for which its driver fails
    the whole query. They are read as bytes, with replacement characters for them.
    """

    def select_format(self, compiler: SQLCompiler, sql: str, params: Any) -> Any:
        """Return the SQL of a selected value."""
        if compiler.connection.vendor != "sqlite":
            return sql, params
        # GLOB takes surrogates for replacement characters
        odd = f"{sql} GLOB '*\ufffd*'"
        return f"(CASE WHEN {odd} THEN CAST({sql} AS BLOB) ELSE {sql} END)", (*params,) * 3

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the text."""
        return value.decode(errors="replace") if isinstance(value, bytes) else value


def _ignoring_case(lookup: type[Any]) -> None:
    subclass = type(f"JSON{lookup.__name__}", (CaseInsensitiveMixin, lookup), {})
    TextValue.register_lookup(subclass)


for _lookup in (IExact, IContains, IStartsWith, IEndsWith):
    _ignoring_case(_lookup)


def is_index(key: str) -> bool:
    """Return whether a key of a path is a place in a list; "²" is a digit and no number."""
    return key.isascii() and key.isdigit()


def _quoted(text: str) -> str:
    # one of the nine keys, or a number: needs no escaping
    return f"'{text}'"


class ValueKey(KeyTransform):
    """One of the nine keys, as a value of its type; a value of another type is NULL.

    The key is a literal in the SQL, so that GROUP BY and indexes see the same expression.
    """

    #: names of the JSON types in SQLite, PostgreSQL and MySQL
    json_types: ClassVar[tuple[str, str, str]]
    postgresql_cast: ClassVar[str] = ""
    #: the least and the greatest number that the cast takes: others are NULL, as values that are
    #: no numbers, since one row must not fail the query
    postgresql_bounds: ClassVar[tuple[str, str] | None] = None
    mysql_cast: ClassVar[str | None] = None

    def get_lookup(self, lookup: str) -> type[Lookup] | None:
        """Return a lookup of the value's type, not one of JSON."""
        return self.output_field.get_lookup(lookup)

    def get_transform(self, name: str) -> Any:
        """See get_lookup()."""
        return self.output_field.get_transform(name)

    def _source(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        lhs, params, keys = self.preprocess_lhs(compiler, connection)
        return lhs, tuple(params), keys

    def _path(self, keys: Iterable[str]) -> str:
        return _quoted("$" + "".join(f"[{key}]" if is_index(key) else f".{key}" for key in keys))

    def as_sqlite(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> Compiled:
        """Return SQL for SQLite."""
        lhs, params, keys = self._source(compiler, connection)
        place = f"{lhs}, {self._path(keys)}"
        is_type = f"JSON_TYPE({place}) IN {self.json_types[0]}"
        return f"(CASE WHEN {is_type} THEN JSON_EXTRACT({place}) END)", params * 2

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL for PostgreSQL."""
        lhs, params, keys = self._source(compiler, connection)
        parts = [key if is_index(key) else _quoted(key) for key in keys]
        element = " -> ".join([lhs, *parts])
        text = " ->> ".join([" -> ".join([lhs, *parts[:-1]]), parts[-1]])
        value = f"({text}){self.postgresql_cast}"
        if self.postgresql_bounds is not None:
            low, high = self.postgresql_bounds
            fits = f"({text})::numeric BETWEEN {low} AND {high}"
            value = f"CASE WHEN {fits} THEN {value} END"
        sql = f"(CASE WHEN jsonb_typeof({element}) = '{self.json_types[1]}' THEN {value} END)"
        return sql, params * (2 if self.postgresql_bounds is None else 3)

    def as_mysql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL for MariaDB and MySQL."""
        lhs, params, keys = self._source(compiler, connection)
        place = f"{lhs}, {self._path(keys)}"
        # MySQL truncates to 512 characters without RETURNING, which MariaDB does not support
        length = "" if connection.mysql_is_mariadb else " RETURNING CHAR(4096)"  # type: ignore[attr-defined]
        value = f"JSON_VALUE({place}{length})"
        value = f"CAST({value} AS {self.mysql_cast})" if self.mysql_cast else value
        json_type = f"JSON_TYPE(JSON_EXTRACT({place}))"
        return f"(CASE WHEN {json_type} IN {self.json_types[2]} THEN {value} END)", params * 2


class TextKey(ValueKey):
    """A key whose value is text."""

    json_types = ("('text')", "string", "('STRING')")
    output_field = TextValue()


class IntegerKey(ValueKey):
    """A key whose value is a whole number."""

    json_types = ("('integer', 'real')", "number", "('INTEGER', 'UNSIGNED INTEGER')")
    postgresql_cast = "::numeric::bigint"
    postgresql_bounds = ("-9223372036854775808", "9223372036854775807")
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
    postgresql_bounds = ("-1e308", "1e308")
    mysql_cast = "DOUBLE"
    output_field = FloatField()


class MetadataKey(KeyTransform):
    """``metadata``: JSON, with the lookups of a ``JSONField``."""

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
    """An element of a field with several files: ``files__0``."""

    def __init__(self, key_name: str, *args: Any, element: Field[Any, Any]) -> None:
        super().__init__(key_name, *args)
        self._element = element

    @property
    def output_field(self) -> Field[Any, Any]:
        """A field for one file."""
        return self._element


class Count(Transform):
    """The number of files in a field with several: ``files__len``."""

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
    """``file__isnull``: NULL, or the JSON ``null`` that other libraries write."""

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL."""
        lhs, params = compiler.compile(self.lhs)
        json_type = "jsonb_typeof" if connection.vendor == "postgresql" else "JSON_TYPE"
        null = "'NULL'" if connection.vendor == "mysql" else "'null'"
        if self.rhs:
            sql = f"({lhs} IS NULL OR {json_type}({lhs}) = {null})"
        else:
            sql = f"({lhs} IS NOT NULL AND {json_type}({lhs}) <> {null})"
        return sql, (*params, *params)


class SameFile(JSONExact):
    """``file=…``: the same alias and name, as ``==`` of files."""

    can_use_none_as_rhs = False

    def get_prep_lookup(self) -> Any:
        """Return the JSON of a file. Raises ``TypeError`` for a name."""
        _refuse_names(self.lhs, [self.rhs])
        return super().get_prep_lookup()

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL; a list of files is compared as JSON."""
        if not isinstance(self.rhs, dict):
            return super().as_sql(compiler, connection)
        return _is_one_of(compiler, self.lhs, [self.rhs])


class AmongFiles(Lookup):
    """``file__in=[…]``: one of these files, compared by alias and name."""

    lookup_name = "in"
    prepare_rhs = False

    def get_prep_lookup(self) -> Any:
        """Return the files. Raises ``TypeError`` for a name."""
        if not hasattr(self.rhs, "resolve_expression"):
            self.rhs = list(self.rhs)
            _refuse_names(self.lhs, self.rhs)
        return super().get_prep_lookup()

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        """Return SQL."""
        prepare = self.lhs.output_field.get_prep_value
        files = [data for data in map(prepare, self.rhs) if isinstance(data, dict)]
        if not files:
            raise EmptyResultSet
        return _is_one_of(compiler, self.lhs, files)


def _refuse_names(lhs: Any, values: Iterable[Any]) -> None:
    """Raise ``TypeError`` for text, which equals no file and would find no row."""
    field = lhs.output_field
    lookup = f"{field.name}__refers_to" if field.multiple else f"{field.name}__filename"
    for value in values:
        if isinstance(value, str):
            raise TypeError(
                f"{field} is compared with a FileObject, not with the "
                f"name {value!r}. Write {lookup}={value!r}."
            )


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
    """A field, with one file or several, that holds a file with one of these values."""

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
        return f"EXISTS (SELECT 1 FROM {files})", 1  # noqa: S608 - keys and placeholders, no values

    def _among_postgresql(self, lhs: str, values: list[str]) -> tuple[str, int]:
        array = f"CASE WHEN jsonb_typeof({lhs}) = 'array' THEN {lhs} ELSE '[]'::jsonb END"
        has = f"f ->> '{self.key}' IN ({_marks(values)})"
        files = f"jsonb_array_elements({array}) AS f WHERE {has}"
        return f"EXISTS (SELECT 1 FROM {files})", 2  # noqa: S608 - keys and placeholders, no values

    def _among_mysql(self, lhs: str, values: list[str]) -> tuple[str, int]:
        # decoded: JSON text may be escaped, as Django writes it, or not
        path = f"COLUMNS (v LONGTEXT PATH '$.{self.key}')"
        has = f"t.v COLLATE utf8mb4_bin IN ({_marks(values)})"
        files = f"JSON_TABLE({lhs}, '$[*]' {path}) AS t WHERE {has}"
        return f"EXISTS (SELECT 1 FROM {files})", 1  # noqa: S608 - keys and placeholders, no values


class RefersTo(HeldValue):
    """Files with one of these names: ``file__refers_to=["a.txt"]``."""

    lookup_name = "refers_to"
    key = "filename"


class StoredOn(HeldValue):
    """Files on one of these aliases: ``files__stored_on="s3"``."""

    lookup_name = "stored_on"
    key = "backend"


def _marks(values: list[str]) -> str:
    return ", ".join(["%s"] * len(values))
