"""django-filer and Wagtail upload, make thumbnails and renditions, and delete, on our storage."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.backends import folder, server
from tests.helpers.workers import Worker
from tests.integrations.other_packages import managers
from tests.servers import SeaweedS3

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    s3 = server(SeaweedS3)
    prefix = f"{s3.bucket}/{folder()}"
    media = {"fs": "s3", "prefix": prefix, "fs_options": s3.fs_options}
    environment = {**os.environ, "PACKAGE": "managers", "MEDIA": json.dumps(media)}
    with Worker(f"{managers.__package__}.settings", environment) as worker:
        worker.call(managers.tables)
        yield worker


@pytest.mark.parametrize("options", [None, {"fs": "memory", "prefix": "wagtail"}], ids=str)
def test_wagtail(worker: Worker, options: dict[str, Any] | None) -> None:
    made = worker.call(managers.steps, "wagtail", options)
    assert sorted(made["names"]) == sorted(made["stored"])
    assert (made["image"][:2], made["rendition"]) == ([20, 10], [5, 5])
    assert made["image"][2] == made["stored"][made["names"][0]]
    assert made["document"] == [11, "all is well"]
    assert all(url.startswith("http" if options is None else "/files/") for url in made["urls"])
    assert made["left"] == {}


def test_django_filer(worker: Worker) -> None:
    made = worker.call(managers.steps, "filer", None)
    assert [size[:2] for size in made["sizes"]] == [(20, 10)] * 2
    assert made["content"] == ["all is well"] * 2
    public, private = made["urls"]
    assert public.startswith("http")
    assert private.startswith("http")
    # main files and thumbnails, public and private, each in a folder of the bucket
    assert len(made["stored"]) == len(made["names"]) == 6
    for name in made["names"]:
        assert any(stored.endswith(f"/{name}") for stored in made["stored"])
    assert all(name.endswith("/m.txt") for name in made["names"][:2])
    assert made["left"] == {}
