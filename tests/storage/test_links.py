"""Links, FIFOs and sockets: what a listing shows, what can be read, what is no file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile

from django_fsspec.staticfiles import FSSpecStaticStorage
from django_fsspec.storage import FSSpecStorage
from tests.helpers.linked_folders import DISKS, Disk, Linked


@pytest.fixture(params=DISKS, ids=str)
def linked(request: pytest.FixtureRequest) -> Linked:
    disk: Disk = request.param
    return Linked(disk)


async def collected(storage: FSSpecStorage) -> list[str]:
    return [stat.name async for stat in storage.awalk()]


# links to folders


def test_walk_descends_into_no_link(linked: Linked) -> None:
    linked.put("p/a.txt", "p/q/b.txt", "z.txt")
    linked.link("current", "p")
    linked.link("p/up", "..")
    linked.link("itself", ".")
    linked.link("deep", "p/q")
    linked.link("absolute", linked.root / "p")
    assert linked.walked() == ["p/a.txt", "p/q/b.txt", "z.txt"]
    assert asyncio.run(collected(linked.storage)) == ["p/a.txt", "p/q/b.txt", "z.txt"]
    assert linked.walked("p") == ["p/a.txt", "p/q/b.txt"]


def test_walk_stays_inside_the_prefix(linked: Linked) -> None:
    (linked.outside / "other.txt").write_text("somebody else's")
    linked.put("a.txt")
    linked.link("shared", f"../{linked.outside.name}")
    assert linked.walked() == ["a.txt"]
    assert linked.storage.get_content("shared/other.txt") == b"somebody else's"


def test_files_behind_a_link_are_files(linked: Linked) -> None:
    linked.put("p/a.txt")
    linked.link("current", "p")
    storage = linked.storage
    assert storage.exists("current/a.txt")
    assert storage.size("current/a.txt") == 8
    assert storage.get_content("current/a.txt") == b"p/a.txt\n"
    with storage.open("current/a.txt") as file:
        assert file.read() == b"p/a.txt\n"
    assert storage.listdir("current") == ([], ["a.txt"])
    assert storage.save("current/b.txt", ContentFile(b"b")) == "current/b.txt"
    assert linked.walked() == ["p/a.txt", "p/b.txt"]
    storage.delete("current/a.txt")
    assert linked.files() == ["p/b.txt"]


def test_a_link_to_a_folder_is_listed_as_a_folder(linked: Linked) -> None:
    linked.put("p/a.txt", "b.txt")
    linked.link("current", "p")
    directories, files = linked.storage.listdir("")
    assert (sorted(directories), files) == (["current", "p"], ["b.txt"])
    assert not linked.storage.exists("current")


def test_static_files_are_not_cleared_behind_a_link(linked: Linked) -> None:
    # collectstatic --clear deletes what listdir() leads it to
    linked.put("p/a.css", "b.css")
    linked.link("shared", f"../{linked.outside.name}")
    linked.link("b link.css", "b.css")
    storage = FSSpecStaticStorage(**linked.options)
    directories, files = storage.listdir("")
    assert (directories, sorted(files)) == (["p"], ["b link.css", "b.css"])
    assert asyncio.run(storage.alistdir(""))[0] == ["p"]


def test_the_prefix_may_be_a_link(linked: Linked) -> None:
    linked.put("p/a.txt", "p/q/b.txt")
    linked.link("current", "p")
    prefix = f"{linked.options['prefix']}/current"
    storage = FSSpecStorage(**{**linked.options, "prefix": prefix})
    assert [stat.name for stat in storage.walk()] == ["a.txt", "q/b.txt"]


# links to files


def test_a_link_to_a_file_is_a_file(linked: Linked) -> None:
    linked.put("p/a.txt")
    linked.link("link.txt", "p/a.txt")
    storage = linked.storage
    assert linked.walked() == ["link.txt", "p/a.txt"]
    assert storage.listdir("") == (["p"], ["link.txt"])
    assert storage.get_content("link.txt") == b"p/a.txt\n"
    stats = {stat.name: stat for stat in storage.walk()}
    assert stats["link.txt"].size == stats["p/a.txt"].size == 8
    # an old FTP server lists no times
    assert stats["p/a.txt"].last_modified in (stats["link.txt"].last_modified, None)
    assert (stats["link.txt"].is_link, stats["p/a.txt"].is_link) == (True, False)
    storage.delete("link.txt")
    assert linked.files() == ["p/a.txt"]
    assert not (linked.root / "link.txt").is_symlink()


def test_links_to_nothing_spoil_no_listing(linked: Linked) -> None:
    linked.put("a.txt")
    linked.link("dangling", "nowhere")
    linked.link("circle", "circle")
    linked.link("below-a-file", "a.txt/b")
    linked.link("too-long", "x" * 300)
    assert linked.walked() == ["a.txt"]
    assert linked.storage.listdir("") == ([], ["a.txt"])
    for name in ("dangling", "circle", "below-a-file"):
        assert not linked.storage.exists(name)
        with pytest.raises(FileNotFoundError):
            linked.storage.open(name)
        with pytest.raises(FileNotFoundError):
            linked.storage.size(name)


def test_odd_names_of_links(linked: Linked) -> None:
    names = ["a -> b", "two  spaces", " leading", "caf\u00e9"]
    linked.put(*(f"real/{name}/file.txt" for name in names))
    for name in names:
        linked.link(name, f"real/{name}")
        linked.link(f"{name}.txt", f"real/{name}/file.txt")
    real = [name for name in linked.walked() if name.startswith("real/")]
    assert real == sorted(f"real/{name}/file.txt" for name in names)
    assert set(linked.walked()) - set(real) <= {f"{name}.txt" for name in names}


# FIFOs, sockets

READS: dict[str, Callable[[FSSpecStorage, str], object]] = {
    "open": lambda storage, name: storage.open(name),
    "open as text": lambda storage, name: storage.open(name, "r"),
    "open for changing": lambda storage, name: storage.open(name, "r+b"),
    "get_content": lambda storage, name: storage.get_content(name),
    "a range": lambda storage, name: storage.get_content(name, 1, 5),
    "stream": lambda storage, name: list(storage.stream(name)),
    "digest": lambda storage, name: storage.digest(name),
    "stat": lambda storage, name: storage.stat(name),
    "size": lambda storage, name: storage.size(name),
    "get_modified_time": lambda storage, name: storage.get_modified_time(name),
    "copy": lambda storage, name: storage.copy(name, "copy.txt"),
    "aopen": lambda storage, name: asyncio.run(storage.aopen(name)),
    "aget_content": lambda storage, name: asyncio.run(storage.aget_content(name)),
    "asize": lambda storage, name: asyncio.run(storage.asize(name)),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("read", READS)
def test_special_files_are_not_read(linked: Linked, read: str) -> None:
    for name in linked.make_special_files("folder"):
        with pytest.raises(FileNotFoundError):
            READS[read](linked.storage, name)
    linked.put("a.txt")
    # the connection is as it was
    assert linked.storage.get_content("a.txt") == b"a.txt\n"
    assert linked.files() == ["a.txt"]


@pytest.mark.timeout(60)
def test_special_files_are_in_no_listing(linked: Linked) -> None:
    names = [*linked.make_special_files(), *linked.make_special_files("folder")]
    linked.put("a.txt", "folder/b.txt", "folder/empty.txt")
    (linked.root / "folder" / "empty.txt").write_bytes(b"")
    storage = linked.storage
    assert storage.listdir("") == (["folder"], ["a.txt"])
    assert sorted(storage.listdir("folder")[1]) == ["b.txt", "empty.txt"]
    assert linked.walked() == ["a.txt", "folder/b.txt", "folder/empty.txt"]
    for name in names:
        assert not storage.exists(name)
        assert not asyncio.run(storage.aexists(name))
    assert storage.exists("folder/empty.txt")
    assert storage.get_content("folder/empty.txt") == b""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("linked", [d for d in DISKS if d.name != "PyFTP"], indirect=True, ids=str)
def test_a_link_to_a_special_file_is_no_file(linked: Linked) -> None:
    # with MLST, an FTP server tells no link to a FIFO from one to an empty file
    linked.make_special_files()
    linked.link("link", "fifo")
    assert linked.walked() == []
    assert linked.storage.listdir("") == ([], [])
    assert not linked.storage.exists("link")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "linked", [d for d in DISKS if d.name != "OldFTP"], indirect=True, ids=str
)
def test_a_save_leaves_a_special_file_alone(linked: Linked) -> None:
    # without MLST, an FTP server tells of no name that is neither a file nor a directory
    for name in linked.make_special_files():
        stored = linked.storage.save(name, ContentFile(b"content"))
        assert stored != name
        assert linked.storage.get_content(stored) == b"content"
        assert (linked.root / name).exists()
        assert not (linked.root / name).is_file()


def test_devices_are_no_files() -> None:
    storage = FSSpecStorage(fs="file", prefix="/dev")
    assert not storage.exists("zero")
    with pytest.raises(FileNotFoundError):
        storage.get_content("zero", 0, 10)
