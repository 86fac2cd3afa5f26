"""Several files in a field (issue 13, 10): four times the files cost at most about four times."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from django.db import transaction

from tests.helpers.row_files import Mishap, text
from tests.library.models import Shelf

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    # memory and calls are the same on each database and Django
    *(pytest.mark.twin, pytest.mark.slow),
]

FEW, MANY = 250, 1000


def stored_files(count: int, prefix: str = "file") -> list[dict[str, Any]]:
    """Return files as columns hold them. Nobody asks whether they are there."""
    return [{"filename": f"{prefix}{n}.txt", "backend": "default"} for n in range(count)]


def shelf(count: int) -> Any:
    Shelf.objects.all().delete()
    Shelf.objects.create(files=stored_files(count))
    return Shelf.objects.get()


def calls_of(function: Callable[[], object]) -> int:
    """Return how many functions a call runs in this thread, those of C too."""
    calls = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


def rolled_back(save: Callable[[], object]) -> None:
    with contextlib.suppress(Mishap), transaction.atomic():
        save()
        raise Mishap


def append(row: Any) -> None:
    row.files.append(text("new"))


def describe_all(row: Any) -> None:
    for file in row.files:
        file.metadata["seen"] = True


def replace_all(row: Any) -> None:
    row.files = stored_files(len(row.files), "replaced")


def append_to_more(row: Any) -> None:
    other = Shelf.objects.get()
    other.files.extend(stored_files(len(row.files), "another's"))
    other.save()
    append(row)


def append_to_fewer(row: Any) -> None:
    other = Shelf.objects.get()
    del other.files[::2]
    other.save()
    append(row)


CHANGES: dict[str, Callable[[Any], object]] = {
    "nothing": lambda row: row.files,
    "append": append,
    "insert": lambda row: row.files.insert(0, text("new")),
    "remove": lambda row: row.files.pop(0),
    "clear": lambda row: row.files.clear(),
    "reverse": lambda row: row.files.reverse(),
    "describe one": lambda row: row.files[0].metadata.update(seen=True),
    "describe all": describe_all,
    "replace all": replace_all,
    "append, more meanwhile": append_to_more,
    "append, fewer meanwhile": append_to_fewer,
}


def assert_linear(prepare: Callable[[int], Callable[[], object]]) -> None:
    """Assert that the work of a call grows no faster than the number of files."""
    prepare(1)()  # what is done once a process
    few, many = (calls_of(prepare(count)) for count in (FEW, MANY))
    assert many < few * (MANY // FEW) * 1.25, f"{few} calls for {FEW}, {many} for {MANY}"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fails", [False, True], ids=["committed", "rolled back"])
def test_saving_a_changed_list_is_linear(memory: None, change: str, fails: bool) -> None:
    def prepare(count: int) -> Callable[[], object]:
        row = shelf(count)
        CHANGES[change](row)
        return (lambda: rolled_back(row.save)) if fails else row.save

    assert_linear(prepare)


def test_creating_reading_and_deleting_a_list_is_linear(memory: None) -> None:
    assert_linear(lambda count: Shelf(files=stored_files(count)).save)
    assert_linear(lambda count: shelf(count).refresh_from_db)
    assert_linear(lambda count: shelf(count).delete)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("change", "count"),
    [("append", 4000), ("remove", 4000), ("append, more meanwhile", 2000)],
)
def test_a_list_of_4000_files_is_saved_within_a_second(
    memory: None, change: str, count: int
) -> None:
    row = shelf(count)
    CHANGES[change](row)
    start = time.perf_counter()
    row.save()
    seconds = time.perf_counter() - start
    print(f"\nlist | {len(row.files):,} files | {change} | {seconds:.2f} s")
    assert seconds < 1
