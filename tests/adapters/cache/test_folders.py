"""A cache in a folder that somebody else made, and what is not the cache's in it."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests.helpers.caches import (
    DATA,
    READS,
    below,
    cached,
    each_kind,
    files_of,
    folders_of_files,
    is_content,
)
from tests.helpers.neighbours import as_neighbour, common_ground

PLANTED = b"planted!" * (len(DATA) // 8)
SECRET = b"a secret" * (len(DATA) // 8)


@pytest.fixture
def ground() -> Iterator[Path]:
    with common_ground() as ground:
        yield ground


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Interrupt a test that waits for a FIFO."""

    def interrupt(*args: object) -> None:
        raise TimeoutError("the test waited for 30 s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def replaced(path: Path, secret: Path, how: str) -> None:
    """Put something else in the place of a cached file or block."""
    size = path.stat(follow_symlinks=False).st_size
    path.unlink()
    if how == "content":
        path.write_bytes(PLANTED[:size])
    elif how == "link":
        path.symlink_to(secret)
    elif how == "FIFO":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()


def filled(kind: str, at: Path) -> tuple[FSSpecStorage, str]:
    """Return a storage whose cache holds a file."""
    storage = cached(kind, str(at))
    name = storage.save("f.bin", ContentFile(DATA))
    assert storage.get_content(name) == DATA
    assert files_of(at)
    return storage, name


@pytest.mark.parametrize("how", ["content", "link", "FIFO", "folder"])
@each_kind
def test_a_folder_that_a_neighbour_filled_is_not_read(kind: str, how: str, ground: Path) -> None:
    model, planted, secret = ground / "model", ground / "cache", ground / "secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    storage, name = filled(kind, model)
    tree = {
        path.relative_to(model): path.read_bytes() if path.is_file() else None
        for path in sorted(model.rglob("*"))
    }

    def plant() -> None:
        planted.mkdir(0o777)
        for path, content in tree.items():
            if content is None:
                (planted / path).mkdir(0o777)
            else:
                (planted / path).write_bytes(content)
                (planted / path).chmod(0o666)
                if is_content(planted / path):
                    replaced(planted / path, secret, how)

    as_neighbour(plant)
    victim = cached(kind, str(planted), prefix=storage.options.prefix)
    for read in READS.values():
        with pytest.raises(StorageError, match=r"cache_storage.*(user 65534|mode 777)") as caught:
            read(victim, name)
        assert str(planted) in str(caught.value)
        assert "credentials" not in str(caught.value)
    # changes of the files go on
    victim.delete(name)
    assert victim.save(name, ContentFile(b"new")) == name
    assert secret.read_bytes() == SECRET


@each_kind
def test_a_folder_that_a_neighbour_made_holds_one_of_ours(kind: str, ground: Path) -> None:
    old = ground / "old" / "folder"
    old.mkdir(parents=True)
    os.utime(old, (1, 1))

    def plant() -> None:
        (ground / "cache").mkdir(0o777)
        (ground / "cache" / ".parts").symlink_to(ground / "old")
        os.mkfifo(ground / "cache" / "cache")

    as_neighbour(plant)
    storage, name = filled(kind, ground / "cache")
    os.umask(umask := os.umask(0))
    for path in (ground / "cache").rglob("*"):
        if path.parts[len(ground.parts) + 1] not in (".parts", "cache"):
            mode = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == mode & ~umask, path
    below(storage).save(name, ContentFile(DATA[::-1]))
    if kind != "simplecache":
        assert storage.get_content(name) == DATA[::-1]
    assert old.is_dir()


@each_kind
def test_a_new_folder_is_for_its_user_alone(kind: str, tmp_path: Path) -> None:
    filled(kind, tmp_path / "deep" / "cache")
    assert stat.S_IMODE((tmp_path / "deep" / "cache").stat().st_mode) == 0o700


@pytest.mark.parametrize("how", ["link", "FIFO", "folder"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@each_kind
def test_what_is_no_file_is_replaced(
    kind: str, read: Callable[[FSSpecStorage, str], bytes], how: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    storage, name = filled(kind, tmp_path / "cache")
    for path in files_of(tmp_path / "cache"):
        replaced(path, secret, how)
    assert read(storage, name) == DATA
    assert read(storage, name) == DATA
    assert secret.read_bytes() == SECRET


@pytest.mark.parametrize("level", ["version", "file", "stat.json", ".parts"])
@each_kind
def test_links_in_the_cache_are_not_followed(kind: str, level: str, tmp_path: Path) -> None:
    storage, name = filled(kind, tmp_path / "cache")
    (version,) = folders_of_files(tmp_path / "cache")
    linked = {
        "version": version,
        "file": version.parent,
        "stat.json": version / "stat.json",
        ".parts": version.parent.parent / ".parts",
    }[level]
    outside = tmp_path / "outside"
    linked.rename(outside)
    linked.symlink_to(outside)
    if outside.is_dir():
        (outside / "old").mkdir()
        os.utime(outside / "old", (1, 1))
    assert storage.get_content(name) == DATA
    storage.save(name, ContentFile(DATA[::-1]))
    assert storage.get_content(name) == DATA[::-1]
    again: dict[str, Any] = {"expiry_time": 99}  # another client of the same files
    fresh = cached(kind, str(tmp_path / "cache"), prefix=storage.options.prefix, **again)
    assert fresh.get_content(name) == DATA[::-1]
    assert outside.exists()
    assert level == "stat.json" or (outside / "old").is_dir()


@each_kind
def test_a_file_that_others_can_change_is_not_read(kind: str, tmp_path: Path) -> None:
    storage, name = filled(kind, tmp_path / "cache")
    for path in files_of(tmp_path / "cache"):
        path.write_bytes(PLANTED[: path.stat().st_size])
        path.chmod(0o666)
    assert storage.get_content(name) == DATA


@each_kind
def test_users_who_share_a_folder_have_their_own_in_it(kind: str, ground: Path) -> None:
    at = ground / "cache"
    at.mkdir()
    at.chmod(0o777)
    root = ground / "files"
    root.mkdir()
    (root / "f.bin").write_bytes(DATA)
    (root / "f.bin").chmod(0o644)
    storage = cached(kind, str(at), fs="file", prefix=str(root))
    assert storage.get_content("f.bin") == DATA
    assert as_neighbour(lambda: storage.get_content("f.bin")) == DATA
    owners = {path.stat().st_uid for path in files_of(at)}
    assert len(owners) == (2 if os.geteuid() == 0 else 1)


@pytest.mark.slow
@each_kind
def test_a_folder_of_another_user(kind: str, ground: Path) -> None:
    at = ground / "cache"
    at.mkdir(0o755)
    if os.geteuid():
        at.chmod(0o555)
    root = ground / "files"
    root.mkdir()
    (root / "f.bin").write_bytes(DATA)
    storage = cached(kind, str(at), fs="file", prefix=str(root))
    assert storage.exists("f.bin")
    for read in READS.values():
        with pytest.raises(StorageError, match=r"cache_storage.*user \d+ can't use") as caught:
            as_neighbour(lambda read=read: read(storage, "f.bin"))  # type: ignore[misc]
        assert str(at) in str(caught.value)
        assert "Permission denied" in str(caught.value)
        assert "credentials" not in str(caught.value)


@each_kind
def test_a_file_in_place_of_the_folder(kind: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    storage = cached(kind, str(tmp_path / "cache"))
    storage.save("f.bin", ContentFile(DATA))
    with pytest.raises(StorageError, match=r"cache_storage.*(Not a directory|File exists)"):
        storage.get_content("f.bin")


@each_kind
def test_a_link_of_our_own_to_the_folder(kind: str, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "disk")
    filled(kind, tmp_path / "cache")
    assert files_of(tmp_path / "disk")


def test_a_link_of_a_neighbour_to_our_folder(ground: Path) -> None:
    private = ground / "private"
    private.mkdir(0o700)
    if os.geteuid():
        # a link has no owner of its own here
        private.chmod(0o500)
    as_neighbour(lambda: (ground / "cache").symlink_to(private))
    storage = cached("filecache", str(ground / "cache"))
    storage.save("f.bin", ContentFile(DATA))
    with pytest.raises(StorageError, match=r"cache_storage.*(link|denied)"):
        storage.get_content("f.bin")
    assert not [*private.iterdir()]


@each_kind
def test_a_folder_for_a_group(kind: str, ground: Path) -> None:
    at = ground / "cache"
    root = ground / "files"
    root.mkdir()
    (root / "f.bin").write_bytes(DATA)
    before = os.umask(0)
    try:
        storage = cached(kind, str(at), fs="file", prefix=str(root), cache_storage_mode=0o777)
        assert as_neighbour(lambda: storage.get_content("f.bin")) == DATA
        (held,) = {path.parent for path in files_of(at)}
        assert storage.get_content("f.bin") == DATA
    finally:
        os.umask(before)
    assert {path.parent for path in files_of(at)} == {held}


def test_what_killed_processes_left_is_removed_after_a_day(tmp_path: Path) -> None:
    filled("filecache", tmp_path / "cache")
    (version,) = folders_of_files(tmp_path / "cache")
    parts = version.parent.parent / ".parts"
    for label, age in (("old", 2 * 24 * 3600), ("new", 3600)):
        (parts / label).mkdir()
        (parts / label / "data").write_bytes(b"x")
        os.utime(parts / label, (time.time() - age,) * 2)
    (parts / "link").symlink_to(tmp_path)
    os.utime(parts / "link", (1, 1), follow_symlinks=False)
    filled("simplecache", tmp_path / "cache")
    assert [path.name for path in parts.iterdir()] == ["new"]
    assert tmp_path.is_dir()
