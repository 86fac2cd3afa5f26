"""What the tests of migrate_files' tasks share: two places, task backends, a worker's part."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.test import override_settings

from django_fsspec.testing import override_storage
from django_fsspec.transfer import tasks
from django_fsspec.transfer.shards import Shard
from tests.helpers.backends import folder
from tests.library.models import Paper

PACKAGE = "django.tasks" if django.VERSION >= (6,) else "django_tasks"
IMMEDIATE = {"BACKEND": f"{PACKAGE}.backends.immediate.ImmediateBackend", "QUEUES": []}
DUMMY = {"BACKEND": f"{PACKAGE}.backends.dummy.DummyBackend", "QUEUES": ["default", "files"]}

with_database = pytest.mark.django_db(transaction=True)


# modules take fixtures by assignment; of an import ruff would say that parameters redefine it
@pytest.fixture
def memory() -> Iterator[None]:
    """Two places, a task backend that works at once and one that only takes note."""
    places = {alias: {"fs": "memory", "prefix": folder()} for alias in ("default", "second")}
    with (
        override_storage(**places),
        override_settings(TASKS={"default": IMMEDIATE, "dummy": DUMMY}),
    ):
        yield


def migrate(*labels: str, **options: Any) -> str:
    """Run the command; return what it said."""
    out = io.StringIO()
    given = {"source": "default", "target": "second", **options}
    call_command("migrate_files", *labels, stdout=out, stderr=out, no_progress=True, **given)
    return out.getvalue()


def enqueue(*labels: str, **options: Any) -> str:
    return migrate(*labels, enqueue=True, **options)


def papers(count: int) -> list[Paper]:
    made = [Paper(title=str(n), file=ContentFile(f"p{n}", name=f"{n}.txt")) for n in range(count)]
    return Paper.objects.bulk_create(made)


def there(alias: str) -> list[str]:
    storage: Any = storages[alias]
    return sorted(storage.get_content(stat.name).decode() for stat in storage.walk())


def noted() -> list[Any]:
    """Return what the dummy backend took note of."""
    found: list[Any] = tasks.framework.task_backends["dummy"].results  # type: ignore[attr-defined]
    return found


def do(shard: Shard | dict[str, Any]) -> dict[str, Any]:
    """Do a task as a worker does, with arguments that are the same as JSON and pickled."""
    data = shard.to_json() if isinstance(shard, Shard) else shard
    assert json.loads(json.dumps(data)) == data
    result: dict[str, Any] = tasks.migrate_shard.func(data)
    assert json.loads(json.dumps(result)) == result
    return result


def told(said: str) -> str:
    return " ".join(said.split())
