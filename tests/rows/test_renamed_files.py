"""Files of rows that get another name in the storage."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers import row_faults
from tests.helpers.row_faults import assign, files_in, left, stored_in
from tests.helpers.row_files import there
from tests.library.models import Folder, Paper

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save


def test_a_copy_under_the_new_name(memory: None, attribute: str, save: Any) -> None:
    row: Any = Folder()
    assign(row, attribute, "one")
    save(row)
    copied = files_in(row, attribute)[0].copy_to("default", "folders/new.txt")
    setattr(row, attribute, [copied] if attribute == "files" else copied)
    save(row)
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})
    assert files_in(row, attribute)[0].name == "folders/new.txt"


def test_a_name_under_which_there_is_no_file(memory: None, attribute: str, save: Any) -> None:
    row: Any = Folder()
    assign(row, attribute, "one")
    save(row)
    files_in(row, attribute)[0].name = "folders/nicer.txt"
    with pytest.raises(FileNotFoundError):
        save(row)
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})


def test_the_name_of_another_rows_file(memory: None, attribute: str, save: Any) -> None:
    paper = Paper.objects.create()
    assign(paper, "file", "two")
    paper.save()
    row: Any = Folder()
    assign(row, attribute, "one")
    save(row)
    files_in(row, attribute)[0].name = paper.file.name
    save(row)
    assert files_in(row, attribute)[0].name != paper.file.name
    assert (stored_in(Folder, attribute), there(), left()) == ([["two"]], ["two", "two"], {})
