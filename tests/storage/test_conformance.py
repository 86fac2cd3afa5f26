"""What every backend does alike: each behaviour stated once, run on each real server.

A behaviour marked ``needs("trait")`` runs on the backends with that trait only; what a backend
lacks is an empty cell in docs/reference/backends.md, not a skipped test.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from django_fsspec.core.flows import call
from django_fsspec.core.source import Source
from django_fsspec.exceptions import NotSupported, StorageError
from django_fsspec.staticfiles import FSSpecManifestStaticStorage, FSSpecStaticStorage
from django_fsspec.storage import FSSpecStorage
from tests.helpers.backends import BACKENDS, SEED, Backend, folder

writes = pytest.mark.needs("writable")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" not in metafunc.fixturenames:
        return
    needed = {n for mark in metafunc.definition.iter_markers("needs") for n in mark.args}
    has = {
        b: b.traits
        | ({"writable"} if b.writable else {"read-only"})
        | ({"times"} if b.times else set())
        for b in BACKENDS
    }
    able = [pytest.param(b, marks=b.marks) for b in BACKENDS if needed <= has[b]]
    metafunc.parametrize("backend", able, ids=str, scope="session")


_seeded: dict[str, FSSpecStorage] = {}


@pytest.fixture
def seeded(backend: Backend) -> FSSpecStorage:
    """A storage holding SEED, for reading only: made once a backend."""
    if backend.name not in _seeded:
        name = folder()
        if backend.seed is not None:
            backend.seed(name, SEED)
        storage = FSSpecStorage(**backend.options(name))
        if backend.seed is None:
            for label, data in SEED.items():
                with storage.open(label, "wb") as file:
                    file.write(data)
        _seeded[backend.name] = storage
    return _seeded[backend.name]


@pytest.fixture
def storage(backend: Backend) -> FSSpecStorage:
    """An empty storage of the test's own."""
    return FSSpecStorage(**backend.options(folder()))


def options_with(backend: Backend, **more: Any) -> FSSpecStorage:
    return FSSpecStorage(**{**backend.options(folder()), **more})


# reading


def test_open_reads_bytes(seeded: FSSpecStorage) -> None:
    with seeded.open("hello.txt") as file:
        assert file.read() == SEED["hello.txt"]


def test_open_reads_text(seeded: FSSpecStorage) -> None:
    with seeded.open("hello.txt", "r") as file:
        assert file.read() == "hello world\n"


def test_open_reads_an_empty_file(seeded: FSSpecStorage) -> None:
    with seeded.open("empty.bin") as file:
        assert file.read() == b""
    assert seeded.get_content("empty.bin") == b""


def test_open_seeks(seeded: FSSpecStorage) -> None:
    data = SEED["large.bin"]
    with seeded.open("large.bin") as file:
        assert file.read(10) == data[:10]
        file.seek(1_000_003)
        assert file.read(100) == data[1_000_003:1_000_103]
        file.seek(-7, io.SEEK_END)
        assert file.read() == data[-7:]
        file.seek(5)
        assert file.read(5) == data[5:10]
        assert file.tell() == 10


@writes
@pytest.mark.parametrize("size", [800_000, 10], ids=["longer", "shorter"])
def test_an_open_file_reads_one_version(storage: FSSpecStorage, size: int) -> None:
    def replace_while_open() -> tuple[File[bytes], File[bytes]]:
        with storage.open("a.bin", "wb") as new:
            new.write(b"a" * 700_000)
        files = storage.open("a.bin"), asyncio.run(storage.aopen("a.bin"))
        for file in files:
            assert file.read(10) == b"a" * 10
        with storage.open("a.bin", "wb") as new:
            new.write(b"b" * size)
        return files

    file, afile = replace_while_open()
    with file, afile:
        for read in (file.read, lambda n: asyncio.run(afile.aread(n))):  # type: ignore[attr-defined]
            for position in (500_000, 0):
                file.seek(position)
                afile.seek(position)
                try:
                    content = read(100)
                except StorageError as error:
                    content = str(error)
                assert content == b"a" * 100 or "changed while it was being read" in content
        file.seek(9_999_999)
        assert file.read(100) == b""


@writes
@pytest.mark.needs("bucket")
def test_an_open_file_reads_one_version_of_many_of_a_size(storage: FSSpecStorage) -> None:
    for content in (b"a", b"b"):
        with storage.open("a.bin", "wb") as new:
            new.write(content * 700_000)
        if content == b"a":
            file = storage.open("a.bin")
            assert file.read(10) == b"a" * 10
    with file, pytest.raises(StorageError, match="changed while it was being read"):
        file.seek(500_000)
        file.read(10)


def test_open_file_knows_its_size_and_chunks(seeded: FSSpecStorage) -> None:
    with seeded.open("large.bin") as file:
        assert file.size == len(SEED["large.bin"])
        digest = hashlib.sha256()
        for chunk in file.chunks():
            digest.update(chunk)
    assert digest.digest() == hashlib.sha256(SEED["large.bin"]).digest()


def test_open_missing_raises(seeded: FSSpecStorage) -> None:
    for mode in ("rb", "r", "r+b"):
        with pytest.raises((FileNotFoundError, NotSupported)):
            seeded.open("missing.txt", mode)
    with pytest.raises(FileNotFoundError):
        seeded.open("missing/folder/file.txt")
    with pytest.raises(FileNotFoundError):
        seeded.open("hello.txt/below-a-file")


def test_get_content(seeded: FSSpecStorage) -> None:
    assert seeded.get_content("folder/deeper/leaf.bin") == SEED["folder/deeper/leaf.bin"]
    with pytest.raises(FileNotFoundError):
        seeded.get_content("missing.txt")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 5),
        (None, 5),
        (100, None),
        (1_048_570, 1_048_590),
        (-10, None),
        (-10, -5),
        (5, 5),
        (9, 3),
        (2_799_990, 9_999_999),
        (9_999_999, None),
        (9_999_999, 10_000_100),
    ],
)
def test_get_content_range(seeded: FSSpecStorage, start: int | None, end: int | None) -> None:
    assert seeded.get_content("large.bin", start, end) == SEED["large.bin"][start:end]


def test_stream(seeded: FSSpecStorage) -> None:
    assert b"".join(seeded.stream("large.bin")) == SEED["large.bin"]
    assert b"".join(seeded.stream("large.bin", 7, 2_000_000)) == SEED["large.bin"][7:2_000_000]
    assert list(seeded.stream("large.bin", 5, 5)) == list(seeded.stream("large.bin", 9, 3)) == []


@pytest.mark.slow
def test_abandoned_streams_release_their_connection(seeded: FSSpecStorage) -> None:
    for _ in range(70):  # more than connections
        stream = seeded.stream("large.bin", 0, 600_000)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    assert seeded.get_content("hello.txt") == SEED["hello.txt"]


def test_exists_means_a_file(seeded: FSSpecStorage) -> None:
    assert seeded.exists("hello.txt") is True
    assert seeded.exists("folder/nested.txt") is True
    assert seeded.exists("folder") is False
    assert seeded.exists("missing.txt") is False
    assert seeded.exists("missing/deep/file.txt") is False
    assert seeded.exists("hello.txt/below-a-file") is False


def test_size(seeded: FSSpecStorage) -> None:
    assert {name: seeded.size(name) for name in SEED} == {n: len(d) for n, d in SEED.items()}
    with pytest.raises(FileNotFoundError):
        seeded.size("missing.txt")


def test_stat(seeded: FSSpecStorage) -> None:
    stat = seeded.stat("folder/nested.txt")
    assert (stat.name, stat.size, stat.is_dir) == ("folder/nested.txt", 6, False)
    with pytest.raises(FileNotFoundError):
        seeded.stat("folder")


@pytest.mark.parametrize("method", ["get_created_time", "get_modified_time"])
@pytest.mark.needs("times")
def test_times_are_aware_iff_use_tz(seeded: FSSpecStorage, method: str) -> None:
    with override_settings(USE_TZ=True):
        aware = getattr(seeded, method)("hello.txt")
        assert aware.tzinfo is not None
    with override_settings(USE_TZ=False, TIME_ZONE="UTC"):
        naive = getattr(seeded, method)("hello.txt")
        assert naive.tzinfo is None
    assert aware.astimezone(UTC).replace(tzinfo=None) == naive


@pytest.mark.needs("times")
def test_naive_times_are_the_systems(seeded: FSSpecStorage) -> None:
    with override_settings(USE_TZ=True):
        aware = seeded.get_modified_time("hello.txt")
    # Django sets the system's time zone to TIME_ZONE
    for zone in ("America/New_York", "Asia/Kolkata"):
        with (
            override_settings(USE_TZ=False, TIME_ZONE=zone),
            timezone.override("Pacific/Auckland"),
        ):
            expected = aware.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            for method in (seeded.get_modified_time, seeded.get_created_time):
                assert abs(method("hello.txt") - expected) < timedelta(minutes=2)


@writes
@pytest.mark.needs("times")
def test_modified_time_is_now(storage: FSSpecStorage) -> None:
    name = storage.save("new.txt", ContentFile(b"x"))
    age = datetime.now(UTC) - storage.get_modified_time(name).astimezone(UTC)
    assert abs(age) < timedelta(minutes=2)


def test_listdir(seeded: FSSpecStorage) -> None:
    directories, files = seeded.listdir("")
    assert (sorted(directories), sorted(files)) == (
        ["folder"],
        ["empty.bin", "hello.txt", "large.bin"],
    )
    directories, files = seeded.listdir("folder")
    assert (directories, files) == (["deeper"], ["nested.txt"])
    assert seeded.listdir("folder/") == (["deeper"], ["nested.txt"])
    with pytest.raises(FileNotFoundError):
        seeded.listdir("missing")


def test_walk_is_complete_and_sorted(seeded: FSSpecStorage) -> None:
    assert [stat.name for stat in seeded.walk()] == sorted(SEED)
    inside = [(stat.name, stat.size or len(SEED[stat.name])) for stat in seeded.walk("folder")]
    assert inside == [("folder/deeper/leaf.bin", 3072), ("folder/nested.txt", 6)]
    assert list(seeded.walk("missing")) == []


def make_marker(storage: FSSpecStorage, key: str, **options: Any) -> None:
    """Store the empty object that the console of a cloud makes for a folder."""
    source = Source(b"", limit=1)
    source.load()
    path = f"{storage.flows.root}/{key}"
    storage.flows.run(call(storage.flows.adapter.write, path, source, options))


@writes
@pytest.mark.needs("bucket")
def test_folders_made_in_a_console(storage: FSSpecStorage) -> None:
    for key in ("", "folder/", "folder/deeper/"):
        make_marker(storage, key)
    assert storage.listdir("") == (["folder"], [])
    assert storage.listdir("folder") == (["deeper"], [])
    assert storage.listdir("folder/deeper") == storage.listdir("folder/deeper/") == ([], [])
    assert asyncio.run(storage.alistdir("folder/deeper")) == ([], [])
    assert list(storage.walk()) == []
    assert not storage.exists("folder")
    static = FSSpecStaticStorage(**storage._arguments.values)
    assert static.exists("folder/deeper")
    name = storage.save("folder/deeper/a.txt", ContentFile(b"x"))
    assert storage.listdir("folder/deeper") == ([], ["a.txt"])
    assert [stat.name for stat in storage.walk()] == [name]
    with pytest.raises(FileNotFoundError):
        storage.listdir("folder/missing")


@writes
@pytest.mark.needs("folder stubs")
@pytest.mark.parametrize("key", ["hdi_isfolder", "Hdi_isfolder", "HDI_ISFOLDER"])
def test_a_folder_marked_by_metadata_is_no_file(storage: FSSpecStorage, key: str) -> None:
    make_marker(storage, "folder", metadata={key: "true"})
    assert storage.listdir("") == (["folder"], [])
    assert storage.listdir("folder") == ([], [])
    assert not storage.exists("folder")
    assert list(storage.walk()) == []
    for read in READS.values():
        with pytest.raises(FileNotFoundError):
            read(storage, "folder")
    name = storage.save("folder/a.txt", ContentFile(b"x"))
    assert storage.listdir("") == (["folder"], [])
    assert storage.listdir("folder") == ([], ["a.txt"])
    assert [stat.name for stat in storage.walk()] == [name]


@pytest.mark.needs("path")
def test_path(seeded: FSSpecStorage) -> None:
    assert Path(seeded.path("hello.txt")).read_bytes() == SEED["hello.txt"]


@pytest.mark.needs("signs")
def test_signed_url_is_readable_by_anyone(seeded: FSSpecStorage) -> None:
    from urllib.request import urlopen

    with urlopen(seeded.url("hello.txt"), timeout=10) as response:
        assert response.read() == SEED["hello.txt"]


def test_names_outside_are_refused(seeded: FSSpecStorage) -> None:
    for name in ("../x", "/etc/passwd", "a/../../x", "~/x", "a\x00b", "a//b", "a\\b", "file:x"):
        for method in (seeded.open, seeded.exists, seeded.get_content, seeded.size, seeded.url):
            with pytest.raises(SuspiciousFileOperation):
                method(name)


#: reading methods that raise for a missing file
READS: dict[str, Callable[[FSSpecStorage, str], object]] = {
    "open": lambda storage, name: storage.open(name),
    "open as text": lambda storage, name: storage.open(name, "r"),
    "get_content": lambda storage, name: storage.get_content(name),
    "get_content from the end": lambda storage, name: storage.get_content(name, -2),
    "stream": lambda storage, name: list(storage.stream(name)),
    "stat": lambda storage, name: storage.stat(name),
    "size": lambda storage, name: storage.size(name),
    "digest": lambda storage, name: storage.digest(name),
    "get_modified_time": lambda storage, name: storage.get_modified_time(name),
    "get_created_time": lambda storage, name: storage.get_created_time(name),
    "get_accessed_time": lambda storage, name: storage.get_accessed_time(name),
    "aopen": lambda storage, name: asyncio.run(storage.aopen(name)),
    "aget_content": lambda storage, name: asyncio.run(storage.aget_content(name)),
    "asize": lambda storage, name: asyncio.run(storage.asize(name)),
    "aget_modified_time": lambda storage, name: asyncio.run(storage.aget_modified_time(name)),
}


def test_no_file_has_an_empty_name(seeded: FSSpecStorage) -> None:
    # SuspiciousFileOperation would be a 400 page, for a row without a file
    assert seeded.exists("") is False
    assert asyncio.run(seeded.aexists("")) is False
    for read in READS.values():
        with pytest.raises(FileNotFoundError):
            read(seeded, "")


@writes
def test_empty_names_are_not_written(storage: FSSpecStorage) -> None:
    for write in (
        lambda: storage.save("", ContentFile(b"x")),
        lambda: storage.store("", b"x"),
        lambda: storage.open("", "wb"),
        lambda: storage.open("", "r+b"),
        lambda: storage.copy("a.txt", ""),
        lambda: storage.delete_many([""]),
    ):
        with pytest.raises(SuspiciousFileOperation):
            write()
    with pytest.raises(FileNotFoundError):
        storage.copy("", "a.txt")
    assert list(storage.walk()) == []


def test_public_urls_of_directories(seeded: FSSpecStorage) -> None:
    expected = "https://cdn.example.com/m/"
    storage = FSSpecStorage(**{**seeded._arguments.values, "base_url": expected})
    assert (storage.url(""), storage.sign("")) == (expected, expected)
    assert storage.url("some dir/") == expected + "some%20dir/"
    for name in ("dir//", "../", "a/../", "//"):
        with pytest.raises(SuspiciousFileOperation):
            storage.url(name)


# async


def test_async_reading_twins(seeded: FSSpecStorage) -> None:
    async def read() -> tuple[Any, ...]:
        file = await seeded.aopen("hello.txt")
        async with file:
            content = await file.aread()
        streamed = b"".join([chunk async for chunk in seeded.astream("large.bin")])
        names = [stat.name async for stat in seeded.awalk("folder")]
        return (
            content,
            streamed == SEED["large.bin"],
            names,
            await seeded.aexists("hello.txt"),
            await seeded.aexists("missing"),
            await seeded.asize("hello.txt"),
            await seeded.aget_content("hello.txt", 0, 5),
            sorted((await seeded.alistdir(""))[1]),
        )

    expected = (
        SEED["hello.txt"],
        True,
        ["folder/deeper/leaf.bin", "folder/nested.txt"],
        True,
        False,
        12,
        b"hello",
        ["empty.bin", "hello.txt", "large.bin"],
    )
    # twice: nothing may be bound to the first loop
    assert asyncio.run(read()) == expected
    assert asyncio.run(read()) == expected


def test_many_async_reads_at_once(seeded: FSSpecStorage) -> None:
    async def read() -> list[bytes]:
        return await asyncio.gather(*(seeded.aget_content("hello.txt") for _ in range(20)))

    assert asyncio.run(read()) == [SEED["hello.txt"]] * 20


@writes
def test_async_writing_twins(storage: FSSpecStorage) -> None:
    async def write() -> tuple[Any, ...]:
        first = await storage.asave("a.txt", ContentFile(b"one"))
        second = await storage.asave("a.txt", ContentFile(b"two"))
        copied = await storage.acopy(first, "b/c.txt")
        async with await storage.aopen("w.txt", "wb") as file:
            file.write(b"written")
        contents = [await storage.aget_content(n) for n in (first, second, copied, "w.txt")]
        await storage.adelete(first)
        await storage.adelete_many([second, "w.txt", "missing.txt"])
        return contents, [stat.name async for stat in storage.awalk()] == [copied]

    assert asyncio.run(write()) == ([b"one", b"two", b"one", b"written"], True)


# writing


@writes
def test_save_returns_the_stored_name(storage: FSSpecStorage) -> None:
    name = storage.save("folder/a.txt", ContentFile(b"abc"))
    assert name.startswith("folder/a")
    assert name.endswith(".txt")
    assert storage.get_content(name) == b"abc"


@writes
@pytest.mark.needs("atomic")
def test_save_keeps_the_name_when_it_is_free(storage: FSSpecStorage) -> None:
    assert storage.save("folder/a.txt", ContentFile(b"abc")) == "folder/a.txt"


@writes
def test_save_never_overwrites(storage: FSSpecStorage) -> None:
    names = [storage.save("a.txt", ContentFile(str(i).encode())) for i in range(4)]
    assert len(set(names)) == 4
    assert [storage.get_content(name) for name in names] == [b"0", b"1", b"2", b"3"]


@pytest.mark.slow
@writes
def test_large_save_never_overwrites(storage: FSSpecStorage) -> None:
    small = FSSpecStorage(**{**storage._arguments.values, "chunk_size": 256 * 1024})
    data = SEED["large.bin"] * 3
    first = small.save("a.bin", ContentFile(data))
    second = small.save("a.bin", io.BufferedReader(io.BytesIO(data[::-1])))
    assert first != second
    assert small.get_content(first) == data
    assert small.get_content(second) == data[::-1]


@writes
def test_allow_overwrite_replaces(backend: Backend) -> None:
    storage = options_with(backend, allow_overwrite=True)
    for data in (b"first, longer", b"second"):
        assert storage.save("a.txt", ContentFile(data)) == "a.txt"
    assert storage.get_content("a.txt") == b"second"
    assert storage.exists("a.txt")


@writes
def test_overwriting_large_replaces(backend: Backend) -> None:
    storage = options_with(backend, allow_overwrite=True, chunk_size=256 * 1024)
    for data in (SEED["large.bin"] * 3, SEED["large.bin"]):
        storage.save("a.bin", ContentFile(data))
    assert storage.get_content("a.bin") == SEED["large.bin"]


@writes
@pytest.mark.parametrize("kind", ["bytes", "text", "file", "iterator", "unseekable", "read twice"])
def test_save_takes_any_content(storage: FSSpecStorage, kind: str, tmp_path: Path) -> None:
    (tmp_path / "source.bin").write_bytes(b"content")
    with (tmp_path / "source.bin").open("rb") as source:
        content: Any = {
            "bytes": ContentFile(b"content"),
            "text": ContentFile("content"),
            "file": File(source),
            "iterator": _Chunks([b"con", b"tent"]),
            "unseekable": _Unseekable(b"content"),
            "read twice": source,
        }[kind]
        if kind == "read twice":
            source.read()
        name = storage.save("x.bin", content)
        assert not source.closed
    assert storage.get_content(name) == b"content"


class _Chunks:
    """Content that can only be iterated over."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def chunks(self) -> Iterator[bytes]:
        yield from self._pieces


class _Unseekable(io.RawIOBase):
    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(buffer)


class _Encrypting(File):  # type: ignore[type-arg]
    """What ``chunks()`` yields is to be stored, once: a cipher has a state."""

    _called = False

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        assert not self._called
        self._called = True
        yield b"header"
        for chunk in super().chunks(chunk_size):
            yield bytes(255 - byte for byte in chunk)


@writes
@pytest.mark.parametrize("size", [100, 600_000], ids=["small", "large"])
def test_chunks_are_what_is_stored(storage: FSSpecStorage, size: int) -> None:
    small = FSSpecStorage(**{**storage._arguments.values, "chunk_size": 256 * 1024})
    plain, stored = bytes(size), b"header" + b"\xff" * size
    named = small.save("a.bin", _Encrypting(io.BytesIO(plain)))
    # a second try under another name, and a file that can't seek
    again = small.store("a.bin", _Encrypting(io.BytesIO(plain)))
    unseekable = asyncio.run(small.astore("a.bin", _Encrypting(cast(Any, _Unseekable(plain)))))
    assert again.size == unseekable.size == len(stored)
    assert again.checksum == "sha256:" + hashlib.sha256(stored).hexdigest()
    for name in (named, again.name, unseekable.name):
        assert small.get_content(name) == stored


@writes
@pytest.mark.parametrize("piece", [1000, 100_000, 700_000])
def test_large_content_of_unknown_size_is_stored_whole(storage: FSSpecStorage, piece: int) -> None:
    small = FSSpecStorage(**{**storage._arguments.values, "chunk_size": 256 * 1024})
    data = SEED["large.bin"]
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    name = small.save("chunks.bin", _Chunks(pieces))  # type: ignore[arg-type]
    with small.open("written.bin", "wb") as file:
        for part in pieces:
            file.write(part)
    for stored in (name, "written.bin"):
        assert small.size(stored) == len(data)
        assert small.get_content(stored) == data


@writes
def test_empty_files_are_files(storage: FSSpecStorage) -> None:
    name = storage.save("empty", ContentFile(b""))
    other = storage.save("empty", ContentFile(b""))
    assert name != other
    assert (storage.exists(name), storage.size(name), storage.get_content(name)) == (True, 0, b"")


@writes
@pytest.mark.parametrize("size", [100, 3_000_000], ids=["small", "large"])
def test_failing_content_leaves_nothing(storage: FSSpecStorage, size: int) -> None:
    class Failing(_Chunks):
        def chunks(self) -> Iterator[bytes]:
            yield b"x" * size
            raise ZeroDivisionError("the upload broke")

    small = FSSpecStorage(**{**storage._arguments.values, "chunk_size": 256 * 1024})
    with pytest.raises(ZeroDivisionError, match="the upload broke"):
        small.save("broken.bin", Failing([]))  # type: ignore[arg-type]
    assert not small.exists("broken.bin")
    assert list(small.walk()) == []


@writes
def test_failing_content_keeps_what_was_there(backend: Backend) -> None:
    storage = options_with(backend, allow_overwrite=True, chunk_size=256 * 1024)
    storage.save("a.bin", ContentFile(b"good"))

    class Failing(_Chunks):
        def chunks(self) -> Iterator[bytes]:
            yield b"x" * 3_000_000
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        storage.save("a.bin", Failing([]))  # type: ignore[arg-type]
    assert storage.get_content("a.bin") == b"good"


@writes
def test_open_for_writing(storage: FSSpecStorage) -> None:
    with storage.open("w.bin", "wb") as file:
        file.write(b"first")
    with storage.open("w.bin", "wb") as file:
        file.write(b"second")
    assert storage.get_content("w.bin") == b"second"
    with storage.open("t.txt", "w") as file:
        file.write("grüße\n")
    assert storage.get_content("t.txt") == "grüße\n".encode()
    with storage.open("w.bin", "ab") as file:
        file.write(b" and third")
    with storage.open("w.bin", "r+b") as file:
        assert file.read() == b"second and third"
        file.seek(0)
        file.write(b"SECOND")
    assert storage.get_content("w.bin") == b"SECOND and third"


@writes
def test_open_exclusively(storage: FSSpecStorage) -> None:
    with storage.open("x.bin", "xb") as file:
        file.write(b"mine")
    with pytest.raises(FileExistsError):
        storage.open("x.bin", "xb")
    assert storage.get_content("x.bin") == b"mine"


def broken_write(storage: FSSpecStorage, name: str) -> None:
    with pytest.raises(ZeroDivisionError), storage.open(name, "wb") as file:
        file.write(b"bad")
        raise ZeroDivisionError


@writes
def test_exception_while_writing_discards(storage: FSSpecStorage) -> None:
    with storage.open("w.bin", "wb") as file:
        file.write(b"good")
    broken_write(storage, "w.bin")
    assert storage.get_content("w.bin") == b"good"
    broken_write(storage, "new.bin")
    assert not storage.exists("new.bin")


@writes
def test_delete(storage: FSSpecStorage) -> None:
    name = storage.save("a.txt", ContentFile(b"x"))
    storage.delete(name)
    assert not storage.exists(name)
    storage.delete(name)
    storage.delete("never/was/there.txt")


@writes
def test_delete_many(storage: FSSpecStorage) -> None:
    names = [storage.save(f"d/{i}.txt", ContentFile(b"x")) for i in range(12)]
    kept = storage.save("d/kept.txt", ContentFile(b"x"))
    storage.delete_many([*names, "d/missing.txt"])
    assert [stat.name for stat in storage.walk()] == [kept]
    storage.delete_many([])


@writes
def test_wildcards_touch_one_object(storage: FSSpecStorage) -> None:
    plain = [storage.save(f"a{i}", ContentFile(b"plain")) for i in range(2)]
    for wild in ("a*", "a?", "a[01]"):
        try:
            name = storage.save(wild, ContentFile(b"wild"))
        except SuspiciousFileOperation:
            continue
        assert storage.get_content(name) == b"wild"
        assert storage.exists(name)
        storage.delete(name)
        assert not storage.exists(name)
    assert [storage.get_content(name) for name in plain] == [b"plain", b"plain"]


@writes
def test_copy(storage: FSSpecStorage) -> None:
    source = storage.save("a.txt", ContentFile(b"source"))
    taken = storage.save("b.txt", ContentFile(b"taken"))
    copied = storage.copy(source, "sub/c.txt")
    other = storage.copy(source, taken)
    assert other != taken
    assert [storage.get_content(n) for n in (source, taken, copied, other)] == [
        b"source",
        b"taken",
        b"source",
        b"source",
    ]
    with pytest.raises(FileNotFoundError):
        storage.copy("missing.txt", "d.txt")


@writes
def test_copy_overwrites_where_allowed(backend: Backend) -> None:
    storage = options_with(backend, allow_overwrite=True)
    storage.save("a.txt", ContentFile(b"new"))
    storage.save("b.txt", ContentFile(b"old"))
    assert storage.copy("a.txt", "b.txt") == "b.txt"
    assert storage.get_content("b.txt") == b"new"


ODD_NAMES = [
    "with space.txt",
    "100%.txt",
    "a#b.txt",
    "a?b.txt",
    "plus+and&equals=.txt",
    "semi;colon:quote'\".txt",
    "[brackets]{braces}.txt",
    "a*b.txt",
    "%2e%2e%2f.txt",
    "emoji-\N{PARTY POPPER}.txt",
    "nfc-\u00e9.txt",
    "nfd-e\u0301.txt",
    "日本語/ファイル.txt",
    "dots...txt",
    ".hidden",
    "UPPER.TXT",
    "trailing-dot.",
    "-dash",
    "a@b,c!d$e^f(g)`h|i<j>k.txt",
]


@writes
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_stored_exactly_or_refused(storage: FSSpecStorage, name: str) -> None:
    try:
        stored = storage.save(name, ContentFile(name.encode()))
    except SuspiciousFileOperation:
        assert list(storage.walk()) == []
        return
    assert storage.get_content(stored) == name.encode()
    assert storage.exists(stored)
    assert [stat.name for stat in storage.walk()] == [stored]
    directory, _, label = stored.rpartition("/")
    assert storage.listdir(directory)[1] == [label]
    storage.delete(stored)
    assert not storage.exists(stored)


@writes
def test_very_long_names(storage: FSSpecStorage) -> None:
    for name in ("x" * 2000, "/".join(["y" * 100] * 20), "é" * 700):
        try:
            stored = storage.save(name, ContentFile(b"x"))
        except SuspiciousFileOperation:
            continue
        assert storage.get_content(stored) == b"x"
    assert len(storage.save("z" * 300 + ".txt", ContentFile(b"x"), max_length=50)) <= 50


@writes
def test_another_instance_sees_changes_at_once(backend: Backend) -> None:
    name = folder()
    one, two = (FSSpecStorage(**{**backend.options(name), "timeout": t}) for t in (29, 31))
    assert two.listdir("") == ([], [])
    stored = one.save("a.txt", ContentFile(b"1"))
    assert two.exists(stored)
    assert two.listdir("")[1] == [stored]
    with one.open(stored, "wb") as file:
        file.write(b"longer content")
    assert two.size(stored) == 14
    assert two.get_content(stored) == b"longer content"
    one.delete(stored)
    assert not two.exists(stored)
    assert two.listdir("")[1] == []


@writes
def test_save_tells_what_was_stored(storage: FSSpecStorage) -> None:
    stat = storage.store("a.txt", ContentFile(b"hello"), content_type="text/x-special")
    assert stat.size == 5
    assert stat.checksum == "sha256:" + hashlib.sha256(b"hello").hexdigest()
    assert stat.content_type == "text/x-special"


@writes
@pytest.mark.needs("content_type")
def test_content_type_is_kept(storage: FSSpecStorage) -> None:
    for name, kind in {
        "a.html": "text/html",
        "b.tar.gz": "application/gzip",
        "c.unknown": "application/octet-stream",
    }.items():
        storage.save(name, ContentFile(b"x"))
        stat = storage.stat(name)
        assert (stat.content_type, stat.content_encoding) == (kind, None)


@writes
@pytest.mark.needs("headers")
@pytest.mark.parametrize("size", [10, 600_000], ids=["small", "large"])
def test_headers_are_kept(backend: Backend, size: int) -> None:
    from urllib.request import urlopen

    storage = options_with(
        backend,
        chunk_size=256 * 1024,
        object_options={
            "cache_control": "max-age=77",
            "content_disposition": "attachment",
            "metadata": {"camera": "x100"},
        },
    )
    name = storage.save("a.txt", ContentFile(b"x" * size))
    assert dict(storage.stat(name).metadata)["camera"] == "x100"
    with urlopen(storage.url(name), timeout=10) as response:
        assert response.headers["Cache-Control"] == "max-age=77"
        assert response.headers["Content-Disposition"] == "attachment"
        assert response.headers["Content-Type"] == "text/plain"


@writes
@pytest.mark.needs("headers")
def test_gzip_packs_and_unpacks(backend: Backend) -> None:
    storage = options_with(backend, gzip=True)
    text = b"body { color: red }\n" * 5000
    name = storage.save("a.css", ContentFile(text))
    assert storage.size(name) < len(text) / 10
    assert storage.get_content(name) == text
    assert storage.get_content(name, 10, 30) == text[10:30]
    assert b"".join(storage.stream(name)) == text
    with storage.open(name) as file:
        assert file.read(20) == text[:20]
        file.seek(40_005)
        assert file.read(10) == text[40_005:40_015]
    picture = storage.save("a.png", ContentFile(text))
    assert storage.size(picture) == len(text)


@writes
@pytest.mark.parametrize("static_class", [FSSpecStaticStorage, FSSpecManifestStaticStorage])
def test_collectstatic_clear_deletes_everything(
    backend: Backend, static_class: type[FSSpecStaticStorage], tmp_path: Path
) -> None:
    (tmp_path / "css" / "deep").mkdir(parents=True)
    (tmp_path / "css" / "deep" / "a.css").write_text("body {}")
    (tmp_path / "logo.svg").write_text("<svg/>")
    options = backend.options(folder())
    path = f"{static_class.__module__}.{static_class.__name__}"
    with override_settings(
        STORAGES={"staticfiles": {"BACKEND": path, "OPTIONS": options}},
        STATICFILES_DIRS=[tmp_path],
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
        STATIC_URL="/static/",
    ):
        storage = static_class(**options)
        collect = partial(call_command, "collectstatic", interactive=False, verbosity=0)
        collect(clear=True)
        collected = [stat.name for stat in storage.walk()]
        assert {"css/deep/a.css", "logo.svg"} <= set(collected)
        for stale in ("old.css", "css/old.css", "gone/deep/old.css"):
            storage.save(stale, ContentFile(b"old"))
        before = [stat.name for stat in storage.walk()]
        collect(clear=True, dry_run=True)
        assert [stat.name for stat in storage.walk()] == before
        collect(clear=True)
        assert [stat.name for stat in storage.walk()] == collected
    for method in (storage.exists, lambda name: asyncio.run(storage.aexists(name))):
        assert [method(name) for name in ("", "css", "css/deep", "logo.svg")] == [True] * 4
        assert [method(name) for name in ("cs", "css/d", "missing")] == [False] * 3


def read_in_all_ways(storage: FSSpecStorage, name: str) -> Iterator[Callable[[], bytes]]:
    yield lambda: storage.get_content(name)
    yield lambda: b"".join(storage.stream(name))
    yield lambda: storage.open(name).read()
    yield lambda: asyncio.run(storage.aget_content(name))


@writes
@pytest.mark.needs("headers")
def test_gzip_of_several_members(backend: Backend) -> None:
    packed = options_with(backend, object_options={"content_encoding": "gzip"})
    storage = FSSpecStorage(**{**packed._arguments.values, "object_options": {}, "gzip": True})
    pieces = [bytes([n]) * 300_000 + b"end" for n in range(3)]
    members = [gzip.compress(piece) for piece in pieces]
    # RFC 1952: members follow each other; gzip(1) ignores zeros at the end
    name = packed.save("a.css", ContentFile(b"".join(members) + bytes(600_000)))
    for read in read_in_all_ways(storage, name):
        assert read() == b"".join(pieces)
    assert storage.get_content(name, 300_001, 300_005) == b"nd" + bytes([1]) * 2
    stored = b"".join(members)
    for broken in (stored[:-5], members[0][:5], b"", b"no gzip at all", members[0] + b"junk"):
        name = packed.save("b.css", ContentFile(broken))
        for read in read_in_all_ways(storage, name):
            with pytest.raises(StorageError, match="gzip"):
                read()


@pytest.mark.needs("read-only")
def test_read_only_backends_say_so(seeded: FSSpecStorage) -> None:
    for attempt in (
        lambda: seeded.save("a.txt", ContentFile(b"x")),
        lambda: seeded.delete("hello.txt"),
        lambda: seeded.delete_many(["hello.txt"]),
        lambda: seeded.copy("hello.txt", "b.txt"),
        lambda: seeded.open("hello.txt", "wb"),
    ):
        with pytest.raises(NotSupported, match="read-only"):
            attempt()
    assert seeded.get_content("hello.txt") == SEED["hello.txt"]
