"""sweep_files: what goes wrong is told, and the rest is swept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import audit
from tests.helpers.audit import NOW, failing, fates, hold, in_memory, put, summary
from tests.helpers.backends import folder, server

pytestmark = pytest.mark.django_db(databases=["default", "other"])

default = audit.default


def test_what_can_not_be_deleted_is_told(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.txt", "b.txt")

    def fail(names: list[str]) -> None:
        error = StorageError("One is locked.")
        error.names = ["a.txt"]
        raise error

    monkeypatch.setattr(default, "delete_many", fail)
    text, status = failing("default", "--delete", "--min-age", "0")
    assert status == 1
    assert "default  failed      a.txt" in text
    assert "could not be deleted: 1" in text
    assert "One is locked." in text


def test_names_that_the_storage_refuses(tmp_path: Path) -> None:
    with override_storage(default={"fs": "file", "prefix": str(tmp_path)}):
        put("a.txt")
        (tmp_path / "~x").touch()
        Path(os.fsdecode(bytes(tmp_path) + b"/no\xfftext")).touch()
        assert fates(**NOW) == {"a.txt": "deleted", "no\udcfftext": "failed", "~x": "failed"}
        report = tmp_path.parent / f"{folder()}.jsonl"
        _, status = failing("default", "--delete", "--min-age", "0", "--report", str(report))
        assert status == 1
        names = [json.loads(line)["name"] for line in report.read_text().splitlines()]
        assert names == ["no\udcfftext", "~x"]


def test_a_storage_that_does_not_answer(default: FSSpecStorage) -> None:
    lost = {
        "fs": "s3",
        "prefix": "bucket",
        "fs_options": {
            "endpoint_url": f"http://127.0.0.1:{servers.closed_port()}",
            "key": "key",
            "secret": "secret",
        },
        "retries": 0,
    }
    with override_storage(lost=lost, default=in_memory(default.options.prefix)):
        put("a.txt")
        hold("b.txt", alias="lost")
        text, status = failing("lost", "default", "--missing", "--json")
        assert status == 1
        assert "STORAGES['lost']" in summary(text, "lost")["problem"]
        assert summary(text, "lost")["missing_rows"] is None
        assert summary(text, "lost")["listed"] is False
        assert summary(text)["orphans"] == 1
        text, _ = failing("lost", "default")
        shown = text.partition("lost: could not be listed: STORAGES['lost']")[2]
        assert shown.partition("\n")[2].startswith("default: 1 object, 7\xa0bytes\n  orphans: 1")


@pytest.mark.slow
def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client looks for them in its environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    address = {"endpoint_url": server(servers.SeaweedS3).endpoint_url}
    with override_storage(lost={"fs": "s3", "prefix": "bucket", "fs_options": address}):
        text, _ = failing("lost")
    assert (
        "check the credentials in STORAGES['lost']['OPTIONS']['fs_options'], or the default "
        in text
    )
    assert "credentials of the client, and what they allow" in text
