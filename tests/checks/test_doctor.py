"""check_storages uses each storage and leaves nothing there."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import folder, scratch, server


def doctor(*aliases: str) -> str:
    out = StringIO()
    call_command("check_storages", *aliases, stdout=out, no_color=True)
    return out.getvalue()


STEPS = [
    "connect",
    "write",
    "exclusive create",
    "read",
    "range",
    "list",
    "clock",
    "sign",
    "delete",
]


def test_check_storages_uses_each_storage_and_leaves_nothing() -> None:
    s3 = server(servers.SeaweedS3)
    with override_storage(
        default={"fs": "file", "prefix": str(scratch() / folder())},
        media={"fs": "s3", "prefix": f"{s3.bucket}/{folder()}", "fs_options": s3.fs_options},
    ):
        text = doctor("default", "media")
        assert [line.split("  ")[1] for line in text.splitlines() if " ms " in line] == STEPS * 2
        assert "FAILED" not in text
        assert list(storages["media"].walk()) == list(storages["default"].walk()) == []  # type: ignore[attr-defined]


def test_check_storages_finds_a_server_that_ignores_create_only() -> None:
    s3 = server(servers.RcloneS3)
    with override_storage(media={"fs": "s3", "prefix": s3.bucket, "fs_options": s3.fs_options}):
        out = StringIO()
        with pytest.raises(CommandError, match="Storages with problems: media"):
            call_command("check_storages", "media", stdout=out, no_color=True)
        (line,) = [line for line in out.getvalue().splitlines() if "FAILED" in line]
        assert "exclusive create" in line
        assert "If-None-Match" in line


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (servers.BehindFTP, "behind this machine's"),
        (servers.AheadFTP, "ahead of this machine's"),
        (servers.PyFTP, "as this machine's"),
    ],
)
def test_check_storages_reports_the_clock(kind: type[servers.PyFTP], said: str) -> None:
    options = {"fs": "ftp", "prefix": folder(), "fs_options": server(kind).fs_options}
    with override_storage(media=options):
        text = doctor("media")
        (line,) = [line for line in text.splitlines() if line.startswith("  clock")]
        assert " ok " in line
        assert said in line
        assert ("2 days" in line or "1 day, 23:59:" in line) is (kind is not servers.PyFTP)
        assert list(storages["media"].walk()) == []  # type: ignore[attr-defined]


def test_check_storages_names_the_setting() -> None:
    s3 = server(servers.SeaweedS3)
    wrong = {**s3.fs_options, "secret": "very-secret-value"}
    out = StringIO()
    with (
        override_storage(media={"fs": "s3", "prefix": s3.bucket, "fs_options": wrong}),
        pytest.raises(CommandError),
    ):
        call_command("check_storages", stdout=out, no_color=True)
    assert "STORAGES['media']['OPTIONS']['fs_options']" in out.getvalue()
    assert "very-secret-value" not in out.getvalue()


def test_check_storages_refuses_unknown_aliases() -> None:
    with pytest.raises(CommandError, match="'nope'") as caught:
        doctor("nope")
    assert caught.value.returncode == 2


def test_check_storages_leaves_other_files_alone() -> None:
    with override_storage("media"):
        storages["media"].save("kept.txt", ContentFile(b"kept"))
        assert "ok" in doctor("media")
        assert storages["media"].listdir("")[1] == ["kept.txt"]
