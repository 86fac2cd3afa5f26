"""django-debug-toolbar and Sentry show no secret of a storage, and ask no storage."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.backends import folder, server
from tests.helpers.utils import started
from tests.helpers.workers import Worker
from tests.integrations.other_packages import reporters
from tests.servers import CountingProxy, RcloneS3, closed_port

pytestmark = [pytest.mark.once, pytest.mark.slow]

#: in each secret; in Azure's it is base64
SECRET = re.compile("TOPSECRET|VE9QU0VDUkVU")


def broken() -> dict[str, dict[str, Any]]:
    """Return OPTIONS that can't be reached, or are wrong."""
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    keys = {"key": "AKTOPSECRET", "secret": "TOPSECRET", "endpoint_url": url}
    azure = f"AccountName=a;AccountKey=VE9QU0VDUkVUQUFB;BlobEndpoint={url}/a;"
    user = {"username": "u", "password": "TOPSECRET"}
    return {
        "s3": {"fs": "s3", "prefix": "b", "fs_options": keys},
        "azure": {"fs": "abfs", "prefix": "c", "fs_options": {"connection_string": azure}},
        "ftp": {"fs": f"ftp://u:TOPSECRET@127.0.0.1:{port}/a"},
        "sftp": {
            "fs": "sftp",
            "prefix": "/a",
            "fs_options": {"host": "127.0.0.1", "port": port, **user},
        },
        "webdav": {
            "fs": "webdav",
            "prefix": "/a",
            "fs_options": {"base_url": url, "auth": ["u", "TOPSECRET"]},
        },
        "no such option": {"fs": "s3", "prefix": "b", "fs_options": {**keys, "kye": 1}},
        "no such protocol": {"fs": "s4", "prefix": "b", "fs_options": keys},
        # raised where Django has the options in its own variables
        "refused at once": {"fs": "s3", "prefix": "b", "prefx": "c", "fs_options": keys},
    }


@pytest.fixture(scope="module")
def proxy() -> Iterator[CountingProxy]:
    with started(CountingProxy, server(RcloneS3).port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def worker(proxy: CountingProxy) -> Iterator[Worker]:
    s3 = server(RcloneS3)
    options = {**s3.fs_options, "key": "AKTOPSECRET", "secret": "TOPSECRET"}
    media = {
        "fs": "s3",
        "prefix": f"{s3.bucket}/{folder()}",
        "fs_options": {**options, "endpoint_url": proxy.url},
    }
    environment = {
        **os.environ,
        "PACKAGE": "reporters",
        "MEDIA": json.dumps(media),
        "BROKEN": json.dumps(broken()),
    }
    with Worker(f"{reporters.__package__}.settings", environment) as worker:
        worker.call(reporters.rows, 20)
        yield worker


def test_a_page_with_the_toolbar(worker: Worker, proxy: CountingProxy) -> None:
    proxy.reset()
    page, panels = worker.call(reporters.toolbar)
    assert proxy.requests() == []
    assert page.count('<a href="http') == 20
    assert "STORAGES" in panels["SettingsPanel"]
    assert "FSSpecStorage s3 alias=" in panels["TemplatesPanel"]
    assert len(panels) >= 8
    # the id of a key is in signed URLs
    for name, content in panels.items():
        assert not re.search("(?<!AK)TOPSECRET", content), name


def leaks(events: list[dict[str, Any]]) -> list[str]:
    """Return where secrets are, but for the source of this test."""
    found = []
    for event in events:
        for error in event["exception"]["values"]:
            for frame in error["stacktrace"]["frames"]:
                found += [
                    f"{frame['module']}.{frame['function']}: {name}"
                    for name, value in frame.get("vars", {}).items()
                    if SECRET.search(json.dumps(value))
                ]
            del error["stacktrace"]
        if SECRET.search(json.dumps(event)):
            found.append(json.dumps(event))
    return found


def test_events_of_sentry(worker: Worker, proxy: CountingProxy) -> None:
    proxy.reset()
    rows, *events = worker.call(reporters.events, {})
    assert "<FileObject '0.png' on 'default'>" in json.dumps(rows)
    assert "un-saved" not in json.dumps(rows)
    assert proxy.requests() == []
    assert leaks([rows]) == []
    assert len(events) == len(broken())
    assert all("STORAGES[" in event["exception"]["values"][-1]["value"] for event in events)
    # Django has the OPTIONS of a storage that it makes in variables of its own
    theirs = "django.core.files.storage.handler."
    assert [place for place in leaks(events) if not place.startswith(theirs)] == []


def test_events_of_sentry_as_the_documents_set_it_up(worker: Worker) -> None:
    events = worker.call(reporters.events, {"scrub": True})
    assert len(events) == 1 + len(broken())
    assert leaks(events) == []


@pytest.mark.parametrize("alias", [alias for alias in broken() if alias != "refused at once"])
def test_the_page_of_an_error_has_no_secret(worker: Worker, alias: str) -> None:
    page = worker.call(reporters.debug_page, f"/broken/{alias}/")
    assert "STORAGES[" in page
    assert not SECRET.search(page)


def test_the_page_of_an_error_asks_no_storage(worker: Worker, proxy: CountingProxy) -> None:
    proxy.reset()
    page = worker.call(reporters.debug_page, "/failing/")
    assert "&lt;FileObject &#x27;0.png&#x27; on &#x27;default&#x27;&gt;" in page
    assert not SECRET.search(page)
    assert proxy.requests() == []
