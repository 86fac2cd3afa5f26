"""One alias for each kind of storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import _local, _memory, _s3, _third_party, folder, server
from tests.helpers.utils import started
from tests.objects.bulk.saving import LATENCY, StickyFileSystem, Stubborn
from tests.soak import grounds


@pytest.fixture(scope="module")
def proxy() -> Iterator[servers.CountingProxy]:
    s3 = server(servers.SeaweedS3)
    with started(servers.CountingProxy, s3.port, latency=LATENCY) as running:
        yield running


@pytest.fixture(autouse=True)
def aliases(tmp_path: Path, proxy: servers.CountingProxy) -> Iterator[None]:
    """One alias a kind; "far" is S3 behind the proxy."""
    root = folder()
    ours = {
        "local": _local(root),
        "memory": _memory(root),
        "s3": _s3(servers.SeaweedS3)(root),
        "far": grounds.s3_options(server(servers.SeaweedS3), f"{root}-far", proxy.url),
        "shelf": _third_party("shelf")(root),
        "cloud": _third_party("cloud")(root),
        "sticky": {"fs": StickyFileSystem, "prefix": root},
    }
    django = "django.core.files.storage"
    disk, stubborn = {"location": str(tmp_path / "disk")}, {"location": str(tmp_path / "stubborn")}
    theirs = {
        "disk": {"BACKEND": f"{django}.FileSystemStorage", "OPTIONS": disk},
        "ram": {"BACKEND": f"{django}.InMemoryStorage"},
        "stubborn": {"BACKEND": f"{Stubborn.__module__}.Stubborn", "OPTIONS": stubborn},
    }
    with override_storage(**ours), override_settings(STORAGES={**settings.STORAGES, **theirs}):
        yield
