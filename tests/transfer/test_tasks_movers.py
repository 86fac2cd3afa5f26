"""migrate_files while another mover has the same files in hand."""

from __future__ import annotations

import time
from typing import Any

import pytest

from django_fsspec.rows import compare_and_swap as swapping
from tests.helpers import transfer_tasks
from tests.helpers.transfer_tasks import migrate, papers, there, with_database
from tests.library.models import Paper

memory = transfer_tasks.memory


@with_database
def test_a_copy_that_another_row_counts_on_stays(
    memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = papers(2)
    Paper.objects.filter(pk=made[1].pk).update(file=made[0].file)
    swap = swapping.swap
    swaps: list[Any] = []

    def meanwhile(*args: Any) -> Any:
        swaps.append(args)
        if len(swaps) == 1:
            # by then the other row's copy was found to be there
            time.sleep(0.3)
            noted = Paper.objects.get(pk=args[2][0].pk)
            noted.file.metadata["seen"] = True
            noted.save()
        return swap(*args)

    monkeypatch.setattr("django_fsspec.transfer.engine.swap", meanwhile)
    migrate("library.Paper", batch_size=1)
    assert [row.file.get_content() for row in Paper.objects.all()] == [b"p0", b"p0"]
    assert Paper.objects.filter(file__backend="second").count() == 1
    monkeypatch.undo()
    migrate("library.Paper", delete_source=True)
    assert [row.file.get_content() for row in Paper.objects.all()] == [b"p0", b"p0"]
    assert there("second") == ["p0"]
