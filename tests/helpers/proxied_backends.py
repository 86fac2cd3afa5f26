"""Backends by way of a proxy that counts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import backends_named, folder, server
from tests.helpers.utils import started

#: backend -> its server, and OPTIONS for the same place by way of a proxy
PLACES: dict[str, tuple[type[servers.Server], Callable[[dict[str, Any], str], dict[str, Any]]]] = {
    "s3 (SeaweedFS)": (
        servers.SeaweedS3,
        lambda options, url: {**options["fs_options"], "endpoint_url": url},
    ),
    "gcs (fake-gcs-server)": (
        servers.FakeGCS,
        lambda options, url: {**options["fs_options"], "endpoint_url": url},
    ),
    "azure (azurite)": (
        servers.Azurite,
        lambda options, url: {
            "connection_string": options["fs_options"]["connection_string"].replace(
                server(servers.Azurite).url, url
            )
        },
    ),
    "sftp (OpenSSH)": (
        servers.OpenSSH,
        lambda options, url: {
            **options["fs_options"],
            "port": int(url.rpartition(":")[2]),
            "known_hosts": None,
        },
    ),
    "webdav (rclone)": (
        servers.RcloneWebDAV,
        lambda options, url: {**options["fs_options"], "base_url": url},
    ),
}


@contextlib.contextmanager
def through_proxy(
    place: str, files: Mapping[str, bytes], **options: Any
) -> Iterator[tuple[servers.CountingProxy, FSSpecStorage]]:
    """Give a storage of `place`, or of nginx for "http (nginx)", with `files`, and its proxy."""
    if place == "http (nginx)":
        nginx, name = server(servers.NginxHTTP), folder()
        (nginx.root / name).mkdir()
        for file, data in files.items():
            (nginx.root / name / file).write_bytes(data)
        with started(servers.CountingProxy, nginx.port) as proxy:
            yield proxy, FSSpecStorage(fs=f"{proxy.url}/{name}", **options)
        return
    (backend,) = backends_named(place)
    kind, by_proxy = PLACES[place]
    own = backend.options(folder())
    direct = FSSpecStorage(**own)
    for file, data in files.items():
        direct.save(file, ContentFile(data))
    with started(servers.CountingProxy, server(kind).port) as proxy:
        fs_options = by_proxy(own, proxy.url)
        yield proxy, FSSpecStorage(**{**own, "fs_options": fs_options, **options})
