"""Credentials of S3 that can't be loaded: nothing is known of files, and pages show their URLs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.testing import override_storage
from tests import servers
from tests.servers.ports import HOST


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """That of a machine without any credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return monkeypatch


@pytest.fixture
def storage(environment: pytest.MonkeyPatch) -> Iterator[FSSpecStorage]:
    endpoint = {"endpoint_url": f"http://{HOST}:{servers.closed_port()}"}
    with override_storage(
        default={"fs": "s3", "prefix": "bucket", "fs_options": endpoint, "retries": 0}
    ):
        yield get_storage("default")


@pytest.fixture
def without_token(environment: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A pod of Kubernetes whose token is not there (yet); return its path."""
    missing = str(tmp_path / "token")
    environment.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/site")
    environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", missing)
    return missing


CALLS: dict[str, Callable[[FSSpecStorage], Any]] = {
    "exists": lambda storage: storage.exists("a.txt"),
    "walk": lambda storage: list(storage.walk()),
    "listdir": lambda storage: storage.listdir(""),
    "get_content": lambda storage: storage.get_content("a.txt"),
    "save": lambda storage: storage.save("a.txt", ContentFile(b"one")),
    "delete": lambda storage: storage.delete("a.txt"),
    "copy": lambda storage: storage.copy("a.txt", "b.txt"),
    "aexists": lambda storage: asyncio.run(storage.aexists("a.txt")),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_missing_token_is_no_missing_file(
    without_token: str, storage: FSSpecStorage, call: Callable[[FSSpecStorage], Any]
) -> None:
    with pytest.raises(StorageError, match=f"a file that is not there: .*{without_token}"):
        call(storage)


@pytest.mark.parametrize("kind", ["none", "token"])
def test_a_page_shows_urls_of_django_instead(
    storage: FSSpecStorage,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
    kind: str,
) -> None:
    if kind == "token":
        request.getfixturevalue("without_token")
    with caplog.at_level(logging.WARNING, "django_fsspec"):
        assert {storage.url(f"{number}.txt").split("/")[2] for number in range(3)} == {"file"}
    [message] = [each for each in caplog.messages if "can't sign URLs" in each]
    assert "['fs_options'] can't sign URLs: the credentials can't be loaded (" in message


@pytest.mark.urls("tests.helpers.no_urls")
def test_where_nothing_makes_urls_the_credentials_are_named(storage: FSSpecStorage) -> None:
    with pytest.raises(StorageError, match="can't be loaded \\(Unable to locate credentials"):
        storage.url("a.txt")
