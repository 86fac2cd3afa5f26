"""What these tests share: files of rows and of their histories, and requests to a storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.files.storage import storages

from django_fsspec.testing import override_storage
from tests.helpers.backends import folder
from tests.helpers.row_faults import files_in
from tests.servers import CountingProxy


def names(rows: Any, attribute: str) -> list[list[str]]:
    """Return the names of the files in rows of a queryset, in the order of their keys."""
    return [[file.name for file in files_in(row, attribute)] for row in rows.order_by("pk")]


def contents(rows: Any, attribute: str) -> list[list[str]]:
    """Return the contents of the files in rows of a queryset, as they are stored."""
    return [
        [file.get_content().decode() for file in files_in(row, attribute)]
        for row in rows.order_by("pk")
    ]


def stored() -> list[str]:
    """Return the names of all that is stored."""
    storage: Any = storages["default"]
    return sorted(stat.name for stat in storage.walk())


@contextmanager
def counted(proxy: CountingProxy, server: Any) -> Iterator[None]:
    """Have the default storage on S3, with all its requests through a proxy."""
    options = {
        "fs": "s3",
        "prefix": f"{server.bucket}/{folder()}",
        "fs_options": {**server.fs_options, "endpoint_url": proxy.url},
    }
    with override_storage(default=options):
        yield
