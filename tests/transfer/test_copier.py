"""Copied bytes are compared with the row and read back; those in flight are bounded."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.test import override_settings

from django_fsspec.testing import override_storage
from django_fsspec.transfer.copier import Budget
from tests import servers
from tests.helpers.backends import folder, scratch, server
from tests.helpers.moved_files import (
    PLACES,
    between,
    check_left,
    move,
    papers,
    there,
    there_names,
)
from tests.library.models import Paper

pytestmark = pytest.mark.django_db(transaction=True)


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
            check_left(said, paper, "Mismatch: the copy reads back", b"p0")
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def overwriting_s3() -> dict[str, Any]:
    """Return the entry of STORAGES of another package's storage, which overwrites by default."""
    s3 = server(servers.SeaweedS3)
    options = {
        "bucket_name": s3.bucket,
        "access_key": s3.key,
        "secret_key": s3.secret,
        "endpoint_url": s3.endpoint_url,
        "region_name": "us-east-1",
        "location": folder(),
    }
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


def overwriting_disk() -> dict[str, Any]:
    return {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(scratch() / folder()), "allow_overwrite": True},
    }


def ours(target: str) -> dict[str, Any]:
    return {
        "BACKEND": "django_fsspec.storage.FSSpecStorage",
        "OPTIONS": {**PLACES[target](), "allow_overwrite": True, "chunk_size": 5 << 20},
    }


@pytest.mark.parametrize("repeated", [1, 1_100_000], ids=["small", "streamed"])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("s3", partial(ours, "s3")),
        ("memory", partial(ours, "memory")),
        ("memory", partial(ours, "s3")),
        ("memory", partial(ours, "local")),
        ("memory", overwriting_disk),
        ("memory", overwriting_s3),
    ],
    ids=["inside s3", "inside memory", "s3", "local", "Django's own", "another package's"],
)
def test_another_file_of_the_name_stays_even_where_the_target_overwrites(
    source: str, target: Callable[[], dict[str, Any]], repeated: int
) -> None:
    content = b"12345678" * repeated
    with (
        override_storage(default=PLACES[source]()),
        override_settings(STORAGES={**settings.STORAGES, "second": target()}),
    ):
        made = papers(1)[0]
        taken = Paper.objects.create(file=ContentFile(content, name="taken.bin"))
        storages["second"].save(taken.file.name, ContentFile(b"somebody's"))
        move("library.Paper")
        with storages["second"].open(taken.file.name) as file:
            assert file.read() == b"somebody's"
        moved = Paper.objects.get(pk=taken.pk).file
        assert moved.backend == "second"
        assert moved.get_content() == content
        assert Paper.objects.get(pk=made.pk).file.name == made.file.name


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
