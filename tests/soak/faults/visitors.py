"""Random transactions, each step of which is what sites do with files."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.core.files.base import ContentFile
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from django_fsspec import FileObject
from tests.library.models import Box, Leaflet, Ledger, Magazine, Paper, Record, Shelf

from .content import named

if TYPE_CHECKING:
    from django.db.models import Model

M = TypeVar("M", bound="Model")

MEGABYTE = 1_000_000
#: how often a site tries a transaction that the database broke off
ATTEMPTS = 8


class Mishap(Exception):
    """An error of the site's own."""


#: what breaks off a transaction that may succeed when it is tried again
AGAIN = (OperationalError, InterfaceError)
#: what else a transaction may end with on a site whose users and networks are as they are
EXPECTED = (Mishap, OSError, DatabaseError, ObjectDoesNotExist)


class Visitor:
    """One thread of a site: does transactions on rows that it has in common with all others."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.random = random.Random(label)
        self.made = 0
        #: rows as they were when they were read, maybe long ago
        self.kept: list[Model] = []
        self.outcomes: Counter[str] = Counter()

    def visit(self) -> None:
        """Do one transaction, again where the database broke it off."""
        steps = self._plan()
        for attempt in range(ATTEMPTS):
            try:
                self._transact(steps)
                return
            except AGAIN as error:
                self.outcomes[f"again: {_reason(error)}"] += 1
                connection.close_if_unusable_or_obsolete()
                time.sleep(self.random.random() * 0.05 * 2**attempt)
            except EXPECTED as error:
                self.outcomes[f"rolled back: {_reason(error)}"] += 1
                return
        self.outcomes["given up"] += 1

    def _plan(self) -> list[Callable[[], None]]:
        count = self.random.choice((1, 1, 2, 3, 5))
        names = self.random.choices(list(STEPS), list(STEPS.values()), k=count)
        return [getattr(self, name) for name in names]

    def _transact(self, steps: Sequence[Callable[[], None]]) -> None:
        if len(steps) == 1 and self.random.random() < 0.5:
            steps[0]()
            self.outcomes["committed, each statement"] += 1
            return
        with transaction.atomic():
            for step in steps:
                self._step(step)
                self._stumble(0.04)
            back = self.random.random() < 0.06
            if back:
                transaction.set_rollback(True)
        self.outcomes["rolled back: set_rollback()" if back else "committed"] += 1

    def _step(self, step: Callable[[], None], depth: int = 0) -> None:
        """Do a step, maybe in savepoints, some of which are rolled back."""
        if depth == 3 or self.random.random() < 0.5:
            step()
            return
        try:
            with transaction.atomic():
                self._step(step, depth + 1)
                self._stumble(0.3)
        except AGAIN:
            raise
        except EXPECTED as error:
            self.outcomes[f"savepoint rolled back: {_reason(error)}"] += 1

    def _stumble(self, chance: float) -> None:
        if self.random.random() < chance:
            raise Mishap

    # content and rows

    def file(self, size: int | None = None) -> Any:
        """Return content that no other has."""
        self.made += 1
        if size is None:
            size = self.random.choice((0, 10, 700, 5_000, 20_000, 20_000, 300_000))
            size = 6 * MEGABYTE if self.random.random() < 0.01 else size
        name, data = named(f"{self.label}-{self.made}", size)
        if self.random.random() < 0.3:
            return FileObject("default", name, content=data)
        return ContentFile(data, name=name)

    def row(self, model: type[M]) -> M | None:
        """Return one of the few rows that everybody uses, read now or long ago."""
        held = [row for row in self.kept if type(row) is model and row.pk is not None]
        if held and self.random.random() < 0.2:
            return self.random.choice(held)
        keys = self.keys(model, 4)
        rows = model._base_manager.filter(pk=self.random.choice(keys) if keys else None)
        if issubclass(model, Paper) and self.random.random() < 0.15:
            rows = rows.only("title")
        row = rows.first()
        if row is not None:
            self.kept = [*self.kept[-9:], row]
        return row

    def keys(self, model: type[Model], count: int) -> list[Any]:
        rows = model._base_manager.order_by("pk")
        return list(rows.values_list("pk", flat=True)[:count])

    def kind(self) -> type[Any]:
        """Return a model whose rows have a `file`."""
        return self.random.choice((Paper, Paper, Leaflet, Magazine, Record))

    # steps

    def create(self) -> None:
        match self.random.randrange(6):
            case 0:
                Paper.objects.create(title="no file")
            case 1:
                Magazine.objects.create(file=self.file(), cover=self.file())
            case 2:
                Record.objects.create(file=self.file(), unique=f"u{self.random.randrange(6)}")
            case 3:
                Shelf.objects.create(files=[self.file() for _ in range(self.random.randrange(4))])
            case 4:
                if shelf := self.row(Shelf):
                    Box.objects.create(shelf_id=shelf.pk, file=self.file())
            case _:
                Paper.objects.create(file=self.file())

    def create_refused(self) -> None:
        Ledger.objects.create(file=self.file(self.random.choice((900, 1100))))

    def create_many(self) -> None:
        count = self.random.randint(2, 6)
        if self.random.random() < 0.3:
            uniques = [f"u{self.random.randrange(30)}" for _ in range(count)]
            Record.objects.bulk_create(Record(file=self.file(), unique=u) for u in uniques)
        else:
            papers = [Paper(file=self.file()) for _ in range(count)]
            Paper.objects.bulk_create(papers, batch_size=self.random.choice((None, 2)))

    def replace(self) -> None:
        if row := self.row(self.kind()):
            row.file = self.file()
            self._save(row, "file")

    def replace_cover(self) -> None:
        if row := self.row(Magazine):
            row.cover = self.random.choice((None, self.file()))
            self._save(row, "cover")

    def replace_through_the_file(self) -> None:
        row = self.row(self.kind())
        if row is not None and row.file:
            self.made += 1
            name, data = named(f"{self.label}-{self.made}", 3_000)
            row.file.save(name, ContentFile(data))

    def copy(self) -> None:
        row = self.row(Paper)
        if row is not None and not row.get_deferred_fields():
            row.pk = None
            row._state.adding = self.random.random() < 0.5
            row.save()

    def share(self) -> None:
        paper, shelf = self.row(Paper), self.row(Shelf)
        if paper and shelf and paper.file:
            shelf.files.append(paper.file)
            shelf.save()

    def upsert(self) -> None:
        unique = f"u{self.random.randrange(6)}"
        Record.objects.update_or_create(unique=unique, defaults={"file": self.file()})

    def clear(self) -> None:
        if row := self.row(Paper):
            if row.file and self.random.random() < 0.5:
                row.file.delete()
            else:
                row.file = None
                self._save(row, "file")

    def retitle(self) -> None:
        if row := self.row(Paper):
            row.title = f"title {self.random.random()}"
            if row.file and self.random.random() < 0.3:
                row.file.metadata["seen"] = self.made
            row.save()

    def delete(self) -> None:
        if row := self.row(self.random.choice((self.kind(), Shelf))):
            row.delete()

    def delete_many(self) -> None:
        model = self.random.choice((self.kind(), self.kind(), Shelf, Box))
        keys = self.keys(model, 6)
        some = self.random.sample(keys, min(len(keys), self.random.randint(1, 3)))
        model.objects.filter(pk__in=some).delete()

    def append(self) -> None:
        if row := self.row(Shelf):
            row.files.append(self.file())
            row.save()

    def remove(self) -> None:
        row = self.row(Shelf)
        if row is None or not row.files:
            return
        if self.random.random() < 0.3:
            self.random.choice(row.files).delete()
            return
        del row.files[self.random.randrange(len(row.files))]
        row.save()

    def rearrange(self) -> None:
        if row := self.row(Shelf):
            self.random.shuffle(row.files)
            row.files[:1] = [self.file() for _ in range(self.random.randrange(3))]
            row.save()

    def _save(self, row: Any, name: str) -> None:
        row.save(update_fields=[name] if self.random.random() < 0.3 else None)


#: what transactions are made of, and how often
STEPS = {
    "create": 5,
    "create_refused": 1,
    "create_many": 1,
    "replace": 6,
    "replace_cover": 2,
    "replace_through_the_file": 1,
    "copy": 1,
    "share": 1,
    "upsert": 2,
    "clear": 2,
    "retitle": 2,
    "delete": 3,
    "delete_many": 2,
    "append": 4,
    "remove": 2,
    "rearrange": 2,
}


def _reason(error: BaseException) -> str:
    if isinstance(error, AGAIN):
        first = str(error.args[-1] if error.args else error).partition("\n")[0]
        return re.sub(r"[\d\W]+", " ", first).strip()[:40] or type(error).__name__
    if isinstance(error, FileNotFoundError):
        # of a row that was read long ago
        return "a file is gone"
    return "storage" if isinstance(error, OSError) else type(error).__name__
