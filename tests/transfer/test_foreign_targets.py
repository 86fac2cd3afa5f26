"""Moves to Django storages of other packages, which may change what they store, and its name."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.core.management.base import CommandError
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.admin import move_action
from django_fsspec.transfer.plan import BadPlan
from tests.helpers import denying
from tests.helpers.moved_files import between, check_left, move, papers
from tests.library.models import Attachment, Paper

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = b"0123456789" * 3


class Disk(FileSystemStorage):
    """A storage on the disk that stores what `changed()` returns, and remembers its calls."""

    calls: list[str]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.calls = []

    def changed(self, data: bytes) -> bytes:
        return data

    def size(self, name: str) -> int:
        self.calls.append("size")
        return super().size(name)

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        self.calls.append("open")
        return super()._open(name, mode)  # type: ignore[misc, no-any-return]

    def _save(self, name: str, content: Any) -> str:
        self.calls.append("save")
        data = self.changed(content.read())
        return str(super()._save(name, ContentFile(data)))  # type: ignore[misc]


class Truncating(Disk):
    """Stores ten bytes of any file."""

    def changed(self, data: bytes) -> bytes:
        return data[:10]


class Encoding(Disk):
    """Stores other bytes on purpose, as optimizers of images do."""

    def changed(self, data: bytes) -> bytes:
        return b"encoded: " + data.upper()


class Packing(Disk):
    """Packs files, and unpacks them when they are read: its sizes are those of packed bytes."""

    def changed(self, data: bytes) -> bytes:
        return gzip.compress(data)

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        with super()._open(name, mode) as file:
            return File(io.BytesIO(gzip.decompress(file.read())), name)


class WithoutSize(Disk):
    """A storage that does not tell sizes."""

    def size(self, name: str) -> int:
        return Storage.size(self, name)


class Timeless(Disk):
    """A storage that has no time of a file."""

    def get_modified_time(self, name: str) -> Any:
        return None


class TruncatingWithoutSize(WithoutSize, Truncating):
    """Both."""


class Renaming(Disk):
    """Names files by their content."""

    def _save(self, name: str, content: Any) -> str:
        digest = hashlib.sha256(content.read()).hexdigest()
        content.seek(0)
        return str(super()._save(f"hashed/{digest}.bin", content))


class Losing(Disk):
    """A storage that does not find what it has just stored."""

    def size(self, name: str) -> int:
        raise FileNotFoundError(name)


class Silent(Disk):
    """A storage that fails in a way of its own after a save."""

    def size(self, name: str) -> int:
        raise RuntimeError("no answer")


@contextmanager
def onto(kind: type[Disk], place: Path) -> Iterator[Disk]:
    """Have a storage of memory as "default", and one of `kind` as "second"."""
    with between("memory", "memory"):
        second = {"BACKEND": f"{__name__}.{kind.__name__}", "OPTIONS": {"location": str(place)}}
        with override_settings(STORAGES={**settings.STORAGES, "second": second}):
            storage: Any = storages["second"]
            yield storage


def paper(content: bytes = CONTENT, name: str = "a b.txt") -> Paper:
    return Paper.objects.create(title="1", file=ContentFile(content, name=name))


def on_disk(place: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in place.rglob("*") if path.is_file())


sized = pytest.mark.parametrize("content", [CONTENT, CONTENT * 400_000], ids=["small", "streamed"])


@sized
@pytest.mark.parametrize("verify", ["checksum", "size", "full"])
@pytest.mark.parametrize("kind", [Truncating, Encoding, TruncatingWithoutSize])
def test_what_a_storage_changes_is_a_failure(
    kind: type[Disk], verify: str, content: bytes, tmp_path: Path
) -> None:
    with onto(kind, tmp_path):
        row = paper(content)
        said = move("library.Paper", verify=verify, delete_source=True, expect=1)
        check_left(said, row, f"StorageError: {kind.__name__} changed the file", content)
        assert f"{len(content)} bytes were sent" in said
        assert on_disk(tmp_path) == []


@pytest.mark.parametrize("kind", [Truncating, Encoding])
def test_without_verification_the_row_says_what_is_read(kind: type[Disk], tmp_path: Path) -> None:
    with onto(kind, tmp_path):
        paper()
        move("library.Paper", verify="none", delete_source=True)
        file = Paper.objects.get().file
        (stored,) = on_disk(tmp_path)
        assert file.size == len(stored) != len(CONTENT)
        assert file.checksum == f"sha256:{hashlib.sha256(stored).hexdigest()}"
        assert file.verify()


@sized
@pytest.mark.parametrize("verify", ["checksum", "size", "full", "none"])
@pytest.mark.parametrize("kind", [Packing, WithoutSize, Disk])
def test_storages_that_give_back_what_they_were_given(
    kind: type[Disk], verify: str, content: bytes, tmp_path: Path
) -> None:
    with onto(kind, tmp_path):
        row = paper(content)
        move("library.Paper", verify=verify, delete_source=True)
        file = Paper.objects.get().file
        assert (file.backend, file.size, file.checksum) == (
            "second",
            len(content),
            row.file.checksum,
        )
        assert file.verify()
        assert file.get_content() == content


def test_a_size_that_agrees_costs_no_reading(tmp_path: Path) -> None:
    with onto(Disk, tmp_path) as storage:
        paper()
        move("library.Paper")
        assert storage.calls == ["save", "size"]


@pytest.mark.parametrize("kind", [Packing, WithoutSize, Timeless])
def test_a_copy_that_was_there_is_compared_by_what_is_read(
    kind: type[Disk], tmp_path: Path
) -> None:
    with onto(kind, tmp_path) as storage:
        row = paper()
        storage.save(row.file.name, ContentFile(CONTENT))
        said = move("library.Paper", delete_source=True)
        assert "already in the target            1" in said
        file = Paper.objects.get().file
        assert (file.size, file.checksum) == (len(CONTENT), row.file.checksum)
        assert file.verify()


@sized
def test_a_row_gets_the_name_that_the_storage_gave(content: bytes, tmp_path: Path) -> None:
    with onto(Renaming, tmp_path):
        paper(content)
        papers(2)
        said = move("library.Paper", delete_source=True)
        assert "moved                            3" in said
        for row in Paper.objects.all():
            assert row.file.name.startswith("hashed/")
            assert row.file.verify()
        assert len(on_disk(tmp_path)) == 3
        # each was stored once
        storage: Any = storages["second"]
        assert storage.calls.count("save") == 3


def test_rows_of_a_file_field_keep_their_name_and_so_fail(tmp_path: Path) -> None:
    with onto(Renaming, tmp_path):
        row = Attachment.objects.create(title="1", file=ContentFile(CONTENT, name="a.txt"))
        said = move("library.Attachment.file", expect=1)
        assert f"{row.pk}: {row.file.name}: Renamed: the target named the copy 'hashed/" in said
        assert on_disk(tmp_path) == []
        assert storages["default"].exists(str(row.file.name))


@pytest.mark.parametrize("kind", [Truncating, Encoding])
def test_files_of_a_file_field_are_compared_too(kind: type[Disk], tmp_path: Path) -> None:
    with onto(kind, tmp_path):
        Attachment.objects.create(title="1", file=ContentFile(CONTENT, name="a.txt"))
        said = move("library.Attachment.file", expect=1)
        assert f"{kind.__name__} changed the file" in said
        assert on_disk(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "reason"), [(Losing, "FileNotFoundError"), (Silent, "RuntimeError: no answer")]
)
def test_a_copy_that_can_not_be_looked_at_is_a_failure(
    kind: type[Disk], reason: str, tmp_path: Path
) -> None:
    with onto(kind, tmp_path):
        row = paper()
        said = move("library.Paper", delete_source=True, expect=1)
        check_left(said, row, reason, CONTENT)
        assert on_disk(tmp_path) == []


# targets that say of no file that it exists


@sized
@pytest.mark.parametrize("kind", denying.KINDS)
def test_no_file_of_a_target_that_denies_it_is_replaced(
    kind: type[Storage], content: bytes, tmp_path: Path
) -> None:
    with between("memory", "memory"):
        second = denying.alias(kind, tmp_path)
        with override_settings(STORAGES={**settings.STORAGES, "second": second}):
            row = paper(content)
            storages["second"].save(row.file.name, ContentFile(b"theirs"))
            with pytest.raises(CommandError, match="'second' says of a file that it has"):
                move("library.Paper")
            with pytest.raises(BadPlan, match="'second' says of a file that it has"):
                move_action.move([row], "default", target="second")
            assert on_disk(tmp_path) == [b"theirs"]
            assert Paper.objects.get().file.backend == "default"


class Choosy(Renaming):
    """Takes no trial file, and does not tell whether it has a file."""

    def exists(self, name: str) -> bool:
        return False

    def _save(self, name: str, content: Any) -> str:
        if "django-fsspec" in name:
            raise ValueError("no picture")
        return super()._save(name, content)


def test_a_target_that_takes_no_trial_file(tmp_path: Path) -> None:
    with onto(Choosy, tmp_path):
        paper()
        move("library.Paper")
        assert Paper.objects.get().file.verify()


# saves outside of a move


@pytest.mark.parametrize("kind", [Truncating, Encoding, Packing, WithoutSize, Disk])
def test_a_saved_row_says_what_is_read(kind: type[Disk], tmp_path: Path) -> None:
    with onto(kind, tmp_path):
        file = FileObject("second", "a.txt", content=CONTENT).save()
        assert file.size == len(file.get_content())
        assert file.verify()
        copy = FileObject("default", "b.txt", content=CONTENT).save().copy_to("second")
        assert copy.size == len(copy.get_content())
        assert copy.verify()


def test_a_save_whose_size_is_not_told_now_is_no_failure(tmp_path: Path) -> None:
    with onto(Losing, tmp_path):
        assert FileObject("second", "a.txt", content=CONTENT).save().size == len(CONTENT)
