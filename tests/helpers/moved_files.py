"""Two storages between which migrate_files moves files, and rows of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command

from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import _azure, _gcs, _local, _s3, _sftp, folder
from tests.library.models import Paper

PLACES: dict[str, Callable[[], dict[str, Any]]] = {
    "memory": lambda: {"fs": "memory", "prefix": folder()},
    "local": lambda: _local(folder()),
    "s3": lambda: _s3(servers.SeaweedS3)(folder()),
    "gcs": lambda: _gcs(folder()),
    "azure": lambda: _azure(folder()),
    "sftp": lambda: _sftp(servers.OpenSSH)(folder()),
}


def between(source: str, target: str) -> Any:
    return override_storage(default=PLACES[source](), second=PLACES[target]())


# modules take it by assignment; of an import ruff would say that parameters redefine it
@pytest.fixture
def memory() -> Iterator[None]:
    with between("memory", "memory"):
        yield


def move(*labels: str, expect: int = 0, **options: Any) -> str:
    """Run the command; return its output."""
    out = io.StringIO()
    given = {"source": "default", "target": "second", **options}
    status = 0
    try:
        call_command("migrate_files", *labels, stdout=out, stderr=out, no_progress=True, **given)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == expect, out.getvalue()
    return out.getvalue()


def there(alias: str) -> list[str]:
    storage: Any = storages[alias]
    return sorted(storage.get_content(stat.name).decode() for stat in storage.walk())


def papers(count: int) -> list[Paper]:
    made = [Paper(title=str(n), file=ContentFile(f"p{n}", name=f"{n}.txt")) for n in range(count)]
    return Paper.objects.bulk_create(made)


def there_names(alias: str) -> list[str]:
    storage: Any = storages[alias]
    return sorted(stat.name for stat in storage.walk())


def check_left(said: str, paper: Paper, reason: str, content: bytes) -> None:
    """Assert that the output names the row and the reason, and that the row did not change."""
    assert f"library.Paper.file {paper.pk}: {paper.file.name}: {reason}" in said
    row = Paper.objects.get(pk=paper.pk)
    assert row.file.backend == "default"
    assert row.file.get_content() == content


def through(proxy: servers.CountingProxy) -> dict[str, Any]:
    options = PLACES["s3"]()
    return {
        **options,
        "retries": 0,
        "fs_options": {**options["fs_options"], "endpoint_url": proxy.url},
    }
