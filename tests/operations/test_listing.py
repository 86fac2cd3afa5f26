"""ConvertFileField: listings tell of the files, and which storage is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, storages

from django_fsspec.exceptions import StorageError
from django_fsspec.operations import listing
from tests import servers
from tests.helpers import conversions
from tests.helpers.backends import folder, scratch
from tests.helpers.conversions import (
    OURS,
    Past,
    columns,
    convert,
    document,
    file_system,
    store,
    using,
)
from tests.servers import CountingProxy

pytestmark = pytest.mark.django_db(transaction=True)

past, watched = conversions.past, conversions.watched

MANY = [f"documents/2024/{number % 7:02}/{number:05}.txt" for number in range(2500)]


@pytest.fixture
def through_proxy(rclone: servers.RcloneS3, proxy: CountingProxy) -> Iterator[CountingProxy]:
    """A proxy to S3, where the default storage holds `MANY`, put there as files."""
    name = folder()
    for path in MANY:
        target = rclone.directory / "data" / rclone.bucket / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path[-9:].encode())
    options = {"fs": "s3", "prefix": f"{rclone.bucket}/{name}", "retries": 0}
    options["fs_options"] = {**rclone.fs_options, "endpoint_url": proxy.url}
    with using(default={"BACKEND": OURS, "OPTIONS": options}):
        yield proxy


def cutting(proxy: CountingProxy) -> Callable[..., int]:
    """Return a way to note a page of a listing that has the proxy cut the page after it."""
    note = listing.ListedStats._note

    def then_cut(self: listing.ListedStats, stats: Any) -> int:
        proxy.cut_after(50_000)
        return note(self, stats)

    return then_cut


@pytest.mark.slow
def test_a_listing_tells_of_a_thousand_files(
    through_proxy: CountingProxy, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.start(document())
    past.add(*MANY)
    # a listing that breaks changes nothing
    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(listing.ListedStats, "_note", cutting(through_proxy))
        past.migrate(convert(), atomic=False)
    assert len(through_proxy.requests()) == 2
    assert past.held() == MANY
    assert columns() == {"id", "file"}
    through_proxy.reset()
    past.migrate(convert(), atomic=False)
    requests = through_proxy.requests()
    assert len(requests) == 3
    assert all(request.method == "GET" and "list-type=2" in request.target for request in requests)
    assert all("documents%2F2024%2F" in request.target for request in requests)
    rows = past.model.objects.filter(file__size=9, file__last_modified__gt=0)
    assert rows.exclude(file__etag=None).count() == 2500
    assert [file.name for file in past.held()] == MANY
    past.back()
    assert past.held() == MANY
    assert len(through_proxy.requests()) == 3


def test_the_folder_that_names_share_is_listed(watched: list[list[str]], past: Past) -> None:
    store("a/b/c/1.txt", "a/b/d/2.txt", "a/bb/3.txt", "z.txt")
    past.start(document())
    past.add("a/b/c/1.txt", "a/b/d/2.txt")
    past.migrate(convert())
    assert watched == [["a/b", "a/b/c/1.txt", "a/b/d/2.txt"]]


def test_folders_of_others_are_left(
    watched: list[list[str]], past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_PATIENCE", 2)
    monkeypatch.setattr(listing, "_PAGE", 2)
    ours = ["a/1.txt", "c/d/1.txt", "c/d/2.txt", "f/1.txt"]
    others = [f"{place}/{n:02}.txt" for place in ("aa", "b", "c/c", "d", "ee") for n in range(30)]
    store(*ours, *others, "e.txt")
    past.start(document())
    past.add(*ours)
    past.migrate(convert())
    assert [file.size for file in past.held()] == [len(name) for name in ours]
    assert [walk[0] for walk in watched] == ["", "c", "c/d", "f"]
    assert sum(map(len, watched)) < 25
    past.back()
    # what lies between files of one folder is passed through, but once
    past.add("e.txt")
    watched.clear()
    past.migrate(convert())
    assert past.held()[-1].size == 5
    assert [walk[0] for walk in watched] == ["", "f"]
    assert sum(map(len, watched)) < 160


def test_files_behind_a_link_are_described(past: Past) -> None:
    root = scratch() / folder()
    with using(default={"BACKEND": OURS, "OPTIONS": {"fs": "file", "prefix": str(root)}}):
        store("real/1.txt", "z.txt")
        (root / "current").symlink_to("real")
        (root / "again.txt").symlink_to("real/1.txt")
        past.start(document())
        past.add("current/1.txt", "again.txt", "current/missing.txt", "z.txt")
        past.migrate(convert())
        assert [file.size for file in past.held()] == [10, 10, None, 5]


def test_missing_files_end_the_search(
    watched: list[list[str]], past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_PATIENCE", 2)
    monkeypatch.setattr(listing, "_PAGE", 2)
    there = [f"{place}/{n}.txt" for place in "abcdef" for n in range(9)]
    store(*there)
    wanted = ["a/0.txt", "a/99.txt", "b/0x.txt", "d/3.txt", "d/99.txt", "zz.txt", "g/h/i.txt"]
    past.start(document())
    past.add(*wanted)
    past.migrate(convert())
    assert [file.size for file in past.held()] == [7, None, None, 7, None, None, None]
    seen = [name for walk in watched for name in walk[1:]]
    assert len(seen) == len(set(seen))
    past.back()
    past.model.objects.exclude(file__in=["a/0.txt", "b/0x.txt"]).delete()
    watched.clear()
    past.migrate(convert())
    assert [file.size for file in past.held()] == [7, None]
    assert watched == [
        ["", "a/0.txt", "a/1.txt", "a/2.txt", "a/3.txt"],
        ["b", "b/0.txt", "b/1.txt"],
    ]


def test_twenty_are_named(memory: None, past: Past, caplog: pytest.LogCaptureFixture) -> None:
    past.start(document())
    past.add(*(f"d/{n}.txt" for n in range(25)))
    past.migrate(convert())
    (warning,) = caplog.messages
    assert "STORAGES['default'] lacks 25 files: " in warning
    assert "pk=20 d/19.txt and 5 more. " in warning


def test_names_alone(past: Past, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = {"fs": "s3", "prefix": "b", "fs_options": {"endpoint_url": "http://127.0.0.1:1"}}
    with using(default={"BACKEND": OURS, "OPTIONS": nowhere}):
        past.start(document())
        past.add("a/b.png")
        past.migrate(convert(list_storage=False))
        assert [file.to_dict() for file in past.held()] == [
            {
                "filename": "a/b.png",
                "backend": "default",
                "content_type": "image/png",
                "metadata": {"original_name": "b.png"},
                **dict.fromkeys(("size", "last_modified", "checksum", "etag", "version_id")),
            }
        ]
        past.back()
        assert past.held() == ["a/b.png"]
    assert caplog.messages == []


def test_nothing_is_asked_about_an_empty_table(past: Past) -> None:
    with using(default={"BACKEND": "no.such.Storage"}):
        past.start(document())
        past.migrate(convert())
        past.back()


class Unlisted(FileSystemStorage):
    """Can't list, as Django allows."""

    def listdir(self, path: str) -> Any:
        raise NotImplementedError

    def get_modified_time(self, name: str) -> Any:
        raise NotImplementedError


def test_a_storage_that_can_do_little(past: Past) -> None:
    config = {**file_system(folder()), "BACKEND": f"{__name__}.Unlisted"}
    with using(default=config):
        store("d/a.txt")
        past.start(document())
        past.add("d/a.txt", "d/b.txt", "../c.txt")
        past.migrate(convert())
        held = [(file.size, file.last_modified) for file in past.held()]
        assert held == [(7, None), (None, None), (None, None)]


# which alias


def by_hand() -> FileSystemStorage:
    return FileSystemStorage(location=scratch() / "by-hand")


def second() -> Any:
    return storages["second"]


@pytest.mark.parametrize(
    ("storage", "field", "given", "alias"),
    [
        (None, {}, {}, "default"),
        (None, {"backend": "second"}, {}, "default"),
        (None, {}, {"storage": "second"}, "second"),
        (second, {}, {}, "second"),
        (by_hand, {"backend": "second"}, {}, "second"),
        (by_hand, {"backend": second}, {"storage": "second"}, "second"),
    ],
)
def test_the_alias_is_that_of_the_files(
    memory: None, past: Past, storage: Any, field: Any, given: Any, alias: str
) -> None:
    store("documents/a.txt", alias=alias)
    past.start(document(storage=storage))
    past.add("documents/a.txt")
    past.migrate(convert(field, **given))
    assert [(file.backend, file.size) for file in past.held()] == [(alias, 15)]
    past.back()
    assert past.held() == ["documents/a.txt"]


def test_an_alias_that_can_not_be_told(memory: None, past: Past) -> None:
    past.start(document(storage=by_hand))
    past.add("documents/a.txt")
    with pytest.raises(ValueError, match=r"its FileSystemStorage has no alias .* as `storage`"):
        past.migrate(convert({"backend": second}))
    with pytest.raises(ValueError, match=r"'third' is not in STORAGES, which has 'default'"):
        past.migrate(convert(storage="third"))
    assert past.held() == ["documents/a.txt"]
