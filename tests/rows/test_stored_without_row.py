"""Files stored by ``row.file.save(…, save=False)``: the row follows later, or never."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from tests.helpers import row_faults
from tests.helpers.row_faults import assign, files_in, left, stored_in
from tests.helpers.row_files import Mishap, text, there
from tests.library.models import Folder, Paper

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save


def stored_row(attribute: str, **columns: Any) -> Any:
    """Return an unsaved row, of which a file is stored."""
    row = Folder(**columns)
    assign(row, attribute, "never")
    [file] = files_in(row, attribute)
    file.save("a.txt", text("one"), save=False)
    assert (file.name.startswith("folders/a_"), file.checksum[:7]) == (True, "sha256:")
    return row


@pytest.mark.parametrize("atomic", [True, False])
def test_a_row_with_a_key_of_its_own_takes_the_stored_file(
    memory: None, attribute: str, save: Any, atomic: bool
) -> None:
    # Django tries an UPDATE first
    with transaction.atomic() if atomic else contextlib.nullcontext():
        row = stored_row(attribute, pk=77)
        name = files_in(row, attribute)[0].name
        save(row)
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})
    assert files_in(row, attribute)[0].name == name


@pytest.mark.parametrize("is_new", [True, False])
def test_a_row_saved_again_after_a_savepoint_takes_the_stored_file(
    memory: None, attribute: str, save: Any, is_new: bool
) -> None:
    with transaction.atomic():
        row = stored_row(attribute, pk=None if is_new else Folder.objects.create().pk)
        name = files_in(row, attribute)[0].name
        with contextlib.suppress(Mishap), transaction.atomic():
            save(row)
            raise Mishap
        save(row)
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})
    assert files_in(row, attribute)[0].name == name


def test_all_of_it_rolled_back_can_be_saved_again(memory: None, attribute: str, save: Any) -> None:
    with contextlib.suppress(Mishap), transaction.atomic():
        row = stored_row(attribute)
        with contextlib.suppress(Mishap), transaction.atomic():
            save(row)
            raise Mishap
        save(row)
        raise Mishap
    assert there() == []
    save(row)
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})


def test_a_description_of_it_in_a_row_with_a_key_of_its_own(memory: None, save: Any) -> None:
    with transaction.atomic():
        data = stored_row("file").file.to_dict()
        paper: Any = Paper(pk=77, file=data)
        save(paper)
    assert (Paper.objects.get().file.name, left()) == (data["filename"], {})


def test_a_description_of_it_that_was_rolled_back_along(memory: None, save: Any) -> None:
    with contextlib.suppress(Mishap), transaction.atomic():
        paper: Any = Paper(file=stored_row("file").file.to_dict())
        save(paper)
        raise Mishap
    with pytest.raises(FileNotFoundError):
        save(paper)
    assert (Paper.objects.count(), left()) == (0, {})


def test_content_that_fails_is_still_to_be_stored(memory: None, attribute: str) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise Mishap

    row = Folder()
    assign(row, attribute, "one")
    row.save()
    [file] = files_in(row, attribute)
    with pytest.raises(Mishap):
        file.save("b.txt", broken(), save=False)
    assert (file.name, file.has_pending_data) == ("b.txt", True)
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})
