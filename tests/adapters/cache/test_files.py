"""What a cache serves after changes elsewhere, crashes, on a full disk, and what it removes."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.adapters.cache.files import FileCache
from django_fsspec.core.stat import Stat, utc
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server, zip_bytes
from tests.helpers.caches import (
    BLOCK,
    DATA,
    READS,
    TARGETS,
    below,
    cached,
    each_kind,
    files_of,
    folders_of_files,
    parts_in,
)

Read = Callable[[FSSpecStorage, str], bytes]

each_read = pytest.mark.parametrize("read", READS.values(), ids=READS)
each_target = pytest.mark.parametrize("target", TARGETS)
NEW = DATA[::-1]


def filled(
    kind: str, at: Path, target: str = "memory", **options: Any
) -> tuple[FSSpecStorage, str]:
    """Return a storage whose cache holds a file."""
    storage = cached(kind, str(at), **TARGETS[target](), **options)
    name = storage.save("f.bin", ContentFile(DATA))
    assert storage.get_content(name) == DATA
    return storage, name


# changes elsewhere


@each_target
@each_kind
def test_a_name_deleted_elsewhere_and_created_again(
    kind: str, target: str, tmp_path: Path
) -> None:
    storage, name = filled(kind, tmp_path, target)
    for create in ("save", "store", "open", "copy"):
        below(storage).delete(name)
        new = create.encode() * 5000
        if create == "save":
            assert storage.save(name, ContentFile(new)) == name
        elif create == "store":
            storage.store(name, ContentFile(new))
        elif create == "open":
            with storage.open(name, "wb") as file:
                file.write(new)
        else:
            below(storage).save("other", ContentFile(new))
            assert storage.copy("other", name) == name
        for read in READS.values():
            assert read(storage, name) == new


def test_a_version_in_a_folder_that_is_only_read(tmp_path: Path) -> None:
    baked, name = filled("simplecache", tmp_path / "baked")
    both = [str(tmp_path / "baked"), str(tmp_path / "own")]
    storage = cached("simplecache", both, prefix=baked.options.prefix)
    below(storage).save(name, ContentFile(NEW))
    assert storage.get_content(name) == DATA
    held = files_of(tmp_path / "baked")
    storage.save(name, ContentFile(NEW))
    assert storage.get_content(name) == NEW
    assert storage.get_content(name) == NEW
    assert files_of(tmp_path / "baked") == held
    assert files_of(tmp_path / "own")


# crashes


def torn(path: Path, how: str) -> None:
    size = path.stat().st_size
    if how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[: size // 2])
    elif how == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    elif how == "zeros":
        path.write_bytes(bytes(size))
    elif how == "list":
        path.write_bytes(b"[]")
    elif how == "other":
        path.write_bytes(b'{"stat": {"colour": 1}, "length": "x"}')
    elif how == "missing":
        path.unlink()


@pytest.mark.parametrize("how", ["empty", "truncated", "longer", "missing"])
@each_read
@each_kind
def test_a_torn_file_or_block(kind: str, read: Read, how: str, tmp_path: Path) -> None:
    storage, name = filled(kind, tmp_path)
    for path in files_of(tmp_path):
        torn(path, how)
        assert read(storage, name) == DATA
        assert read(storage, name) == DATA


@pytest.mark.parametrize(
    "how", ["empty", "truncated", "zeros", "longer", "list", "other", "missing"]
)
@each_kind
def test_a_torn_description(kind: str, how: str, tmp_path: Path) -> None:
    storage, name = filled(kind, tmp_path)
    for read in READS.values():
        (version,) = folders_of_files(tmp_path)
        torn(version / "stat.json", how)
        assert read(storage, name) == DATA
        assert read(storage, name) == DATA
    assert not parts_in(tmp_path)


@each_kind
def test_files_behind_http(kind: str, tmp_path: Path) -> None:
    http, label = server(servers.NginxHTTP), folder()
    (http.root / label).mkdir()
    file = http.root / label / "f.bin"
    file.write_bytes(DATA)
    storage = cached(kind, str(tmp_path), fs="http", prefix=f"{http.url}/{label}")
    for read in READS.values():
        assert read(storage, "f.bin") == DATA
        torn(files_of(tmp_path)[0], "truncated")
    for read in READS.values():
        torn(next(iter(folders_of_files(tmp_path))) / "stat.json", "truncated")
        assert read(storage, "f.bin") == DATA
    file.write_bytes(b"new")
    assert storage.get_content("f.bin") == (DATA if kind == "simplecache" else b"new")


# not on SFTP: what fsspec opens there waits for the server when it is freed
@pytest.mark.parametrize("target", ["memory", "s3"])
@each_kind
def test_an_archive(kind: str, target: str, tmp_path: Path) -> None:
    options = TARGETS[target]()
    fs, prefix = options.get("fs", "memory"), options["prefix"]
    plain = below(cached(kind, str(tmp_path), **options))
    for number, content in enumerate([DATA, b"new"]):
        plain.save("f.zip", ContentFile(zip_bytes({"f.bin": content})))
        storage = FSSpecStorage(
            fs=f"zip::{kind}::{fs}://{prefix}/f.zip",
            fs_options={
                kind: {"cache_storage": str(tmp_path)},
                fs: options.get("fs_options", {}),
            },
            # storages with other options do not share an open archive
            timeout=30 + number,
        )
        expected = DATA if kind == "simplecache" else content
        assert storage.get_content("f.bin") == expected
    assert bool(files_of(tmp_path)) == (kind != "blockcache")
    assert {path.name for path in tmp_path.iterdir()} <= {f"user-{os.geteuid()}"}


# a full disk


@contextlib.contextmanager
def full_disk(size: int = 0) -> Iterator[None]:
    """Have the system refuse what makes a file longer, as a full disk or a quota does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("target", "size"), [("memory", 0), ("memory", 5000), ("s3", 5000), ("sftp", 5000)]
)
@pytest.mark.parametrize("read", [READS["ranges"], READS["async stream"]])
@each_kind
def test_a_full_disk(
    kind: str, target: str, read: Read, size: int, tmp_path: Path, caplog: Any
) -> None:
    storage = cached(kind, str(tmp_path), **TARGETS[target]())
    name = storage.save("f.bin", ContentFile(DATA))
    with caplog.at_level(logging.WARNING, "django_fsspec"), full_disk(size):
        assert read(storage, name) == DATA
        assert read(storage, name) == DATA
    (record,) = caplog.records
    assert record.getMessage() == (
        f"The cache can't write to {str(tmp_path)!r} (File too large): "
        "files are read without it for 60 s."
    )
    assert not files_of(tmp_path)
    assert not parts_in(tmp_path)


def test_a_disk_that_is_full_in_the_middle_of_a_file(tmp_path: Path) -> None:
    storage = cached("blockcache", str(tmp_path))
    name = storage.save("f.bin", ContentFile(DATA))
    with storage.open(name) as file:
        first = file.read(BLOCK + 10)
        with full_disk():
            rest = file.read()
    assert first + rest == DATA
    assert len(files_of(tmp_path)) == 2


def test_a_file_that_changes_while_the_disk_is_full(tmp_path: Path) -> None:
    storage = cached("blockcache", str(tmp_path), **TARGETS["s3"]())
    name, other = (storage.save(name, ContentFile(DATA)) for name in ("f.bin", "other.bin"))
    with storage.open(name) as file:
        file.read(BLOCK)
        with full_disk():
            assert storage.get_content(other) == DATA
        # from now on the cache is passed by
        below(storage).save(name, ContentFile(NEW))
        with pytest.raises(OSError, match="changed while it was being read") as error:
            file.read()
    assert str(error.value).count("changed while") == 1


@each_kind
def test_a_file_that_is_cached_is_read_on_a_full_disk(kind: str, tmp_path: Path) -> None:
    storage, name = filled(kind, tmp_path)
    held = files_of(tmp_path)
    with full_disk():
        assert storage.get_content(name) == DATA
        storage.save("g.bin", ContentFile(NEW))
        assert storage.get_content("g.bin") == NEW
        assert files_of(tmp_path) == held
        storage.save(name, ContentFile(NEW))
        assert storage.get_content(name) == NEW


# expiry


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["filecache", "blockcache"])
def test_what_has_expired_leaves_the_disk(kind: str, tmp_path: Path) -> None:
    storage, name = filled(kind, tmp_path, expiry_time=1)
    stays, _ = filled(kind, tmp_path, expiry_time=1000)
    storage.save("g.bin", ContentFile(NEW))
    old = set(folders_of_files(tmp_path))
    assert len(old) == 2
    # times are told to the second, or less
    time.sleep(1.1)
    assert storage.get_content("g.bin") == NEW
    left = folders_of_files(tmp_path)
    assert len(left) == 2
    assert len(left & old) == 1
    assert len([*Path(next(iter(left))).parents[1].iterdir()]) == 3  # and .parts
    assert stays.get_content("f.bin") == DATA
    assert storage.get_content(name) == DATA


def test_simplecache_keeps_files_however_old(tmp_path: Path) -> None:
    storage, name = filled("simplecache", tmp_path, expiry_time=1)
    (version,) = folders_of_files(tmp_path)
    os.utime(version / "stat.json", (1, 1))
    below(storage).delete(name)
    assert storage.get_content(name) == DATA


# races


def described(number: int) -> Stat:
    return Stat(name="f", size=3, etag=str(number), last_modified=utc("2026-01-01T00:00:00Z"))


def test_races_leave_nothing(tmp_path: Path) -> None:
    caches = [FileCache([str(tmp_path)]) for _ in range(8)]
    start = threading.Barrier(len(caches))

    def keep(cache: FileCache) -> None:
        for number in range(50):
            start.wait()
            cached_file = cache.keep("f", described(number))
            with cache.fetch("f", "3-0") as fetch, cache.part(fetch) as part:
                part.write(b"abc")
                part.finish().close()
                cache.keep_block(cached_file, "3-0", part)

    with ThreadPoolExecutor(len(caches)) as pool:
        list(pool.map(keep, caches))
    assert not parts_in(tmp_path)
    assert len(folders_of_files(tmp_path)) <= 1


def test_what_was_fetched_before_a_change_is_not_kept(tmp_path: Path) -> None:
    cache = FileCache([str(tmp_path)])
    with cache.fetch("f") as fetch, cache.part(fetch) as part:
        part.write(b"old")
        part.finish().close()
        cache.forget("f")
        cache.keep("f", described(1), part)
    assert cache.find("f", None) is None
    assert not parts_in(tmp_path)
