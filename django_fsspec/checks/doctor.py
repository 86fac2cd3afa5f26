"""The tests of ``check_storages``: write, read, list, sign and delete a file, step by step."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unicodedata import normalize

from django.core.files.base import ContentFile

from django_fsspec.audit.clock import read_clock
from django_fsspec.core.flows import Call, call
from django_fsspec.core.source import Source
from django_fsspec.signals import muted
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.spelling import folding, trial_name

#: pages of a listing to read at most
_PAGES = 20
_CONTENT = b"written by manage.py check_storages; may be deleted\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The result of one step.

    `problem` says what is wrong and what to do, None if nothing is. `note` says what was done
    instead where the storage can't do the step.
    """

    title: str
    seconds: float
    problem: str | None = None
    note: str = ""


class WrongResult(Exception):
    """An operation succeeded, but its result is wrong."""


def _require(correct: bool, problem: str) -> None:
    if not correct:
        raise WrongResult(problem)


def _is_object_store(storage: FSSpecStorage) -> bool:
    dialect = storage.flows.adapter.dialect
    return dialect.bucketed and dialect.atomic_create


class Doctor:
    """Tests one storage with a file of its own, which it deletes."""

    def __init__(self, storage: FSSpecStorage) -> None:
        self._storage = storage
        self._name = f"check-storages-{secrets.token_hex(8)}.txt"
        self._names: list[str] = []
        #: what to delete: a save that fails or is interrupted may have stored its file
        self._begun: list[str] = []

    def examine(self) -> Iterator[Step]:
        """Yield a ``Step`` for each operation; stops where connecting or writing fails."""
        yield (connect := self._step("connect", self._connect))
        if connect.problem:
            return
        if not self._storage.flows.adapter.dialect.writable:
            yield Step(title="write", seconds=0, note="read-only")
            yield self._step("list", self._list)
            return
        try:
            yield (written := self._step("write", self._write))
            if written.problem:
                return
            for title, action in self._further():
                yield self._step(title, action)
        finally:
            removed = self._step("delete", self._delete)
        yield removed

    def _further(self) -> list[tuple[str, Callable[[], str | None]]]:
        return [
            ("exclusive create", self._create),
            ("multipart create", self._create_in_parts),
            ("read", self._read),
            ("range", self._range),
            ("list", self._list),
            ("folder markers", self._list_marker),
            ("spelling", self._spell),
            ("clock", self._clock),
            ("sign", self._sign),
        ]

    def _step(self, title: str, action: Callable[[], str | None]) -> Step:
        started = time.perf_counter()
        problem, note = None, ""
        try:
            note = action() or ""
        except WrongResult as error:
            problem = str(error)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        return Step(title=title, seconds=time.perf_counter() - started, problem=problem, note=note)

    def _connect(self) -> str:
        # for a missing bucket, a listing fails in another way than for a missing file
        self._listed([])
        return type(self._storage.flows.adapter).__name__

    def _listed(self, names: list[str]) -> list[str]:
        """Return which of `names` are in the first pages of the root's listing."""
        flows = self._storage.flows
        listed: list[str] = []
        after = None
        for _ in range(_PAGES):
            try:
                page = flows.perform(Call(flows.adapter.list, (flows.root,), {"after": after}))
            except FileNotFoundError:
                break  # nothing was ever stored there
            listed += [stat.name for entry in page.entries if (stat := flows.named(entry))]
            after = page.next
            if after is None or set(names) <= set(listed):
                break
        return [name for name in names if name in listed]

    def _save(self, name: str) -> None:
        self._begun.append(name)
        with muted():
            self._names.append(self._storage.save(name, ContentFile(_CONTENT)))

    def _write(self) -> None:
        self._save(self._name)

    def _create(self) -> str:
        self._save(self._name + ".2")
        other = self._storage.flows.save(
            self._names[1], ContentFile(b"second"), overwrite=False, exact=True
        )
        if not self._storage.flows.adapter.dialect.atomic_create:
            return "not applicable: not atomic in this storage, so names get a random part"
        try:
            self._storage.flows.run(other, "save", self._names[1])
        except FileExistsError:
            content = self._storage.get_content(self._names[1])
            _require(content == _CONTENT, "The server refused to replace a file, and replaced it.")
            return ""
        raise WrongResult(
            "The server replaced a file although the request may only create one. Two saves with "
            "the same name can lose a file: use a server that supports create-only requests (S3: "
            "If-None-Match), or make names unique with upload_to."
        )

    def _create_in_parts(self) -> str:
        """Upload in parts while another file is stored under the name: completing it must fail."""
        flows = self._storage.flows
        if not _is_object_store(self._storage):
            return "not applicable: this filesystem is not an object store"
        name = self._name + ".3"

        def content() -> Iterator[bytes]:
            yield _CONTENT
            self._save(name)
            yield b"second"

        # content above the limit is sent in parts; one part may be as small as this
        source = Source(content(), limit=1)
        source.load()
        try:
            flows.run(call(flows.adapter.create, flows.path(name), source, {}), "save", name)
        except FileExistsError:
            stored = self._storage.get_content(name)
            _require(stored == _CONTENT, "The server refused to replace a file, and replaced it.")
            return ""
        finally:
            source.close()
        raise WrongResult(
            "The server completed an upload in parts although another file had the name by then. "
            "Two saves of large files with the same name can lose one: use a server that supports "
            "create-only requests there too (S3: If-None-Match in CompleteMultipartUpload), or "
            "make names of large files unique with upload_to."
        )

    def _read(self) -> None:
        content = self._storage.get_content(self._names[0])
        _require(content == _CONTENT, f"The {len(content)} bytes read are not those written.")

    def _range(self) -> None:
        content = self._storage.get_content(self._names[0], 8, 10)
        _require(content == _CONTENT[8:10], "Reading a range returned the wrong bytes.")

    def _list(self) -> None:
        listed = self._listed(self._names)
        _require(listed == self._names, "A file written just now is not in the listing.")

    def _list_marker(self) -> str:
        """List a folder that is an empty object with a slash at the end, as consoles make them."""
        if not _is_object_store(self._storage):
            return "not applicable: folders are no objects"
        flows, parent = self._storage.flows, f"check-storages-{secrets.token_hex(8)}"
        marker = flows.path(f"{parent}/folder") + "/"
        source = Source(b"", limit=1)
        source.load()
        try:
            flows.run(call(flows.adapter.write, marker, source, {}), "save", parent)
            folders, files = self._storage.listdir(parent)
            inside = self._storage.listdir(f"{parent}/folder")
        except FileNotFoundError:
            folders, files, inside = [], [], ([], [])
        finally:
            deleting = call(flows.adapter.delete_many, [marker, marker.rstrip("/")])
            flows.run(deleting, "delete_many")
        _require(
            (folders, files, inside) == (["folder"], [], ([], [])),
            "A folder that is an empty object with a slash at the end of its name, as consoles "
            "make them, is not listed as a folder, or is listed as a file: don't make folders in "
            "a console of this server.",
        )
        return ""

    def _spell(self) -> str:
        """Find out which spellings of a name the storage takes for one."""
        name = trial_name("check-storages")
        self._save(name)
        stored = self._names[-1]
        notes = []
        if any(folds := folding(self._storage, stored)):
            notes.append(f"takes names that differ in {folds} alone for one name")
        if self._listed([stored]) != [stored]:
            others = [normalize("NFD", stored), stored.lower(), stored.upper()]
            found = self._listed(others)
            _require(
                bool(found),
                f"A file is not listed under the name it was stored as ({stored!a}): rows and "
                "listings don't agree, so sweep_files may take files in use for orphans. Use "
                "names of ASCII letters only, or another storage.",
            )
            notes.append(f"lists this name as {found[0]!a}")
        return "; ".join(notes) or "tells names apart by case and Unicode form"

    def _clock(self) -> str:
        clock = read_clock(self._storage)
        return "files have no times" if clock is None else str(clock)

    def _sign(self) -> str:
        name = self._names[0] if self._names else self._name
        storage = self._storage
        # not url(): where signing fails it falls back to a URL of Django
        lives = storage.options.url_expires_in
        signed = storage.flows.run(storage.urls.signed(name, lives, False, {}))
        url = signed or storage.url(name)
        shown = url.partition("?")[0]
        shown = shown if len(shown) <= 100 else f"{shown[:100]}…"
        served = signed is None and storage.urls.base_url is None
        if served and storage.flows.adapter.dialect.signs_get:
            return f"{shown}: served by Django, because the credentials can't sign URLs"
        return shown

    def _delete(self) -> None:
        names = sorted({*self._names, *self._begun})
        with muted():
            self._storage.delete_many(names)
        left = [name for name in names if self._storage.exists(name)]
        _require(not left, f"These files could not be deleted: {', '.join(left)}.")
