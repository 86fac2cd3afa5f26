"""Content that a transaction keeps to undo its uploads (issue 13, 9): bounded by a setting."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from tests.helpers import row_faults
from tests.helpers.row_faults import left
from tests.helpers.row_files import Mishap
from tests.helpers.workers import Worker
from tests.library.models import Folder, Paper, Shelf
from tests.soak import memory, undo

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    # memory and calls are the same on each database and Django
    pytest.mark.twin,
]

save = row_faults.save
attribute = row_faults.attribute
no_wrappers = row_faults.no_wrappers

Save = Callable[..., None]
KIB, MIB = 1 << 10, 1 << 20
#: 4 contents are the bound
SIZE = MIB // 4


def bounded(size: int) -> override_settings:
    return override_settings(DJANGO_FSSPEC_UNDO_MEMORY=size)


@pytest.fixture(autouse=True)
def one_mebibyte(tmp_path: Path) -> Iterator[None]:
    """A bound of 1 MiB, and a storage that takes no memory."""
    with bounded(MIB), override_storage(default={"fs": "file", "prefix": str(tmp_path / "files")}):
        yield


def data(number: int, size: int = SIZE) -> bytes:
    return bytes([number + 1]) * size


def content(number: int, size: int = SIZE) -> ContentFile[bytes]:
    return ContentFile(data(number, size), name=f"{number}.bin")


def folder(attribute: str, number: int, size: int = SIZE, **columns: Any) -> Any:
    row = Folder(**columns)
    give(row, attribute, number, size)
    return row


def give(row: Any, attribute: str, number: int, size: int = SIZE) -> None:
    file = content(number, size)
    setattr(row, attribute, [file] if attribute == "files" else file)


def stored(row: Any, attribute: str) -> bytes:
    value = getattr(Folder.objects.get(pk=row.pk), attribute)
    return bytes((value[0] if attribute == "files" else value).get_content())


def count_of_files() -> int:
    storage: Any = storages["default"]
    return len(list(storage.walk()))


def rolled_back(*saves: Callable[[], object]) -> None:
    with pytest.raises(Mishap), transaction.atomic():
        for each in saves:
            each()
        raise Mishap


def error_of(function: Callable[[], object]) -> str:
    """Return the message of the ValueError that a call raises, empty if it raises none."""
    try:
        function()
    except ValueError as error:
        return str(error)
    return ""


# the bound


def one_by_one() -> list[Any]:
    return [Paper.objects.create(file=content(number)) for number in range(20)]


def in_batches() -> list[Any]:
    rows = [Paper(file=content(number)) for number in range(20)]
    return Paper.objects.bulk_create(rows, batch_size=5)


def into_one_list() -> list[Any]:
    shelf = Shelf.objects.create()
    for number in range(20):
        shelf.files.append(content(number))
        shelf.save()
    return [shelf]


def replacing() -> list[Any]:
    paper: Any = Paper.objects.create()
    for number in range(20):
        paper.file = content(number)
        paper.save()
    return [paper]


@pytest.mark.parametrize("work", [one_by_one, in_batches, into_one_list, replacing])
def test_a_transaction_keeps_no_more_than_the_bound(work: Callable[[], list[Any]]) -> None:
    tracemalloc.start()
    try:
        with transaction.atomic():
            before, _ = tracemalloc.get_traced_memory()
            rows = work()
            after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < MIB + SIZE
    files = [file for row in rows for file in getattr(row, "files", None) or [row.file]]
    numbers = [19] if work is replacing else range(20)
    assert [file.get_content() for file in files] == [data(number) for number in numbers]
    assert left() == {}


def test_content_that_was_let_go_says_so_on_the_next_save(attribute: str, save: Save) -> None:
    rows = [folder(attribute, number) for number in range(8)]
    rolled_back(*(row.save for row in rows))
    assert count_of_files() == 0
    errors = [error_of(partial(save, row)) for row in rows]
    assert all("DJANGO_FSSPEC_UNDO_MEMORY" in error for error in errors if error)
    kept = [row for row, error in zip(rows, errors, strict=True) if not error]
    assert 1 <= len(kept) <= 4
    assert count_of_files() == Folder.objects.count() == len(kept)
    for number, row in enumerate(rows):
        if row not in kept:
            give(row, attribute, number)
            save(row)
    assert [stored(row, attribute) for row in rows] == [data(number) for number in range(8)]
    assert left() == {}


def test_rows_of_bulk_create_whose_content_was_let_go(attribute: str) -> None:
    rows = [folder(attribute, number) for number in range(8)]
    rolled_back(lambda: Folder.objects.bulk_create(rows, batch_size=3))
    with pytest.raises(ValueError, match="DJANGO_FSSPEC_UNDO_MEMORY"):
        Folder.objects.bulk_create(rows)
    assert (Folder.objects.count(), count_of_files()) == (0, 0)


def test_a_list_of_which_some_content_was_let_go_stores_none(save: Save) -> None:
    row: Any = Folder(files=[content(number) for number in range(8)])
    rolled_back(row.save)
    with pytest.raises(ValueError, match="DJANGO_FSSPEC_UNDO_MEMORY"):
        save(row)
    assert (Folder.objects.count(), count_of_files()) == (0, 0)
    row.files = [content(number) for number in range(8)]
    save(row)
    assert [file.get_content() for file in Folder.objects.get().files] == [
        data(number) for number in range(8)
    ]


def test_a_row_whose_new_content_was_let_go_keeps_its_file(attribute: str, save: Save) -> None:
    row = folder(attribute, 1)
    row.save()
    give(row, attribute, 2, 2 * MIB)
    rolled_back(row.save)
    row.pages = 5
    save(row, update_fields=["pages"])
    with pytest.raises(ValueError, match="DJANGO_FSSPEC_UNDO_MEMORY"):
        save(row)
    assert stored(row, attribute) == data(1)
    row.refresh_from_db()
    row.pages = 6
    save(row)
    assert (Folder.objects.get().pages, stored(row, attribute)) == (6, data(1))
    assert left() == {}


def test_a_bound_of_0_keeps_no_content(attribute: str, save: Save) -> None:
    with bounded(0):
        row = folder(attribute, 1, size=10)
        rolled_back(row.save)
        with pytest.raises(ValueError, match="DJANGO_FSSPEC_UNDO_MEMORY"):
            save(row)
        with transaction.atomic():
            save(folder(attribute, 2))
    assert (Folder.objects.count(), left()) == (1, {})


# what is kept


def test_content_below_the_bound_is_saved_again(attribute: str, save: Save) -> None:
    rows = [folder(attribute, number, MIB // 4 - KIB) for number in range(4)]
    rolled_back(*(row.save for row in rows))
    for row in rows:
        save(row)
    assert [stored(row, attribute)[0] for row in rows] == [1, 2, 3, 4]
    assert left() == {}


def test_each_transaction_has_the_whole_bound(attribute: str, save: Save) -> None:
    for number in range(4):
        with transaction.atomic():
            folder(attribute, number, MIB // 2).save()
    row = folder(attribute, 5, MIB // 2 + KIB)
    rolled_back(row.save)
    save(row)
    assert stored(row, attribute) == data(5, MIB // 2 + KIB)


def test_a_savepoint_that_is_rolled_back_gives_back_what_it_took(
    attribute: str, save: Save
) -> None:
    row = folder(attribute, 1, MIB // 2 + KIB)
    with transaction.atomic():
        for _ in range(4):
            rolled_back(row.save)
        save(row)
    assert (stored(row, attribute), left()) == (data(1, MIB // 2 + KIB), {})


def test_a_path_takes_no_memory(tmp_path: Path, save: Save) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(data(1, 2 * MIB))
    row = Folder(file=FileObject("default", "big.bin", content=path))
    rolled_back(row.save)
    save(row)
    assert stored(row, "file") == data(1, 2 * MIB)


def test_a_save_refused_outside_of_a_transaction_keeps_its_content(
    attribute: str, save: Save
) -> None:
    Folder.objects.create(code="a")
    row = folder(attribute, 1, 2 * MIB, code="a")
    with pytest.raises(IntegrityError):
        save(row)
    row.code = "b"
    save(row)
    assert (stored(row, attribute), left()) == (data(1, 2 * MIB), {})


# the default


@pytest.mark.soak
@pytest.mark.once
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
# the text of a list's column takes its share: that of each save, for the rollback
@pytest.mark.parametrize(
    ("way", "megabytes"), [("create", 70), ("replace", 70), ("append", 130), ("bulk_create", 70)]
)
def test_300_files_of_1_megabyte_in_one_transaction(
    tmp_path: Path, way: str, megabytes: int
) -> None:
    database = {"DJANGO_FSSPEC_DATABASE": "sqlite", "DJANGO_FSSPEC_VAR": str(tmp_path)}
    with Worker("tests.settings", {**os.environ, **database}) as worker:
        above = worker.call(undo.peak, way, 300, memory.MEGABYTE, str(tmp_path / "files"))
    callers = undo.BATCH * memory.MEGABYTE if way == "bulk_create" else memory.MEGABYTE
    ours = above - callers
    peak, own = above // memory.MEGABYTE, ours // memory.MEGABYTE
    print(f"\nundo | 300 files of 1 MB | {way} | {peak} MB above idle, {own} without the caller's")
    assert ours < megabytes * memory.MEGABYTE
