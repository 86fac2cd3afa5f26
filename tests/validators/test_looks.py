"""Validators: nobody who reads or saves afterwards notices the look."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile

from django_fsspec import FileObject
from django_fsspec.objects import pending_content
from django_fsspec.testing import override_storage
from django_fsspec.validators import (
    ContentTypeValidator,
    ImageValidator,
    MaxSizeValidator,
    measure,
)
from tests.helpers.samples import PNG
from tests.helpers.validators import LOOKS, OTHER, Pipe, refusal


class Pieces:
    """Content with chunks() alone."""

    def chunks(self) -> Iterator[bytes]:
        yield PNG[:9]
        yield PNG[9:]


def contents(folder: Path) -> dict[str, Any]:
    path = folder / "source.png"
    path.write_bytes(PNG)
    temporary = TemporaryUploadedFile("a.png", "image/png", len(PNG), None)
    temporary.write(PNG)
    return {
        "bytes": PNG,
        "bytearray": bytearray(PNG),
        "path": path,
        "file": path.open("rb"),
        "memory": io.BytesIO(PNG),
        "upload": SimpleUploadedFile("a.png", PNG),
        "temporary upload": temporary,
        "Django file": File(path.open("rb")),
        "list": [PNG[:9], PNG[9:]],
        "generator": (PNG[i : i + 7] for i in range(0, len(PNG), 7)),
        "text among it": iter([bytearray(PNG[:9]), memoryview(PNG)[9:], ""]),
        "chunks": Pieces(),
        "pipe": io.BufferedReader(Pipe()),
    }


def test_every_kind_of_content_is_saved_whole_after_a_look(tmp_path: Path) -> None:
    with override_storage("memory"):
        for kind, content in contents(tmp_path).items():
            file = FileObject("memory", f"{kind}.png", content=content)
            for look in LOOKS:
                look(file)
            assert measure(file) == (7, 5), kind
            assert file.save().get_content() == PNG, kind
            if isinstance(content, io.IOBase | File):
                assert not content.closed, kind
                content.close()


def test_every_kind_of_content_is_saved_whole_by_await(tmp_path: Path) -> None:
    async def run() -> None:
        for kind, content in contents(tmp_path).items():
            file = FileObject("memory", f"{kind}.png", content=content)
            await asyncio.to_thread(LOOKS[0], file)
            assert await (await file.asave()).aget_content() == PNG, kind
            if isinstance(content, io.IOBase | File):
                content.close()

    with override_storage("memory"):
        asyncio.run(run())


@pytest.mark.parametrize("look", LOOKS)
def test_the_position_stays(look: Callable[[Any], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as opened:
        for file in (opened, File(opened), SimpleUploadedFile("a.png", PNG), io.BytesIO(PNG)):
            file.seek(11)
            look(file)
            look(FileObject("memory", "a.png", content=file))
            assert (file.tell(), file.read()) == (11, PNG[11:])


def test_a_reader_of_what_waits_reads_on() -> None:
    file = FileObject("memory", "a.png", content=io.BytesIO(PNG))
    assert file.read(11) == PNG[:11]
    for look in LOOKS:
        look(file)
    assert file.read() == PNG[11:]


def test_no_more_is_taken_than_is_needed() -> None:
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"text " * 200

    ContentTypeValidator(["text/plain"])(FileObject("memory", "a.txt", content=pieces()))
    assert taken == 9


def test_text_files() -> None:
    validator = ContentTypeValidator(["text/plain"])
    for content in (io.StringIO("Grüße"), ContentFile("Grüße")):
        content.seek(2)
        file = FileObject("memory", "a.txt", content=content)
        assert refusal(validator, file) is None
        assert refusal(ImageValidator(), file) == "invalid_image"
        assert content.read() == "üße"
    assert refusal(validator, FileObject("memory", "a.txt", content="Grüße")) is None


def test_stored_files_are_not_read() -> None:
    """The alias is unknown: any request would raise."""
    for name, kind, expected in (
        ("a.png", "image/png", None),
        ("a.txt", "image/png", None),
        ("a.png", "Image/PNG; a=b", None),
        ("a.png", None, None),
        ("a.txt", "text/plain", OTHER),
    ):
        file = FileObject("nowhere", name, content_type=kind, size=3)
        assert refusal(ContentTypeValidator(["image/*"]), file) == expected
        assert refusal(ImageValidator(), file) == (expected and "invalid_image")
        assert refusal(MaxSizeValidator(2), file) == "max_size"
        assert measure(file) is None
    assert refusal(ImageValidator(), FileObject("nowhere", "a")) is None
    assert measure(FileObject("nowhere", "a", metadata={"width": 3, "height": 4})) == (3, 4)


def test_looking_at_content() -> None:
    once = pending_content.accepted(iter([b"abc", b"def"]))
    with pending_content.looking(once) as file:
        assert file.read(2) == b"ab"
        assert file.seek(-1, os.SEEK_END) == 5
        assert file.read() == b"f"
        assert file.seek(-4, os.SEEK_CUR) == 2
        assert file.read() == b"cdef"
    assert b"".join(once.chunks()) == b"abcdef"
