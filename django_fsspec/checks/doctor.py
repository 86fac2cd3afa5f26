"""What ``check_storages`` does to a storage: use it, step by step, and say what is wrong."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.core.files.base import ContentFile

from django_fsspec.core.flows import Call
from django_fsspec.storage.fsspec_storage import FSSpecStorage

#: pages of a listing to look through
_PAGES = 20
_CONTENT = b"written by manage.py check_storages; may be deleted\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step found. `seconds` it took; `problem` says what to mend, None when it is well.

    `note` says what the step did instead where the backend can't do it.
    """

    title: str
    seconds: float
    problem: str | None = None
    note: str = ""


class Ailment(Exception):
    """The backend answered, but wrongly."""


def _demand(well: bool, otherwise: str) -> None:
    if not well:
        raise Ailment(otherwise)


class Doctor:
    """Examines one storage with a file of its own, which it removes."""

    def __init__(self, storage: FSSpecStorage) -> None:
        self._storage = storage
        self._name = f"check-storages-{secrets.token_hex(8)}.txt"
        self._made: list[str] = []

    def examine(self) -> Iterator[Step]:
        """Yield a ``Step`` for each thing tried; a failure to write or list ends it."""
        yield (connect := self._step("connect", self._connect))
        if connect.problem:
            return
        if not self._storage.flows.adapter.dialect.writable:
            yield Step(title="write", seconds=0, note="read-only")
            yield self._step("list", self._list)
            return
        yield (written := self._step("write", self._write))
        if written.problem:
            return
        try:
            for title, work in self._further():
                yield self._step(title, work)
        finally:
            removed = self._step("delete", self._delete)
        yield removed

    def _further(self) -> list[tuple[str, Callable[[], str | None]]]:
        return [
            ("exclusive create", self._create),
            ("read", self._read),
            ("range", self._range),
            ("list", self._list),
            ("sign", self._sign),
        ]

    def _step(self, title: str, work: Callable[[], str | None]) -> Step:
        begun = time.perf_counter()
        problem, note = None, ""
        try:
            note = work() or ""
        except Ailment as error:
            problem = str(error)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        return Step(title=title, seconds=time.perf_counter() - begun, problem=problem, note=note)

    def _connect(self) -> str:
        # a listing tells a missing bucket from a missing file, which a look at a file does not
        self._found([])
        return type(self._storage.flows.adapter).__name__

    def _found(self, names: list[str]) -> list[str]:
        """Return which of `names` the root's listing has, of its first pages."""
        flows = self._storage.flows
        found: list[str] = []
        after = None
        for _ in range(_PAGES):
            try:
                page = flows.perform(Call(flows.adapter.list, (flows.root,), {"after": after}))
            except FileNotFoundError:
                break  # nothing was ever stored there
            found += [stat.name for entry in page.entries if (stat := flows.named(entry))]
            after = page.next
            if after is None or set(names) <= set(found):
                break
        return [name for name in names if name in found]

    def _write(self) -> None:
        self._made.append(self._storage.save(self._name, ContentFile(_CONTENT)))

    def _create(self) -> str:
        self._made.append(self._storage.save(self._name + ".2", ContentFile(_CONTENT)))
        other = self._storage.flows.save(
            self._made[1], ContentFile(b"second"), overwrite=False, exact=True
        )
        if not self._storage.flows.adapter.dialect.atomic_create:
            return "not atomic here: new names get a random part"
        try:
            self._storage.flows.run(other)
        except FileExistsError:
            return ""
        raise Ailment(
            "The server let a second write replace a file in spite of a create-only request. Two "
            "saves under one name can lose one: use a server that honours it (for S3: "
            "If-None-Match), or make names unique by upload_to."
        )

    def _read(self) -> None:
        found = self._storage.get_content(self._made[0])
        _demand(found == _CONTENT, f"Read {len(found)} other bytes than were written.")

    def _range(self) -> None:
        found = self._storage.get_content(self._made[0], 8, 10)
        _demand(found == _CONTENT[8:10], "A range of the file gave other bytes.")

    def _list(self) -> None:
        found = self._found(self._made)
        _demand(found == self._made, "A file just written is not in the listing.")

    def _sign(self) -> str:
        name = self._made[0] if self._made else self._name
        url = self._storage.url(name)
        return url.partition("?")[0][:100]

    def _delete(self) -> None:
        self._storage.delete_many(self._made)
        left = [name for name in self._made if self._storage.exists(name)]
        _demand(not left, f"{left} could not be deleted.")
