"""An answer with less than was asked for, and the length of that, is not taken for the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import backends_named, folder, server
from tests.helpers.utils import numbered
from tests.soak.faults.message import Message
from tests.soak.faults.scripted import Scripted

pytestmark = pytest.mark.once

#: stored in two parts
DATA = numbered(1_500_000)


def _at_endpoint(options: dict[str, Any], url: str) -> dict[str, Any]:
    return {**options["fs_options"], "endpoint_url": url}


def _azure(options: dict[str, Any], url: str) -> dict[str, Any]:
    given = options["fs_options"]["connection_string"]
    return {"connection_string": given.replace(server(servers.Azurite).url, url)}


def _webdav(options: dict[str, Any], url: str) -> dict[str, Any]:
    return {**options["fs_options"], "base_url": url}


#: backend -> its server, and fs_options for the same place by way of a proxy
WRITABLE: dict[str, tuple[Any, Callable[[dict[str, Any], str], dict[str, Any]]]] = {
    "s3 (SeaweedFS)": (servers.SeaweedS3, _at_endpoint),
    "s3 (moto)": (servers.MotoS3, _at_endpoint),
    "gcs (fake-gcs-server)": (servers.FakeGCS, _at_endpoint),
    "azure (azurite)": (servers.Azurite, _azure),
    "webdav (rclone)": (servers.RcloneWebDAV, _webdav),
}


def stored(place: str, url: str) -> FSSpecStorage:
    """Return a storage that holds DATA as a.bin, reached by way of `url`."""
    if place == "http (nginx)":
        path = server(servers.NginxHTTP).root / folder() / "a.bin"
        path.parent.mkdir()
        path.write_bytes(DATA)
        return FSSpecStorage(fs=f"{url}/{path.parent.name}", retries=1)
    (backend,) = backends_named(place)
    options = {**backend.options(folder()), "chunk_size": 5 * 1024 * 1024, "retries": 1}
    FSSpecStorage(**options).save("a.bin", ContentFile(DATA))
    return FSSpecStorage(**{**options, "fs_options": WRITABLE[place][1](options, url)})


class Shortened:
    """Halves the first `times` answers with content of the file."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, request: Message) -> str | None:
        if request.method != "GET" or "a.bin" not in request.first or not self.times:
            return None
        self.times -= 1
        return "short"


WAYS: dict[str, Callable[[FSSpecStorage], bytes]] = {
    "range": lambda storage: storage.get_content("a.bin", 1000, 5_000_000),
    "rest": lambda storage: storage.get_content("a.bin", 1000),
    "get_content": lambda storage: storage.get_content("a.bin"),
    "stream": lambda storage: b"".join(storage.stream("a.bin")),
    "open": lambda storage: storage.open("a.bin").read(),
}
#: of an answer to a request without a range, nothing but its length tells the size there
RANGES_ONLY = ("http (nginx)", "webdav (rclone)", "gcs (fake-gcs-server)")
EXPECTED = {"range": DATA[1000:5_000_000], "rest": DATA[1000:]}


@pytest.mark.slow
@pytest.mark.parametrize("place", [*WRITABLE, "http (nginx)"])
def test_a_short_answer_is_no_whole_one(place: str) -> None:
    kind = servers.NginxHTTP if place not in WRITABLE else WRITABLE[place][0]
    with Scripted(server(kind).port) as proxy:
        storage = stored(place, proxy.url)
        for way, read in WAYS.items():
            if way not in EXPECTED and place in RANGES_ONLY:
                continue
            proxy.fate = Shortened(1)
            assert read(storage) == EXPECTED.get(way, DATA), way
            proxy.fate = Shortened(9)
            with pytest.raises(StorageError, match=r"of \d+ bytes"):
                read(storage)
            # once more than the retries, not for ever
            assert proxy.fate.times == 7
