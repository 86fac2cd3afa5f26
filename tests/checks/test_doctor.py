"""check_storages uses each storage and leaves nothing there."""

from __future__ import annotations

import re
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_fsspec.checks.doctor import Doctor
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import _azure, _gcs, _memory, _s3, folder, scratch, server
from tests.helpers.folding import dropbox, webdav
from tests.helpers.third_party import CloudFileSystem
from tests.servers.ports import HOST, closed_port
from tests.soak.faults.message import Message
from tests.soak.faults.scripted import Scripted


def doctor(*aliases: str) -> str:
    out = StringIO()
    call_command("check_storages", *aliases, stdout=out, no_color=True)
    return out.getvalue()


STEPS = [
    "connect",
    "write",
    "exclusive create",
    "multipart create",
    "read",
    "range",
    "list",
    "folder markers",
    "spelling",
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
        assert text.count("not applicable") == 2
        (signed, other) = (line for line in text.splitlines() if line.startswith("  sign "))
        assert ("…" in signed, len(signed.split()[-1])) == (True, 101)
        assert "…" not in other
        assert list(storages["media"].walk()) == list(storages["default"].walk()) == []  # type: ignore[attr-defined]


def test_check_storages_of_azure() -> None:
    with override_storage(media=_azure(folder())):
        text = doctor("media")
        assert "FAILED" not in text
        assert "not applicable" not in text
        flows = storages["media"].flows  # type: ignore[attr-defined]
        with flows.adapter.pool.lease() as fs:
            assert fs.find(flows.root) == []


def failures(media: dict[str, Any]) -> dict[str, str]:
    """Return the lines of failed steps, by their title."""
    out = StringIO()
    with override_storage(media=media):
        with pytest.raises(CommandError, match="Storages with problems: media"):
            call_command("check_storages", "media", stdout=out, no_color=True)
        assert list(storages["media"].walk()) == []  # type: ignore[attr-defined]
    lines = [line for line in out.getvalue().splitlines() if "FAILED" in line]
    return {line[2:19].strip(): line for line in lines}


def test_check_storages_finds_a_server_that_ignores_create_only() -> None:
    failed = failures(_s3(servers.RcloneS3)(folder()))
    # folders are real ones on its disk, and no objects
    assert failed.keys() == {"exclusive create", "multipart create", "folder markers"}
    assert "If-None-Match" in failed["exclusive create"]
    assert "CompleteMultipartUpload" in failed["multipart create"]


def test_check_storages_finds_a_server_that_looks_for_the_name_before_the_upload_only() -> None:
    failed = failures(_gcs(folder()))  # fake-gcs-server, unlike Google's
    assert failed.keys() == {"multipart create"}


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (_memory, "tells names apart by case and Unicode form"),
        (lambda name: dropbox(), "takes names that differ in case alone for one name"),
        (
            lambda name: webdav(),
            "takes names that differ in case and Unicode form alone for one name",
        ),
    ],
    ids=["memory", "dropbox", "webdav"],
)
def test_check_storages_says_which_names_are_one(options: Any, note: str) -> None:
    with override_storage(media=options(folder())):
        (line,) = (line for line in doctor("media").splitlines() if "spelling" in line)
        assert line.endswith(f"ok  {note}")


def test_check_storages_says_how_names_are_listed() -> None:
    fs_options = server(servers.DecomposingFTP).fs_options
    with override_storage(media={"fs": "ftp", "prefix": folder(), "fs_options": fs_options}):
        (line,) = (line for line in doctor("media").splitlines() if "spelling" in line)
        assert "for one name; lists this name as 'check-storages-" in line
        assert line.endswith(r"-Aae\u0301.txt'")


class Altered(Scripted):
    """A way to a server that alters requests: one that does something else than it is asked."""

    def __init__(self, port: int, pattern: bytes, replacement: bytes) -> None:
        super().__init__(port)
        self._change = pattern, replacement

    async def _answer(self, request: Message) -> Message:
        pattern, replacement = self._change
        request.raw = re.sub(pattern, replacement, request.raw, flags=re.IGNORECASE)
        return await super()._answer(request)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "said", "pattern", "replacement"),
    [
        # honours the header of small files only
        (
            "multipart create",
            "upload in parts",
            rb"(?s)^(POST .*?)if-none-match: \*\r\n",
            rb"\1",
        ),
        # takes a folder for a file
        ("folder markers", "listed as a file", rb"^(PUT [^ ]*)/ ", rb"\1 "),
        # stores two other letters for one that is not ASCII
        ("spelling", "not listed under the name it was stored as", rb"%C3%A9|\xc3\xa9", b"ee"),
    ],
)
def test_check_storages_finds_servers_that_do_not_keep_a_promise(
    title: str, said: str, pattern: bytes, replacement: bytes
) -> None:
    moto = server(servers.MotoS3)  # which compares no signatures
    with Altered(moto.port, pattern, replacement) as way:
        options = _s3(servers.MotoS3)(folder())
        options["fs_options"] = {**moto.fs_options, "endpoint_url": way.url}
        failed = failures(options)
    assert failed.keys() == {title}
    assert said in failed[title]


@pytest.mark.parametrize("steps", range(1, len(STEPS)))
def test_a_check_that_is_given_up_leaves_nothing(steps: int) -> None:
    storage = FSSpecStorage(**_s3(servers.MotoS3)(folder()))
    examination: Any = Doctor(storage).examine()
    assert [next(examination).title for _ in range(steps)] == STEPS[:steps]
    examination.close()
    assert list(storage.walk()) == []


@pytest.mark.parametrize("saves", [1, 2])
def test_a_save_that_is_interrupted_leaves_nothing(
    saves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FSSpecStorage(**_s3(servers.MotoS3)(folder()))
    save, calls = storage.save, iter(range(1, 3))

    def interrupted(*args: Any) -> str:
        name: str = save(*args)
        if next(calls) == saves:
            raise KeyboardInterrupt
        return name

    monkeypatch.setattr(storage, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(Doctor(storage).examine())
    assert list(storage.walk()) == []


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


def test_check_storages_reads_a_read_only_storage(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", b"stays")
    with override_storage(media={"fs": "zip", "fs_options": {"fo": str(tmp_path / "a.zip")}}):
        text = doctor("media")
    steps = [line.split() for line in text.splitlines() if " ms" in line]
    assert [words[0] for words in steps] == ["connect", "write", "list"]
    assert steps[1][-1] == "read-only"
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == ["a.txt"]


def test_check_storages_of_a_filesystem_without_atomic_creates() -> None:
    prefix = folder()
    with override_storage(media={"fs": "cloud", "prefix": prefix}):
        text = doctor("media")
        assert "FAILED" not in text
        (create,) = (line for line in text.splitlines() if line.startswith("  exclusive create"))
        assert create.endswith("not atomic in this storage, so names get a random part")
        assert not any(name.startswith(prefix) for name in CloudFileSystem.files)


def test_a_storage_that_does_not_answer_is_told_of_without_its_secret() -> None:
    options = {
        "fs": "s3",
        "prefix": f"bucket/{folder()}",
        "retries": 0,
        "fs_options": {
            "key": "of-nobody",
            "secret": "kept-secret",
            "endpoint_url": f"http://{HOST}:{closed_port()}",
        },
    }
    out = StringIO()
    with override_storage(media=options), pytest.raises(CommandError, match="media"):
        call_command(
            "check_storages", "media", cors="https://a.example", stdout=out, no_color=True
        )
    failed = [line for line in out.getvalue().splitlines() if "FAILED" in line]
    assert [line.split()[0] for line in failed] == ["connect", "cors"]
    assert all("refused" in line or "connect to" in line for line in failed), failed
    assert "kept-secret" not in out.getvalue()


def test_check_storages_tells_of_an_alias_that_is_no_storage_of_ours_or_can_not_be_made() -> None:
    out = StringIO()
    with override_storage(media={"fs": "memory", "prefx": "x"}):
        with pytest.raises(CommandError, match="Storages with problems: media"):
            call_command("check_storages", "media", stdout=out, no_color=True)
        assert out.getvalue().startswith("media\n  configure ")
        assert "'prefx'" in out.getvalue()
    disk = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    with override_settings(STORAGES={**settings.STORAGES, "disk": disk}):
        assert doctor("disk") == "disk: FileSystemStorage is not an FSSpecStorage.\n"
