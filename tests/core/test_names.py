"""Names: accepted ones are unchanged, the others refused before any filesystem sees them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import fsspec
import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from fsspec.implementations.memory import MemoryFileSystem

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
    "s3:x:y",
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
    "s3",
    "X/~",
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


@pytest.mark.parametrize(
    ("reason", "refused", "accepted"),
    [
        ("control character", [*map(chr, range(32)), "\x7f"], [" ", "~", "\x80"]),
        ("lone surrogate", ["\ud800", "\udabc", "\udfff"], ["\ud7ff", "\ue000"]),
        ("backslash", ["\\"], []),
    ],
)
def test_characters_that_are_refused(reason: str, refused: list[str], accepted: list[str]) -> None:
    for character in refused:
        with pytest.raises(SuspiciousFileOperation, match=reason):
            names.check_name(f"a{character}b")
    for character in accepted:
        assert names.check_name(f"a{character}b") == f"a{character}b"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("a\n", "contains a control character"),
        ("\ud800", "contains a lone surrogate, which is not valid text"),
        ("\\", "contains a backslash; separate folders with '/'"),
        ("/a", "starts with '/'; names are relative to the storage's prefix"),
        ("~a", "starts with '~'; names are relative to the storage's prefix"),
        ("a//b", "has an empty part between or after slashes"),
        ("a/", "has an empty part between or after slashes"),
        ("a/.", "has a '.' or '..' part"),
        ("a/../b", "has a '.' or '..' part"),
        ("a::b", "contains '::', which fsspec reads as a chain of filesystems"),
        ("a?versionId=1", "contains '?versionId=', which S3 filesystems cut off"),
        ("a.fsspec-part", "ends with '.fsspec-part', which marks unfinished writes"),
        ("s3:a", "starts with the protocol 's3:'"),
        ("async_wrapper:a", "starts with the protocol 'async_wrapper:'"),
    ],
)
def test_a_refusal_tells_why(name: str, reason: str) -> None:
    with pytest.raises(SuspiciousFileOperation) as error:
        names.check_name(name)
    assert str(error.value) == f"The file name {name!r} {reason}."


def test_a_refusal_shows_the_beginning_of_a_long_name() -> None:
    for length, shown in ((99, "a" * 99 + "/"), (100, "a" * 100 + "…")):
        with pytest.raises(SuspiciousFileOperation, match=f"The file name '{shown}' has"):
            names.check_name("a" * length + "/")


def test_a_protocol_that_somebody_registered_is_refused() -> None:
    fsspec.register_implementation("mine", MemoryFileSystem, clobber=True)
    with pytest.raises(SuspiciousFileOperation, match="protocol 'mine:'"):
        names.check_name("mine:a")


def test_characters_that_turn_the_direction_of_writing() -> None:
    """Those with Unicode's property Bidi_Control."""
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    marks = {"ARABIC LETTER MARK", "LEFT-TO-RIGHT MARK", "RIGHT-TO-LEFT MARK"}
    characters = [chr(code) for code in range(0x3000)]
    expected = [
        character
        for character in characters
        if unicodedata.bidirectional(character) in turning
        or unicodedata.name(character, "") in marks
    ]
    assert names.BIDI.findall("".join(characters)) == expected
    assert len(expected) == 12


@pytest.mark.parametrize(
    ("path", "directory"),
    [("", ""), (".", ""), ("/", ""), ("./", ""), ("a", "a"), ("a/", "a"), ("a/b/", "a/b")],
)
def test_directories(path: str, directory: str) -> None:
    assert names.check_directory(path) == directory


@pytest.mark.parametrize("path", ["a//", "./a", "..", "../", "//", "/a"])
def test_directories_that_are_refused(path: str) -> None:
    with pytest.raises(SuspiciousFileOperation):
        names.check_directory(path)


#: what a service holds that holds everything
ANYTHING: dict[str, Any] = {
    "max_key": None,
    "max_characters": None,
    "max_segment": None,
    "forbidden": "",
    "cuts_dots": False,
}


@pytest.mark.parametrize(
    ("limit", "reason", "fits", "refused"),
    [
        (
            {"max_key": 8},
            "… is longer than the 8 bytes the service allows.",
            ["жжж", "aaaaaa"],
            ["жжжa", "aaaaaaa", "a" * 101],
        ),
        (
            {"max_characters": 8},
            "… is longer than the 8 characters the service allows.",
            ["жжжжжж"],
            ["жжжжжжж", "a" * 101],
        ),
        (
            {"max_segment": 4},
            "… has a part longer than the 4 bytes the service allows.",
            ["жж", "aaaa/жж/aaaa"],
            ["жжa", "aaaaa", "a/aaaaa/a", "a/aaaaa", "a" * 101],
        ),
        (
            {"forbidden": "|:"},
            " contains ':', which the storage can't hold.",
            ["a/b"],
            ["a:b", ":", "a" * 100 + ":"],
        ),
        (
            {"cuts_dots": True},
            " has a part that ends with '.', which the service cuts off.",
            [".a", "a.b/.c", "a/b.c"],
            ["a.", "a./b", "a/b.", "a" * 100 + "."],
        ),
    ],
)
def test_what_a_service_can_hold(
    limit: dict[str, Any], reason: str, fits: list[str], refused: list[str]
) -> None:
    for name in fits:
        names.check_fits(name, f"p/{name}", **{**ANYTHING, **limit})
    for name in refused:
        names.check_fits(name, f"p/{name}", **ANYTHING)
        with pytest.raises(SuspiciousFileOperation) as error:
            names.check_fits(name, f"p/{name}", **{**ANYTHING, **limit})
        assert str(error.value) == f"The file name {name[:100]!r}{reason}"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Été.txt", "e\u0301TE\u0301.TXT", True),
        ("Straße", "STRASSE", True),
        ("\u1e9b\u0323", "\u1e9b\u0323".upper(), True),
        ("a", "b", False),
        ("e", "é", False),
        ("x²", "x2", False),
    ],
)
def test_names_that_some_storages_take_for_one(one: str, other: str, equal: bool) -> None:
    assert (names.folded(one) == names.folded(other)) is equal


@pytest.mark.parametrize(
    ("prefix", "name", "path"),
    [
        ("", "a", "a"),
        ("p", "", "p"),
        ("p", "a/b", "p/a/b"),
        ("p/", "a", "p/a"),
        ("/", "a", "/a"),
    ],
)
def test_join(prefix: str, name: str, path: str) -> None:
    assert names.join(prefix, name) == path


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("p/q/a", "a"),
        ("/p/q/a.b", "a.b"),
        ("p/q/...", "..."),
        ("p/q/a/b", None),
        ("p/q/", None),
        ("p/q", None),
        ("p/r/a", None),
        ("p/qa", None),
        ("p/q/.", None),
        ("p/q/..", None),
        ("p/q/a\0b", None),
    ],
)
def test_what_lies_in_a_listed_directory(path: str, label: str | None) -> None:
    assert names.label_in("/p/q", path) == label


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("a.txt", "a.txt"),
        ("C:\\photos\\a.txt", "a.txt"),
        ("d/a.txt", "a.txt"),
        ("d\\e/a.txt", "a.txt"),
        ("d/...", "..."),
        ("d/", ""),
        (".", ""),
        ("d/..", ""),
        ("d\\.", ""),
    ],
)
def test_the_last_part_of_what_a_user_gave(name: str, part: str) -> None:
    assert names.last_part(name) == part


@pytest.mark.parametrize(
    ("name", "has_one"),
    [
        ("d/a_Az09xyZ.txt", True),
        ("_1234567", True),
        ("a_123456.txt", False),
        ("a_12345678.txt", False),
        ("a1234567.txt", False),
        ("a_123-567", False),
        ("a_12345é7", False),
        ("a_1234567/b.txt", False),
        ("a.b_1234567", False),
    ],
)
def test_names_that_end_as_unique_ones(name: str, has_one: bool) -> None:
    assert names.has_random_part(name) is has_one


def test_unique_names_differ_and_end_without_a_dot() -> None:
    made = {names.unique("d/Report.", Room()) for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"d/Report_[a-zA-Z0-9]{7}", name) for name in made)
    assert all(map(names.has_random_part, made))
    assert names.unique("a.TEX", Room()).endswith(".TEX")


@pytest.mark.parametrize(
    ("room", "excess"),
    [
        (Room(), (0, 0)),
        (Room(5, 7, 9), (0, 0)),
        (Room(4, 7, 9), (1, 0)),
        (Room(5, 5, 9), (0, 2)),
        (Room(5, 7, 6), (0, 3)),
        (Room(0, 5, 6), (5, 3)),
        (Room(last_part=4), (0, 3)),
    ],
)
def test_how_much_too_long_a_name_is(room: Room, excess: tuple[int, int]) -> None:
    # 5 characters, the last part of 7 bytes, 9 in all
    assert room.excess("d/a字字") == excess


def test_a_name_for_which_there_is_room_stays_as_it_is() -> None:
    assert names.shortened("a//b", Room(4, 1, 4)) == "a//b"


@pytest.mark.parametrize(
    ("characters", "bytes_", "root"),
    [
        (0, 0, "a字b"),
        (1, 0, "a字"),
        (0, 1, "a字"),
        (0, 2, "a"),
        (2, 1, "a"),
        (9, 0, ""),
        (0, 9, ""),
    ],
)
def test_a_root_loses_whole_characters_at_its_end(characters: int, bytes_: int, root: str) -> None:
    assert names.shorter("a字b", characters, bytes_) == root


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
        ("X", "X/Xa", "Xa"),
        ("", "Xa", "Xa"),
        ("", "/", None),
        ("x", "x/", None),
    ],
)
def test_relative(prefix: str, path: str, name: str | None) -> None:
    assert names.relative(prefix, path) == name


def test_shortening_keeps_the_extension() -> None:
    assert names.shortened("dir/abcdefgh.tar.gz", Room(15)) == "dir/abcd.tar.gz"
    assert names.shortened("short", Room(15)) == "short"
    name = "a" * 99 + "/b.txt"
    with pytest.raises(SuspiciousFileOperation) as error:
        names.shortened(name, Room(104))
    assert str(error.value) == (
        f"Storage can not find an available filename for {name[:100]!r}. Please make sure that "
        'the corresponding file field allows sufficient "max_length".'
    )


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
        ("a." + "b" * 10 + ".cccccccc", ("", "a", "." + "b" * 10 + ".cccccccc")),
        ("a." + "b" * 11 + ".cccccccc", ("", "a." + "b" * 11, ".cccccccc")),
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
