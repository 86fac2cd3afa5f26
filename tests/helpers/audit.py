"""What the tests of sweep_files and refresh_files share: objects, and rows that name them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection, models

from django_fsspec import FileObject
from django_fsspec.audit.findings import MissingFile, Orphan
from django_fsspec.audit.sweep import Sweep
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import _s3, folder, scratch
from tests.library.models import Paper

NAMES = [
    "quo'te\".txt",
    "100%.txt",
    "%s {0}.txt",
    "\U0001f600/\U0001f600.txt",
    "caf\u00e9.txt",
    "cafe\u0301 2.txt",
    "\uff21\ue000.txt",
    "a-b/c.txt",
    "a/b.txt",
    "a b.txt",
    "a/b/c/d.txt",
]


def options_of(kind: str) -> dict[str, Any]:
    if kind == "s3":
        return _s3(servers.SeaweedS3)(folder())
    prefix = folder()
    return (
        {"fs": "file", "prefix": str(scratch() / prefix)} if kind == "local" else in_memory(prefix)
    )


def in_memory(prefix: str) -> dict[str, Any]:
    return {"fs": "memory", "prefix": prefix}


# modules take fixtures by assignment; of an import ruff would say that parameters redefine it
@pytest.fixture(params=["memory", "local", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    with override_storage(default=options_of(request.param)):
        yield request.param


@pytest.fixture
def default() -> Iterator[FSSpecStorage]:
    """The default storage, in memory."""
    with override_storage("default"):
        yield storage_of("default")


def storage_of(alias: str) -> FSSpecStorage:
    storage = storages[alias]
    assert isinstance(storage, FSSpecStorage)
    return storage


def put(*names: str, alias: str = "default") -> None:
    for name in names:
        assert storage_of(alias).save(name, ContentFile(b"1234567")) == name


def there(alias: str = "default") -> list[str]:
    return sorted(stat.name for stat in storage_of(alias).walk())


def said(name: str, alias: str = "default") -> FileObject:
    """Return a file that is only said to be stored."""
    return FileObject(alias, name)


def hold(*names: str, alias: str = "default") -> None:
    Paper.objects.bulk_create([Paper(file=said(name, alias)) for name in names])


def put_json(row: models.Model, column: str, data: Any) -> None:
    """Write a column as anybody may who has access to the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {row._meta.db_table} SET {column} = %s WHERE id = %s",
            [json.dumps(data), row.pk],
        )


def sweep(*aliases: str, **options: Any) -> list[Orphan | MissingFile]:
    return list(Sweep(aliases or ["default"], **options).run())


def fates(*aliases: str, **options: Any) -> dict[str, str]:
    found = sweep(*aliases, **options)
    return {one.name: one.fate for one in found if isinstance(one, Orphan)}


#: options that delete whatever the age
NOW: dict[str, Any] = {"delete": True, "min_age": timedelta(0)}


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("sweep_files", *arguments, stdout=out, stderr=StringIO(), no_color=True)
    return out.getvalue()


def failing(*arguments: str) -> tuple[str, int]:
    """Return what a sweep prints that does not end with 0, and with what it ends."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("sweep_files", *arguments, stdout=out, no_color=True)
    return out.getvalue() or str(caught.value), caught.value.returncode


def summary(text: str, alias: str = "default") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)["aliases"][alias]
    return found
