"""Shards of a move: a field and a range of its primary keys, as the JSON argument of a task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any, Self

from django.core.exceptions import ValidationError

from django_fsspec.rows.columns import FileColumn

from .engine import Engine
from .journal import Journal
from .plan import AnyField, BadPlan, check_plan, columns, key_ranges
from .shard_json import check_shard


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """The options that all shards of a run share.

    `backend` is an alias in TASKS, `queue` one of its queues. `retry_delay` is in seconds and
    doubles with each of the `retries`.
    """

    run: str
    source: str
    target: str
    using: str
    backend: str
    queue: str
    conditions: dict[str, Any] = dataclasses.field(default_factory=dict)
    workers: int = 32
    batch_size: int = 200
    verify: str = "checksum"
    delete_source: bool = False
    retries: int = 3
    retry_delay: float = 10

    def shards(self, columns: Iterable[FileColumn], size: int) -> Iterator[Shard]:
        """Yield shards of `size` rows each; rows without files on the source don't count."""
        for column in columns:
            key = _key(column)
            for after, upto in key_ranges(column, size):
                yield Shard(
                    order=self,
                    column=column.label,
                    after=encode(key, after),
                    upto=encode(key, upto),
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """Rows of a field with primary keys after `after` up to `upto`, or only those of `keys`.

    Primary keys are text, as Django's serializers write them. A shard that is run again finds
    nothing to do.
    """

    order: Order
    column: str
    after: str | None = None
    upto: str | None = None
    keys: tuple[str, ...] | None = None
    attempt: int = 1

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the shard of what ``to_json()`` returned.

        Raises ``BadPlan`` for anything else. Keys with a default may be missing.
        """
        check_shard(data)
        keys = data.get("keys")
        keys = None if keys is None else tuple(keys)
        return cls(**{**data, "order": Order(**data["order"]), "keys": keys})

    def to_json(self) -> dict[str, Any]:
        """Return the shard as the argument of a task."""
        keys = None if self.keys is None else list(self.keys)
        # a backend may pickle arguments, which brings a tuple back as one
        return {**dataclasses.asdict(self), "keys": keys}

    def move(self, journal: Journal) -> None:
        """Move the rows; what fails for one file goes into the journal.

        Raises ``BadPlan`` where settings or models have changed since the shard was made, and
        what the database raises.
        """
        order = self.order
        check_plan(order.source, order.target)
        column = self._column()
        key = _key(column)
        engine = Engine(
            order.target,
            journal,
            workers=order.workers,
            batch_size=order.batch_size,
            verify=order.verify,
            delete_source=order.delete_source,
        )
        engine.run([column], decode(key, self.after), decode(key, self.upto))

    def again(self) -> Self | None:
        """Return the shard for its next attempt, None after the last one."""
        if self.attempt > self.order.retries:
            return None
        return dataclasses.replace(self, attempt=self.attempt + 1)

    def of_failed(self, journal: Journal) -> Self:
        """Return the shard with only the rows of failed files, if the journal has all of them."""
        if journal.failed > len(journal.failures):
            return self
        key = _key(self._column())
        keys = dict.fromkeys(encode(key, entry.pk) for entry in journal.failures)
        return dataclasses.replace(self, keys=tuple(keys))

    def _column(self) -> FileColumn:
        order = self.order
        (column,) = columns(
            [self.column],
            source=order.source,
            using=order.using,
            conditions=order.conditions,
            delete_source=order.delete_source,
        )
        if self.keys is None:
            return column
        key = _key(column)
        failed_rows = {"pk__in": [decode(key, text) for text in self.keys]}
        return dataclasses.replace(column, conditions={**column.conditions, **failed_rows})


def encode(key: AnyField, value: Any) -> Any:
    """Return a primary key as text, or None for None."""
    if value is None:
        return None
    row: Any = SimpleNamespace(**{key.attname: value})
    return key.value_to_string(row)


def decode(key: AnyField, text: str | None) -> Any:
    """Return the primary key that ``encode()`` wrote as text. Raises ``BadPlan`` for others."""
    try:
        return None if text is None else key.to_python(text)
    except (ValidationError, ValueError, TypeError) as error:
        raise BadPlan(f"The shard's {text!r} is no value of the field {key.name!r}.") from error


def _key(column: FileColumn) -> AnyField:
    key: AnyField = column.field.model._meta.pk
    return key
