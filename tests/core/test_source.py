"""Content on its way: read once, counted, hashed, and read again when a name was taken."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import TemporaryUploadedFile

from django_fsspec.core.source import ContentFailed, Source

DATA = os.urandom(100_003)


class Pieces:
    """Content without size or position."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def chunks(self) -> Iterator[bytes]:
        start = 0
        while start < len(DATA):
            size = self._random.randint(1, 30_000)
            yield DATA[start : start + size]
            start += size


def kinds() -> dict[str, Any]:
    return {
        "bytes": DATA,
        "memory": io.BytesIO(DATA),
        "content file": ContentFile(DATA),
        "file": File(io.BytesIO(DATA)),
        **{f"pieces {seed}": Pieces(seed) for seed in range(5)},
    }


def drained(source: Source, size: int) -> bytes:
    if source.data is not None:
        return source.data
    return b"".join(iter(lambda: source.read(size), b""))


@pytest.mark.parametrize("kind", sorted(kinds()))
@pytest.mark.parametrize("limit", [1, 10, 4096, 65_536, 100_002, 100_003, 100_004, 1 << 20])
@pytest.mark.parametrize("size", [1000, 65_536])
def test_every_byte_arrives_also_the_second_time(kind: str, limit: int, size: int) -> None:
    source = Source(kinds()[kind], limit=limit, checksum="sha256")
    source.load()
    assert source.small == (len(DATA) <= limit)
    for _ in range(3):
        if not source.small:
            source.read(size)
            source.rewind()
        assert drained(source, size) == DATA
        assert source.size == len(DATA)
        assert source.checksum == "sha256:" + hashlib.sha256(DATA).hexdigest()
        source.rewind()
    source.close()


def test_read_gives_exact_pieces() -> None:
    source = Source(Pieces(1), limit=10)
    source.load()
    sizes = [len(piece) for piece in iter(lambda: source.read(8192), b"")]
    source.close()
    assert set(sizes[:-1]) == {8192}


@pytest.mark.parametrize("kind", sorted(kinds()))
@pytest.mark.parametrize("size", [1000, len(DATA) // 7, len(DATA), len(DATA) + 1])
def test_the_last_piece_is_known_as_such(kind: str, size: int) -> None:
    source = Source(kinds()[kind], limit=10, checksum="sha256")
    source.load()
    for _ in range(2):
        pieces = []
        while not source.ended():
            pieces.append(source.read(size))
        assert b"".join(pieces) == DATA
        assert {len(piece) for piece in pieces[:-1]} <= {size}
        assert source.checksum == "sha256:" + hashlib.sha256(DATA).hexdigest()
        source.rewind()
    source.close()


@pytest.mark.parametrize("limit", [100, 1 << 20])
def test_gzip(limit: int) -> None:
    text = b"the same again " * 10_000
    stored = []
    for _ in range(2):
        source = Source(ContentFile(text), limit=limit, gzip=True, checksum="sha256")
        source.load()
        stored.append(drained(source, 1000))
        assert source.checksum == "sha256:" + hashlib.sha256(stored[-1]).hexdigest()
        assert source.size == len(stored[-1]) < len(text) / 10
    assert stored[0] == stored[1]
    assert gzip.decompress(stored[0]) == text


def test_text_is_encoded() -> None:
    for content in ("grüße", io.StringIO("grüße"), ContentFile("grüße")):
        source = Source(content, limit=100)
        source.load()
        assert source.data == "grüße".encode()


def test_failing_content_is_told_apart() -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    source = Source(broken(), limit=100)
    with pytest.raises(ContentFailed) as caught:
        source.load()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_content_must_give_bytes() -> None:
    source = Source([1, 2], limit=100)
    with pytest.raises(ContentFailed, match="bytes or str, not int"):
        source.load()


def test_closed_files_are_refused() -> None:
    file = io.BytesIO(b"x")
    file.close()
    with pytest.raises(ValueError, match="closed"):
        Source(file, limit=100)


class Tape:
    """A reader that does not know its place; a File of Django over it says that it can seek."""

    closed = False

    def __init__(self, error: type[Exception]) -> None:
        self._error, self._rest = error, [DATA[50_000:], DATA[:50_000]]

    def tell(self) -> int:
        raise self._error("no position")

    def read(self, size: int = -1) -> bytes:
        return self._rest.pop() if self._rest else b""


@pytest.mark.parametrize("error", [AttributeError, io.UnsupportedOperation, OSError])
def test_a_reader_that_does_not_know_its_place_is_kept_as_it_passes(
    error: type[Exception],
) -> None:
    tape: Any = Tape(error)
    source = Source(File(tape, name="a"), limit=10)
    source.load()
    for _ in range(2):
        assert drained(source, 1000) == DATA
        source.rewind()
    source.close()


def test_small_content_that_can_not_be_read_is_told_apart() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ZeroDivisionError

    source = Source(Broken(b"x"), limit=100)
    with pytest.raises(ContentFailed) as caught:
        source.load()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_source_that_was_closed_gives_nothing_more() -> None:
    source = Source(Pieces(1), limit=10)
    source.load()
    source.read(10)
    source.close()
    with pytest.raises(ContentFailed, match="given up"):
        source.read(10)


def test_the_file_of_an_upload_is_moved_only_while_it_is_the_one_that_is_open() -> None:
    upload = TemporaryUploadedFile("a.txt", "text/plain", 3, None)
    upload.write(b"abc")
    path = upload.temporary_file_path()
    assert Source(upload, limit=100).temporary_path == path
    assert Source(upload, limit=100, gzip=True).temporary_path is None
    os.rename(path, f"{path}-moved")
    try:
        assert Source(upload, limit=100).temporary_path is None
        with open(path, "wb") as other:
            other.write(b"of somebody else")
        assert Source(upload, limit=100).temporary_path is None
    finally:
        os.unlink(f"{path}-moved")
        upload.close()
