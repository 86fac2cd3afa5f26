"""A site of several tenants: who is served, and storages whose prefix that tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django_fsspec.storage import FSSpecStorage, get_storage
from tests import servers
from tests.helpers.backends import folder, scratch, server

_served: ContextVar[str] = ContextVar("served")

#: as STORAGES names it
TELL = "tests.helpers.tenants.tell()"
ONE, TWO = "acme", "bolt"
#: BACKEND of a storage, and of two storages that are read as one
OURS, BOTH = "django_fsspec.storage.FSSpecStorage", "django_fsspec.readthrough.ReadThroughStorage"


def tell() -> str:
    """Return the folder of the tenant that is served; raise ``LookupError`` where none is."""
    return _served.get()


def tell_with(argument: str) -> str:
    """Return nothing of use: a prefix is asked for without an argument."""
    return argument


@contextmanager
def serving(tenant: str) -> Iterator[None]:
    token = _served.set(tenant)
    try:
        yield
    finally:
        _served.reset(token)


def options_of(kind: str, **options: Any) -> dict[str, Any]:
    """Return OPTIONS of a new place for tenants: "memory", "local", "s3" or "sftp"."""
    base = folder()
    if kind == "s3":
        s3 = server(servers.SeaweedS3)
        place = {"fs": f"s3://{s3.bucket}/{base}", "fs_options": s3.fs_options}
    elif kind == "local":
        place = {"fs": f"file://{scratch() / base}"}
    elif kind == "cache":
        s3 = server(servers.SeaweedS3)
        cache = {"cache_storage": str(scratch() / folder())}
        place = {
            "fs": f"filecache::s3://{s3.bucket}/{base}",
            "fs_options": {"s3": s3.fs_options, "filecache": cache},
        }
    else:
        place = {"fs": f"memory://{base}"}
    return {**place, "prefix": TELL, **options}


def listed(tenant: str, alias: str = "default") -> list[str]:
    """Return the names of a tenant's files."""
    with serving(tenant):
        storage: FSSpecStorage = get_storage(alias)
        return sorted(stat.name for stat in storage.walk())
