"""What migrate_files can't move is counted, listed and left where it is; the rest is moved."""

from __future__ import annotations

import asyncio
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.core.management import CommandError
from django.db import OperationalError, connection, transaction
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.rows.columns import FileColumn
from django_fsspec.testing import override_storage
from django_fsspec.transfer.copier import Budget
from tests import servers
from tests.helpers.backends import _local, _s3, folder, server
from tests.helpers.utils import started
from tests.library.models import Attachment, Paper
from tests.transfer.test_migrate_files import PLACES, between, move, papers, there, there_names

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def memory() -> Iterator[None]:
    with between("memory", "memory"):
        yield


def check_left(said: str, paper: Paper, reason: str, content: bytes) -> None:
    """Have a row be told of, with the reason, and be as it was."""
    assert f"library.Paper.file {paper.pk}: {paper.file.name}: {reason}" in said
    row = Paper.objects.get(pk=paper.pk)
    assert row.file.backend == "default"
    assert row.file.get_content() == content


# the target


def test_a_target_that_refuses_the_login() -> None:
    options = PLACES["s3"]()
    fs_options = {**options["fs_options"], "secret": "another than it was"}
    with override_storage(
        default=PLACES["memory"](), second={**options, "fs_options": fs_options}
    ):
        made = papers(3)
        said = move("library.Paper", delete_source=True, expect=1)
        assert "failed                           3" in said
        for number, paper in enumerate(made):
            check_left(said, paper, "PermissionError", b"p%d" % number)
        assert "another than it was" not in said


def test_a_target_that_has_no_room_for_one_file() -> None:
    with between("memory", "local"):
        made = papers(3)
        large = Paper.objects.create(file=ContentFile(b"x" * 2_000_000, name="large.bin"))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # the system itself refuses what is longer, as a full disk or a quota does
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        try:
            said = move("library.Paper", delete_source=True, expect=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        check_left(said, large, "", b"x" * 2_000_000)
        assert "File too large" in said
        assert there("second") == ["p0", "p1", "p2"]
        assert there_names("default") == [large.file.name]
        assert "moved                            1" in move("library.Paper")
        assert Paper.objects.filter(file__backend="second").count() == 1 + len(made)


def test_a_name_that_the_target_refuses() -> None:
    with between("memory", "local"):
        made = papers(2)
        file = FileObject("default", f"{'ä' * 140}.txt", content=b"long").save()
        long = Paper.objects.create(file=file)
        said = move("library.Paper", delete_source=True, expect=1)
        check_left(said, long, "", b"long")
        assert "255 bytes" in said
        assert there("second") == ["p0", "p1"]
        assert len(made) == Paper.objects.filter(file__backend="second").count()


def test_a_target_that_is_dead_and_comes_back() -> None:
    with (
        started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy,
        override_storage(default=PLACES["memory"](), second=_through(proxy)),
    ):
        made = papers(3)
        proxy.set_down(True)
        said = move("library.Paper", expect=1)
        for number, paper in enumerate(made):
            check_left(said, paper, "StorageError", b"p%d" % number)
        proxy.set_down(False)
        assert "moved                            3" in move("library.Paper")
        assert there("second") == ["p0", "p1", "p2"]


def _through(proxy: servers.CountingProxy) -> dict[str, Any]:
    options = PLACES["s3"]()
    return {
        **options,
        "retries": 0,
        "fs_options": {**options["fs_options"], "endpoint_url": proxy.url},
    }


# the bytes


@contextmanager
def one_rotten(source: str, target: str, content: bytes, **options: Any) -> Iterator[Paper]:
    """Give a row whose file has other bytes of the same length."""
    with override_storage(default=PLACES[source](), second={**PLACES[target](), **options}):
        paper = Paper.objects.create(file=ContentFile(content, name="rotten.bin"))
        with storages["default"].open(paper.file.name, "wb") as file:
            file.write(b"R" + content[1:])
        yield paper


@pytest.mark.parametrize("verify", ["checksum", "full"])
@pytest.mark.parametrize(
    ("target", "size", "options"),
    [
        ("local", 10, {}),
        ("local", 5_000, {"chunk_size": 1_000}),
        ("s3", 10, {}),
        ("s3", 12_000_000, {}),
    ],
    ids=["local, small", "local, streamed", "s3, small", "s3, streamed"],
)
def test_a_checksum_that_is_not_the_rows(
    target: str, size: int, options: dict[str, Any], verify: str
) -> None:
    content = bytes(range(250)) * (size // 250 + 1)
    with one_rotten("local", target, content[:size], **options) as paper:
        said = move("library.Paper", delete_source=True, verify=verify, expect=1)
        check_left(said, paper, "Mismatch", b"R" + content[1:size])
        assert there_names("second") == []


@pytest.mark.parametrize("verify", ["size", "none"])
def test_bytes_that_are_not_compared_get_a_checksum_that_is_true(verify: str) -> None:
    with one_rotten("local", "s3", b"0123456789") as paper:
        move("library.Paper", verify=verify)
        file = Paper.objects.get().file
        assert file.checksum != paper.file.checksum
        assert file.verify()
        assert there("second") == ["R123456789"]


def test_another_size_than_the_rows() -> None:
    with between("local", "s3"):
        (paper,) = papers(1)
        with storages["default"].open(paper.file.name, "wb") as file:
            file.write(b"longer than it was")
        said = move("library.Paper", verify="size", expect=1)
        assert "Mismatch: 18 bytes were read, the row says 2" in said
        move("library.Paper", verify="none")
        assert Paper.objects.get().file.size == 18
        assert Paper.objects.get().file.verify()


class Rotting(FileSystemStorage):
    """A backend that stores other bytes than it is given."""

    def _save(self, name: str, content: Any) -> str:
        rotten = ContentFile(b"R" + content.read()[1:])
        return str(super()._save(name, rotten))  # type: ignore[misc]


def test_a_target_that_stores_other_bytes_is_found_out_by_reading_back(tmp_path: Path) -> None:
    rotting = {
        "BACKEND": f"{__name__}.Rotting",
        "OPTIONS": {"location": str(tmp_path)},
    }
    with between("memory", "memory"):
        (paper,) = papers(1)
        with override_settings(STORAGES={**settings.STORAGES, "second": rotting}):
            said = move("library.Paper", verify="full", delete_source=True, expect=1)
            check_left(said, paper, "Mismatch: what was stored reads back", b"p0")
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# rows and other files


def test_another_file_of_the_name_stays_even_where_the_target_overwrites() -> None:
    with override_storage(
        default=PLACES["s3"](), second={**PLACES["s3"](), "allow_overwrite": True}
    ):
        made = papers(2)
        storages["second"].save(made[0].file.name, ContentFile(b"somebody's"))
        move("library.Paper")
        assert there("second") == ["p0", "p1", "somebody's"]
        assert [row.file.get_content() for row in Paper.objects.order_by("pk")] == [b"p0", b"p1"]
        assert Paper.objects.get(pk=made[1].pk).file.name == made[1].file.name


def test_a_large_file_beside_another_of_its_name_is_read_again_and_kept_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = b"0123456789" * 500
    second = {**PLACES["local"](), "chunk_size": 1_000}
    with override_storage(default=PLACES["memory"](), second=second):
        paper = Paper.objects.create(file=ContentFile(content, name="large.bin"))
        storages["second"].save(paper.file.name, ContentFile(b"somebody's"))
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
        move("library.Paper")
        moved = Paper.objects.get().file
        assert moved.get_content() == content
        assert there("second") == [content.decode(), "somebody's"]


def test_files_of_rows_that_were_replaced_or_deleted_before_their_turn_are_not_missed(
    memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = papers(4)
    pages = FileColumn.pages

    def read_and_change(self: FileColumn, *args: Any, **options: Any) -> Iterator[Any]:
        rows = list(pages(self, *args, **options))
        if rows:
            replaced = Paper.objects.get(pk=made[0].pk)
            replaced.file = ContentFile(b"new", name="new.txt")
            replaced.save()
            Paper.objects.get(pk=made[1].pk).delete()
            storages["default"].delete(made[2].file.name)
        yield from rows

    monkeypatch.setattr(FileColumn, "pages", read_and_change)
    said = move("library.Paper", expect=1)
    assert "row changed meanwhile            2" in said
    assert "failed                           1" in said
    assert f"{made[2].pk}: {made[2].file.name}: FileNotFoundError" in said
    assert there("second") == ["p3"]
    assert there("default") == ["new", "p3"]


def _failing(times: int) -> tuple[Callable[..., Any], list[str]]:
    """Return what refuses the first UPDATEs, as a database does that ends a deadlock."""
    refused: list[str] = []

    def refuse(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if sql.startswith("UPDATE") and len(refused) < times:
            refused.append(sql)
            raise OperationalError("deadlock detected")
        return execute(sql, *args)

    return refuse, refused


def test_a_deadlock_is_tried_again(memory: None) -> None:
    papers(3)
    refuse, refused = _failing(2)
    with connection.execute_wrapper(refuse):
        move("library.Paper")
    assert len(refused) == 2
    assert Paper.objects.filter(file__backend="second").count() == 3


def test_a_database_that_stays_away_ends_it_and_the_next_run_goes_on(memory: None) -> None:
    papers(3)
    refuse, _ = _failing(100)
    with (
        connection.execute_wrapper(refuse),
        pytest.raises(CommandError, match="The database failed: deadlock") as ended,
    ):
        move("library.Paper")
    assert ended.value.returncode == 1
    assert Paper.objects.filter(file__backend="second").count() == 0
    said = move("library.Paper", delete_source=True)
    assert "already in the target            3" in said
    assert there("second") == ["p0", "p1", "p2"]
    assert there("default") == []


# what may be deleted at the source


def test_sources_go_after_the_transaction_that_it_was_called_in(memory: None) -> None:
    papers(2)
    with suppress(RuntimeError), transaction.atomic():
        move("library.Paper", delete_source=True)
        raise RuntimeError
    assert there("default") == ["p0", "p1"]
    assert [row.file.get_content() for row in Paper.objects.order_by("pk")] == [b"p0", b"p1"]
    with transaction.atomic():
        move("library.Paper", delete_source=True)
        assert there("default") == ["p0", "p1"]
    assert there("default") == []
    assert [row.file.get_content() for row in Paper.objects.order_by("pk")] == [b"p0", b"p1"]


def test_sources_that_can_not_be_deleted_at_once_are_tried_for_again() -> None:
    with started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy:
        options = _through(proxy)
        with override_storage(default=options, second=PLACES["memory"]()):
            papers(3)
            with connection.execute_wrapper(_cut_off_after_the_update(proxy)):
                said = move("library.Paper", delete_source=True)
            assert proxy.cuts() == 1
            assert "deleted in the source            3" in said
            assert there("default") == []
            assert there("second") == ["p0", "p1", "p2"]


def _cut_off_after_the_update(proxy: servers.CountingProxy) -> Callable[..., Any]:
    """Return what has the next answer of the storage break off, once rows are swapped."""

    def execute(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if sql.startswith("UPDATE"):
            proxy.cut_after(20)
        return execute(sql, *args)

    return execute


def _twice(options: dict[str, Any], inside: str = "") -> Any:
    second = {**options, "prefix": f"{options['prefix']}{inside}"}
    return override_storage(default=options, second={**second, "timeout": 20})


@pytest.mark.parametrize(
    ("options", "inside"),
    [
        (lambda: _local(folder()), ""),
        (lambda: _s3(servers.SeaweedS3)(folder()), ""),
        (lambda: _s3(servers.SeaweedS3)(folder()), "/papers"),
    ],
    ids=["local", "s3", "one in the other"],
)
def test_two_aliases_of_one_place_keep_their_sources(
    options: Callable[[], dict[str, Any]], inside: str
) -> None:
    with _twice(options(), inside):
        papers(1)
        with pytest.raises(CommandError, match="share files") as refused:
            move("library.Paper", delete_source=True)
        assert refused.value.returncode == 2
        move("library.Paper")
        assert Paper.objects.get().file.backend == "second"
        assert Paper.objects.get().file.get_content() == b"p0"


def test_one_place_that_settings_do_not_tell_of() -> None:
    s3, name = server(servers.SeaweedS3), folder()
    theirs = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": s3.bucket,
            "access_key": s3.key,
            "secret_key": s3.secret,
            "endpoint_url": s3.endpoint_url,
            "region_name": "us-east-1",
            "location": name,
        },
    }
    with override_storage(default=_s3(servers.SeaweedS3)(name)):
        papers(1)
        with (
            override_settings(STORAGES={**settings.STORAGES, "second": theirs}),
            pytest.raises(CommandError, match="'second' store their files in one place"),
        ):
            move("library.Paper", delete_source=True)
        assert there("default") == ["p0"]


def test_a_file_that_a_file_field_reads_as_well_stays(memory: None) -> None:
    attachment = Attachment.objects.create(file=ContentFile(b"shared", name="shared.txt"))
    papers(1)
    Paper.objects.create(file=FileObject("default", str(attachment.file)).refresh())
    said = move("library.Paper", delete_source=True)
    assert "deleted in the source            1" in said
    assert there("default") == ["shared"]
    assert attachment.file.read() == b"shared"
    assert there("second") == ["p0", "shared"]


def test_files_of_a_file_field_go_when_it_reads_from_the_target() -> None:
    through = {
        "BACKEND": "django_fsspec.readthrough.ReadThroughStorage",
        "OPTIONS": {"primary": "second", "fallback": "disk"},
    }
    with override_storage(disk=PLACES["memory"](), second=PLACES["memory"]()):
        with override_settings(STORAGES={**settings.STORAGES, "default": through}):
            for number in range(3):
                name = storages["disk"].save(f"{number}.txt", ContentFile(b"a%d" % number))
                Attachment.objects.create(file=name)
            said = move("library.Attachment.file", source="disk", delete_source=True)
            assert "deleted in the source            3" in said
            assert [row.file.read() for row in Attachment.objects.all()] == [b"a0", b"a1", b"a2"]
        assert there("disk") == []
        assert there("second") == ["a0", "a1", "a2"]


def test_files_of_a_file_field_that_reads_elsewhere_stay(memory: None) -> None:
    with override_storage(disk=PLACES["memory"]()):
        storages["disk"].save("a.txt", ContentFile(b"a"))
        Attachment.objects.create(file="a.txt")
        with pytest.raises(CommandError, match="does not read from 'second'") as refused:
            move("library.Attachment.file", source="disk", delete_source=True)
        assert refused.value.returncode == 2
        assert there("disk") == ["a"]
        assert there("second") == []


# the budget of bytes


def test_bytes_in_flight_are_bounded_and_given_in_turn() -> None:
    async def use() -> list[str]:
        budget, order = Budget(10), list[str]()

        async def ask(name: str, size: int) -> None:
            await budget.take(size)
            order.append(name)

        await ask("first", 8)
        large = asyncio.ensure_future(ask("more than there is", 50))
        small = asyncio.ensure_future(ask("small", 1))
        given_up = asyncio.ensure_future(ask("given up", 9))
        last = asyncio.ensure_future(ask("last", 9))
        await asyncio.sleep(0)
        assert order == ["first"]
        given_up.cancel()
        budget.give(8)
        await large
        await asyncio.sleep(0)
        assert order == ["first", "more than there is"]
        budget.give(50)
        await asyncio.gather(small, last)
        budget.give(1)
        budget.give(9)
        await ask("all of it", 10)
        return order

    order = asyncio.run(use())
    assert order == ["first", "more than there is", "small", "last", "all of it"]
