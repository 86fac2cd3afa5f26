"""Names: accepted ones are unchanged, the others refused before any filesystem sees them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile

from django_fsspec.core import names
from django_fsspec.core.names import Room
from django_fsspec.storage import FSSpecStorage
from tests.helpers.backends import folder

REFUSED = [
    "",
    "..",
    "../x",
    "a/../b",
    "a/..",
    "./a",
    "/etc/passwd",
    "//x",
    "a//b",
    "a/",
    "~root/x",
    "~",
    "a\x00b",
    "a\nb",
    "a\\b",
    "..\\x",
    "C:\\x",
    "file:x",
    "file:///etc/passwd",
    "memory://x",
    "s3:x",
    "http:x",
    "simplecache::x",
    "a::b",
    "inv.pdf?versionId=z",
    "x.fsspec-part",
    "lone\ud800surrogate",
]
ACCEPTED = [
    "a",
    "a/b.txt",
    "a..b",
    "...",
    "..a",
    "a~",
    "12:30.txt",
    "note: x.txt",
    "C:x",
    "a?b",
    "a*",
]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(SuspiciousFileOperation):
        names.check_name(name)


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_as_they_are(name: str) -> None:
    assert names.check_name(name) == name


# the empty name has tests of its own: reads answer as for a missing file
@pytest.mark.parametrize("name", [name for name in REFUSED if name])
def test_every_way_in_refuses(name: str) -> None:
    storage = FSSpecStorage(fs="memory", prefix=folder())
    good = storage.save("good.txt", ContentFile(b"good"))
    ways: list[Callable[[], object]] = [
        lambda: storage.save(name, ContentFile(b"x")),
        lambda: storage.store(name, ContentFile(b"x")),
        lambda: storage.open(name),
        lambda: storage.open(name, "wb"),
        lambda: storage.exists(name),
        lambda: storage.size(name),
        lambda: storage.stat(name),
        lambda: storage.get_content(name),
        lambda: list(storage.stream(name)),
        lambda: storage.copy(good, name),
        lambda: storage.copy(name, "x"),
        lambda: storage.delete_many([name]),
        lambda: storage.url(name),
        lambda: storage.sign(name, for_upload=True),
        lambda: storage.get_modified_time(name),
        lambda: storage.get_available_name(name),
    ]
    for way in ways:
        with pytest.raises(SuspiciousFileOperation):
            way()
    with pytest.raises((SuspiciousFileOperation, ValueError)):
        storage.delete(name)
    assert [stat.name for stat in storage.walk()] == [good]


@pytest.mark.parametrize(
    ("prefix", "path", "name"),
    [
        ("bucket/media", "bucket/media/a/b", "a/b"),
        ("bucket/media", "bucket/media2/a", None),
        ("bucket/media", "bucket/media", None),
        ("", "/a", "a"),
        ("/", "/a", "a"),
        ("/srv", "/srv/a", "a"),
        ("x", "/x/a", "a"),
    ],
)
def test_relative(prefix: str, path: str, name: str | None) -> None:
    assert names.relative(prefix, path) == name


def test_shortening_keeps_the_extension() -> None:
    assert names.shortened("dir/abcdefgh.tar.gz", Room(15)) == "dir/abcd.tar.gz"
    assert names.shortened("short", Room(15)) == "short"
    with pytest.raises(SuspiciousFileOperation, match="max_length"):
        names.shortened("dir/abcdefgh.tar.gz", Room(11))


@pytest.mark.parametrize("letter", ["a", "ж", "字", "𠀀"])
@pytest.mark.parametrize("most", range(8, 30))
def test_shortening_counts_bytes_and_breaks_no_letter(letter: str, most: int) -> None:
    name = f"ordner/{letter * 20}.txt"
    for shortened in (
        names.shortened(name, Room(last_part=most)).removeprefix("ordner/"),
        names.shortened(name, Room(path=most + 7)).removeprefix("ordner/"),
        names.unique(name, Room(last_part=most + 8)).removeprefix("ordner/"),
    ):
        root = shortened.removesuffix(".txt")
        assert shortened == f"{root}.txt"
        assert len(shortened.encode()) <= most + (8 if "_" in root else 0)
        kept = root.partition("_")[0]
        assert (letter * 20).startswith(kept)
        # not one letter less than there is room for
        assert most - len(f"{kept}.txt".encode()) < len(letter.encode()) or kept == letter * 20


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("d/a.tar.gz", ("d", "a", ".tar.gz")),
        ("a", ("", "a", "")),
        (".profile", ("", ".profile", "")),
        ("1. A long title of it.pdf", ("", "1. A long title of it", ".pdf")),
        ("2024.05.01 Protokoll.tar.gz", ("", "2024.05.01 Protokoll.tar", ".gz")),
        ("a." + "b" * 30, ("", "a." + "b" * 30, "")),
        ("." + "b" * 30, ("", "." + "b" * 30, "")),
        ("a.b." + "c" * 18, ("", "a.b", "." + "c" * 18)),
    ],
)
def test_what_is_an_extension(name: str, parts: tuple[str, str, str]) -> None:
    assert names.split_extension(name) == parts


def test_a_unique_name_gives_up_its_random_part_before_it_is_too_long() -> None:
    assert len(names.unique("dir/abcdefgh.txt", Room(20))) == 20
    short = names.unique("dir/abcdefgh.txt", Room(12))
    assert short.startswith("dir/_")
    assert len(short) == 12
    with pytest.raises(SuspiciousFileOperation, match="max_length"):
        names.unique("dir/abcdefgh.txt", Room(8))


def test_alternatives_respect_max_length() -> None:
    storage = FSSpecStorage(fs="memory", prefix=folder())
    taken = [storage.save("abcdefghijkl.txt", ContentFile(b"x"), max_length=16) for _ in range(5)]
    assert len(set(taken)) == 5
    assert max(map(len, taken)) <= 16
    assert taken[0] == "abcdefghijkl.txt"
    storage.save("a.txt", ContentFile(b"x"), max_length=6)
    with pytest.raises(SuspiciousFileOperation, match="max_length"):
        storage.save("a.txt", ContentFile(b"x"), max_length=6)


def test_a_subclass_may_choose_alternative_names() -> None:
    class Numbered(FSSpecStorage):
        count = 0

        def get_alternative_name(self, file_root: str, file_ext: str) -> str:
            self.count += 1
            return f"{file_root}-{self.count}{file_ext}"

    storage = Numbered(fs="memory", prefix=folder())
    assert [storage.save("a.txt", ContentFile(b"x")) for _ in range(3)] == [
        "a.txt",
        "a-1.txt",
        "a-2.txt",
    ]


def test_a_save_checks_its_name_once(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FSSpecStorage(fs="memory", prefix=folder())
    checked: list[object] = []
    check_name = names.check_name

    def counting(name: object) -> str:
        checked.append(name)
        return check_name(name)

    monkeypatch.setattr(names, "check_name", counting)
    assert storage.save("may.txt", ContentFile(b"1")) == "may.txt"
    assert checked == ["may.txt"]
