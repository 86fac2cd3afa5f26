"""Object stores behind a way that does to each request what a test tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests import servers
from tests.helpers.backends import folder, server
from tests.soak import grounds
from tests.soak.faults.message import Message


def _s3(kind: type[servers.S3Server]) -> tuple[int, Callable[[str], dict[str, Any]]]:
    s3 = server(kind)
    return s3.port, lambda url: grounds.s3_options(s3, folder(), url)


def _azure() -> tuple[int, Callable[[str], dict[str, Any]]]:
    azure = server(servers.Azurite)

    def options(url: str) -> dict[str, Any]:
        given = str(azure.fs_options["connection_string"])
        fs_options = {**azure.fs_options}
        fs_options["connection_string"] = given.replace(f":{azure.port}", f":{url[-5:]}")
        return {"fs": "abfs", "prefix": f"{azure.container}/{folder()}", "fs_options": fs_options}

    return azure.port, options


def _gcs() -> tuple[int, Callable[[str], dict[str, Any]]]:
    gcs = server(servers.FakeGCS)

    def options(url: str) -> dict[str, Any]:
        fs_options = {**gcs.fs_options, "endpoint_url": url}
        return {"fs": "gcs", "prefix": f"{gcs.bucket}/{folder()}", "fs_options": fs_options}

    return gcs.port, options


SERVICES: dict[str, Callable[[], tuple[int, Callable[[str], dict[str, Any]]]]] = {
    "SeaweedFS": lambda: _s3(servers.SeaweedS3),
    "moto": lambda: _s3(servers.MotoS3),
    "Azurite": _azure,
    "fake-gcs": _gcs,
}


def creates(request: Message) -> bool:
    """Return whether an object is there once this is answered."""
    if "comp=blocklist" in request.query or "rewriteTo" in request.first:
        return True
    if "/upload/storage" in request.first:
        return "uploadType=multipart" in request.query
    return request.completes and "comp=" not in request.query
