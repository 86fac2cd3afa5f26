"""django-reversion: a revert writes the JSON of a file that may be gone."""

from __future__ import annotations

import logging
import re
import sys
import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import reversion
from django.core.checks import CheckMessage, run_checks
from django.db import transaction
from reversion.models import Version

from django_fsspec.audit.findings import MissingFile
from django_fsspec.testing import override_storage
from tests.helpers import row_faults
from tests.helpers.audit import failing, sweep
from tests.helpers.moved_files import move
from tests.helpers.row_faults import assign
from tests.helpers.row_files import Mishap, there
from tests.servers import CountingProxy, RcloneS3

from .files import contents, counted, names

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

ROOT = Path(__file__).parents[3]

attribute = row_faults.attribute


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "django_fsspec"):
        yield caplog


def versions(row: Any) -> list[Any]:
    """Return the versions of a row, the first one first."""
    return list(Version.objects.get_for_object(row).order_by("pk"))


def edited(row: Any, attribute: str, *files: str, title: str = "") -> None:
    """Save a row with these files as a new version."""
    with reversion.create_revision():
        row.title = title
        assign(row, attribute, *files)
        row.save()


def test_a_reverted_row_whose_file_is_gone_is_logged_and_listed(
    memory: None, models: Any, attribute: str, logged: pytest.LogCaptureFixture
) -> None:
    row = models.Contract()
    edited(row, attribute, "one")
    [[name]] = names(models.Contract.objects.all(), attribute)
    edited(row, attribute, "two")
    assert (there(), logged.messages) == (["two"], [])
    versions(row)[0].revision.revert()
    assert logged.text.endswith(
        "Files of rows are missing after a raw save (loaddata, or a revert by django-reversion): "
        f"Contract.{attribute} of row {row.pk} (default:{name}). List such rows with "
        "`manage.py sweep_files --missing`.\n"
    )
    assert [record.levelname for record in logged.records] == ["WARNING"]
    missing = [each for each in sweep(missing=True) if isinstance(each, MissingFile)]
    found = [(each.model, each.pk, each.field, each.name) for each in missing]
    assert found == [("histories.Contract", row.pk, attribute, name)]
    said, status = failing("--missing")
    assert status == 1
    assert f"default  missing  histories.Contract {row.pk} {attribute}  {name}" in said


def test_a_deleted_row_that_is_brought_back_is_logged(
    memory: None, models: Any, attribute: str, logged: pytest.LogCaptureFixture
) -> None:
    row = models.Contract()
    edited(row, attribute, "one")
    pk = row.pk
    row.delete()
    Version.objects.get_deleted(models.Contract).get().revision.revert()
    assert models.Contract.objects.get().pk == pk
    [message] = logged.messages
    assert f"Contract.{attribute} of row {pk} " in message


def test_a_file_that_stays_is_reverted(
    memory: None, models: Any, logged: pytest.LogCaptureFixture
) -> None:
    row = models.Treaty()
    edited(row, "file", "one")
    edited(row, "file", "two")
    versions(row)[0].revision.revert()
    assert contents(models.Treaty.objects.all(), "file") == [["one"]]
    versions(row)[1].revision.revert()
    assert contents(models.Treaty.objects.all(), "file") == [["two"]]
    row.delete()
    Version.objects.get_deleted(models.Treaty).get().revision.revert()
    assert contents(models.Treaty.objects.all(), "file") == [["two"]]
    assert (there(), logged.messages) == (["one", "two"], [])


def test_a_revert_that_is_rolled_back_says_nothing(
    memory: None, models: Any, attribute: str, logged: pytest.LogCaptureFixture
) -> None:
    row = models.Contract()
    edited(row, attribute, "one")
    edited(row, attribute, "two")
    with pytest.raises(Mishap), transaction.atomic():
        versions(row)[0].revision.revert()
        raise Mishap
    assert (contents(models.Contract.objects.all(), attribute), logged.messages) == ([["two"]], [])


def test_requests_of_a_revert(
    rclone: RcloneS3, proxy: CountingProxy, models: Any, logged: pytest.LogCaptureFixture
) -> None:
    with counted(proxy, rclone):
        row = models.Treaty()
        edited(row, "file", "one", title="first")
        with reversion.create_revision():
            row.title = "second"
            row.save()
        proxy.reset()
        first, second = versions(row)
        first.revision.revert()
        assert models.Treaty.objects.get().title == "first"
        # the row holds the file already
        assert proxy.requests() == []
        edited(row, "file", "two")
        proxy.reset()
        second.revision.revert()
        assert [request.method for request in proxy.requests()] == ["HEAD"]
    assert logged.messages == []


# system check and sweep


def warnings() -> list[CheckMessage]:
    return [message for message in run_checks() if message.id == "django_fsspec.W005"]


def test_a_warning_for_files_that_a_revert_will_not_find(models: Any) -> None:
    fields = [models.Contract._meta.get_field(name) for name in ("file", "files")]
    found = warnings()
    assert [message.obj for message in found] == fields
    assert "cleanup=False" in str(found[0].hint)


def test_a_sweep_says_that_versions_are_no_rows(memory: None, models: Any) -> None:
    from django_fsspec.audit.sweep import Sweep

    row = models.Treaty()
    edited(row, "file", "one")
    edited(row, "file", "two")
    search = Sweep(min_age=timedelta())
    assert [each.fate for each in search.run()] == ["orphan"]  # type: ignore[union-attr]
    [note] = [note for note in search.notes if "django-reversion" in note]
    assert "histories.Treaty.file" in note
    assert "histories.Document" not in note
    assert note.endswith("unless a function in DJANGO_FSSPEC_NAMES_IN_USE names them.")


@pytest.fixture
def guide(models: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function of the guide names the files of versions."""
    page = (ROOT / "docs" / "how-to" / "history-and-versions.md").read_text()
    [code] = re.findall(r"```python\n# treaties/files.py\n(.*?)```", page, re.DOTALL)
    module = types.ModuleType("treaties_files")
    code = code.replace('"document"', '"file"')
    exec(code.replace("treaties.models", models.__name__), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.DJANGO_FSSPEC_NAMES_IN_USE = ["treaties_files.names_of_versions"]


def test_the_function_of_the_guide_names_the_files_of_versions(
    memory: None, models: Any, guide: None
) -> None:
    from django_fsspec.audit.sweep import Sweep

    row = models.Treaty()
    for content in ("one", "two", "three", "four"):
        edited(row, "file", content)
    row.file = None
    row.save()
    Version.objects.get_for_object(row).filter(pk__lt=versions(row)[2].pk).delete()
    search = Sweep(min_age=timedelta(), delete=True)
    for _ in search.run():
        pass
    assert not [note for note in search.notes if "django-reversion" in note]
    assert there() == ["four", "three"]


def test_a_move_keeps_the_files_of_versions(memory: None, models: Any, guide: None) -> None:
    row = models.Treaty()
    edited(row, "file", "one")
    with override_storage("second"):
        move(models.Treaty._meta.label, delete_source=True)
        assert there("second") == ["one"]
        assert there() == ["one"]
        versions(row)[0].revision.revert()
        assert contents(models.Treaty.objects.all(), "file") == [["one"]]
