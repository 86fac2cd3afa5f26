"""Raw saves, as loaddata does them: a file that does not exist is logged after the commit."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_fsspec.testing import override_storage
from tests.helpers import row_faults
from tests.helpers.backends import folder
from tests.helpers.row_files import Mishap, held, text, there
from tests.library.models import Paper, Record, Shelf
from tests.servers import CountingProxy, RcloneS3

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

autocommit = row_faults.autocommit


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "django_fsspec"):
        yield caplog


def dumped(tmp_path: Path, *models: Any) -> str:
    """Write the rows of models into a fixture; return its path."""
    path = tmp_path / "rows.json"
    path.write_text(
        serializers.serialize("json", [row for model in models for row in model.objects.all()])
    )
    return str(path)


def raw(row: Any) -> Any:
    """Return a row as a deserializer makes it."""
    [again] = serializers.deserialize("json", serializers.serialize("json", [row]))
    return again


def gone(**values: Any) -> Any:
    """Return a row to save raw whose file was deleted."""
    paper = Paper.objects.create(file=text("one"), **values)
    again = raw(paper)
    paper.delete()
    return again


def test_loaddata_logs_once_which_files_are_missing(
    memory: None, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    papers = [Paper.objects.create(file=text(str(number))) for number in range(23)]
    shelf = Shelf.objects.create(files=[text("a"), text("b")])
    Paper.objects.create(title="no file")
    path = dumped(tmp_path, Paper, Shelf)
    missing = {paper.file.name for paper in papers} | {shelf.files.pop().name}
    shelf.save()
    Paper.objects.all().delete()
    call_command("loaddata", path, verbosity=0)
    assert there() == ["a"]
    [message] = logged.messages
    assert len([name for name in missing if f"(default:{name})" in message]) == 20
    assert message.count("(default:") == 20
    assert "and 4 more. List such rows with `manage.py sweep_files --missing`." in message


def test_files_that_exist_are_not_logged(
    memory: None, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    Paper.objects.create(file=text("one"))
    Shelf.objects.create(files=[text("two"), text("three")])
    path = dumped(tmp_path, Paper, Shelf)
    call_command("loaddata", path, verbosity=0)
    # without their files
    Paper.objects.all()._raw_delete("default")
    Shelf.objects.all()._raw_delete("default")
    call_command("loaddata", path, verbosity=0)
    assert (held(), there(), logged.messages) == (["one"], ["one", "three", "two"], [])


@pytest.mark.parametrize("rows", ["there", "gone"])
def test_requests_and_queries_of_loaddata(
    rclone: RcloneS3, proxy: CountingProxy, tmp_path: Path, rows: str
) -> None:
    options = {
        "fs": "s3",
        "prefix": f"{rclone.bucket}/{folder()}",
        "fs_options": {**rclone.fs_options, "endpoint_url": proxy.url},
    }
    with override_storage(default=options):
        Paper.objects.create(file=text("one"))
        Paper.objects.create(title="no file")
        Shelf.objects.create(files=[text("two"), text("three")])
        path = dumped(tmp_path, Paper, Shelf)
        if rows == "gone":
            Paper.objects.all()._raw_delete("default")
            Shelf.objects.all()._raw_delete("default")
        proxy.reset()
        with CaptureQueriesContext(connection) as queries:
            call_command("loaddata", path, verbosity=0)
        methods = [request.method for request in proxy.requests()]
    # one for each file that its row did not hold
    assert methods == (["HEAD"] * 3 if rows == "gone" else [])
    sql = [query["sql"].replace("`", '"') for query in queries.captured_queries]
    looks = [each for each in sql if each.startswith('SELECT "library_')]
    # PostgreSQL and MariaDB are asked twice for a row that was not found
    twice = rows == "gone" and connection.features.has_select_for_update
    assert len(looks) == (4 if twice else 2)


def test_a_row_without_a_file_costs_nothing(memory: None) -> None:
    again = raw(Paper.objects.create(title="a"))
    with CaptureQueriesContext(connection) as queries:
        again.save()
    assert len(queries) == 1


@pytest.mark.parametrize("how", ["autocommit", "atomic", "by hand"])
def test_it_is_logged_after_the_commit(
    memory: None, logged: pytest.LogCaptureFixture, how: str
) -> None:
    again = gone()
    if how == "by hand":
        transaction.set_autocommit(False)
    with transaction.atomic() if how == "atomic" else contextlib.nullcontext():
        again.save()
        assert len(logged.messages) == (how == "autocommit")
    if how == "by hand":
        transaction.commit()
        transaction.set_autocommit(True)
    assert f"Paper.file of row {again.object.pk} (" in logged.messages[0]
    assert len(logged.messages) == 1


@pytest.mark.parametrize("savepoint", [True, False])
def test_a_rollback_says_nothing(
    memory: None, logged: pytest.LogCaptureFixture, savepoint: bool
) -> None:
    again = gone()
    with (
        transaction.atomic() if savepoint else contextlib.nullcontext(),
        pytest.raises(Mishap),
        transaction.atomic(),
    ):
        again.save()
        raise Mishap
    assert (Paper.objects.count(), logged.messages) == (0, [])


def test_a_refused_row_says_nothing(memory: None, logged: pytest.LogCaptureFixture) -> None:
    record = Record.objects.create(file=text("one"), unique="a")
    again = raw(record)
    record.delete()
    Record.objects.create(file=text("two"), unique="a")
    with pytest.raises(IntegrityError):
        again.save()
    assert not connection.in_atomic_block
    assert (Record.objects.count(), there(), logged.messages) == (1, ["two"], [])


def test_another_database(memory: None, logged: pytest.LogCaptureFixture) -> None:
    again = gone()
    again.save(using="other")
    assert Paper.objects.using("other").count() == 1
    assert len(logged.messages) == 1


def test_a_storage_that_does_not_answer(logged: pytest.LogCaptureFixture) -> None:
    name = folder()
    with override_storage("default"):
        again = gone()
    nowhere = {
        "fs": "s3",
        "prefix": f"bucket/{name}",
        "fs_options": {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:1"},
        "retries": 0,
    }
    with override_storage(default=nowhere):
        again.save()
    [message] = logged.messages
    assert message.startswith("Whether 'papers/")
    assert "exists on 'default' is unknown (StorageError)." in message


def test_an_alias_that_is_not_configured(memory: None, logged: pytest.LogCaptureFixture) -> None:
    data = {"backend": "nowhere", "filename": "a.txt"}
    fields = {"title": "", "file": data}
    rows = json.dumps([{"model": "library.paper", "pk": 1, "fields": fields}])
    [row] = serializers.deserialize("json", rows)
    row.save()
    assert Paper.objects.get().file.backend == "nowhere"
    [message] = logged.messages
    assert "Whether 'a.txt' exists on 'nowhere' is unknown (InvalidStorageError)." in message
