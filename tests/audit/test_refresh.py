"""refresh_files: what rows say of their files, mended by listing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from django_fsspec.audit.findings import InvalidFile, MissingFile, UpdatedFile
from django_fsspec.audit.refresh import Refresh, learn
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import StorageError
from django_fsspec.management.commands import refresh_files
from django_fsspec.rows.columns import FileColumn
from django_fsspec.rows.compare_and_swap import RowSwap
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import audit
from tests.helpers.audit import NAMES, options_of, put_json, said, storage_of
from tests.helpers.utils import started
from tests.library.models import Leaflet, Magazine, Paper, Shelf
from tests.soak import grounds, memory, sweeping

pytestmark = pytest.mark.django_db(databases=["default", "other"])

place, default = audit.place, audit.default

PAPERS = "library.Paper.file"
SHELVES = "library.Shelf.files"
FACTS = ("size", "last_modified", "etag", "version_id", "checksum", "content_type")


def refresh(*labels: str, **options: Any) -> list[Any]:
    return list(Refresh(labels or [PAPERS], **options).run())


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("refresh_files", *(arguments or [PAPERS]), stdout=out, no_color=True)
    return out.getvalue()


def failing(*arguments: str) -> tuple[str, int]:
    """Return what a run prints that does not end with 0, and with what it ends."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("refresh_files", *arguments, stdout=out, no_color=True)
    return out.getvalue() or str(caught.value), caught.value.returncode


def stored(name: str, content: bytes = b"1234567") -> FileObject:
    """Store a file and return all that is known of it."""
    return FileObject("default", name, content=content).save()


def facts(file: FileObject) -> dict[str, Any]:
    return {key: getattr(file, key) for key in FACTS}


def near(file: FileObject, other: FileObject) -> bool:
    """Whether all that a listing tells is the same; servers may tell another second."""
    assert file.last_modified is not None
    assert other.last_modified is not None
    same = (file.size, file.etag) == (other.size, other.etag)
    return same and abs(file.last_modified - other.last_modified) <= 2


# what is mended


def test_rows_that_know_nothing_learn_it_all(place: str) -> None:
    known = [stored(name) for name in NAMES]
    Paper.objects.bulk_create([Paper(file=said(name)) for name in NAMES])
    shelf = Shelf.objects.create(files=[said(NAMES[0]), said(NAMES[1])])
    found = refresh(PAPERS, SHELVES)
    assert len(found) == len(NAMES) + 2
    for paper, file in zip(Paper.objects.order_by("pk"), known, strict=True):
        assert paper.file == file
        assert near(paper.file, file)
        assert paper.file.checksum is None
    shelf.refresh_from_db()
    assert [near(one, file) for one, file in zip(shelf.files, known, strict=False)] == [True] * 2
    assert refresh(PAPERS, SHELVES) == []


def test_rows_that_are_right_are_not_written(place: str) -> None:
    for name in ("a.txt", "b/c.txt"):
        Paper.objects.create(file=stored(name))
    Shelf.objects.create(files=[stored("d.txt"), stored("e.txt")])
    before = [facts(paper.file) for paper in Paper.objects.order_by("pk")]
    with CaptureQueriesContext(connection) as queries:
        assert refresh(PAPERS, SHELVES) == []
    assert not any(query["sql"].startswith("UPDATE") for query in queries)
    assert [facts(paper.file) for paper in Paper.objects.order_by("pk")] == before


def test_a_checksum_goes_when_the_bytes_are_others(place: str) -> None:
    files = [stored(f"{n}.png") for n in range(4)]
    right = facts(files[0])
    for file in files:
        file.metadata |= {"width": 5, "height": 5, "seen": True}
    files[1].size = 6
    files[2].etag, files[2].version_id = "another", "1"
    files[3].last_modified -= 100  # type: ignore[operator]
    rows = [Paper.objects.create(file=file) for file in files]
    refresh()
    for row in rows:
        row.refresh_from_db()
        assert row.file.size == 7
        assert row.file.metadata["seen"] is True
    assert facts(rows[0].file) == right
    assert rows[0].file.width == 5
    assert rows[1].file.checksum is None
    assert rows[1].file.width is None
    if place == "s3":
        assert rows[2].file.checksum is rows[2].file.version_id is None
        assert rows[2].file.etag == right["etag"]
        # its etag proves the bytes to be the same
        assert rows[3].file.checksum == right["checksum"]
    else:
        assert rows[2].file.etag == "another"
        assert rows[3].file.checksum is None
    assert rows[3].file.last_modified == pytest.approx(right["last_modified"], abs=2.1)


def test_what_a_listing_does_not_tell_is_kept() -> None:
    file = said("a.txt")
    file.content_type, file.etag, file.version_id, file.checksum = "text/x", "e", "v", "md5:0"
    before = file.to_dict()
    learn(file, Stat(name="a.txt"), types=True)
    assert file.to_dict() == before
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    told = Stat(name="a.txt", size=5, last_modified=moment, etag="e", content_type="image/png")
    learn(file, told, types=False)
    assert facts(file) == {
        "size": 5,
        "last_modified": moment.timestamp(),
        "etag": "e",
        "version_id": "v",
        "checksum": "md5:0",
        "content_type": "text/x",
    }
    learn(file, told, types=True)
    assert file.content_type == "image/png"
    learn(file, Stat(name="a.txt", size=5, etag="f", checksum="sha1:1"), types=True)
    assert (file.etag, file.checksum) == ("f", "sha1:1")
    assert file.version_id is None


def test_content_types_are_asked_for_one_by_one() -> None:
    with override_storage(default=options_of("s3")):
        storage_of("default").store("a.txt", b"1", content_type="text/csv")
        storage_of("default").store("b.txt", b"1", content_type="text/csv")
        Paper.objects.bulk_create([Paper(file=said("a.txt")), Paper(file=said("gone.txt"))])
        refresh()
        paper = Paper.objects.order_by("pk")[0]
        assert (paper.file.size, paper.file.content_type) == (1, "text/plain")
        assert [type(one) for one in refresh(stat=True)] == [UpdatedFile, MissingFile]
        paper.refresh_from_db()
        assert paper.file.content_type == "text/csv"


def test_lists_of_files(place: str) -> None:
    good = stored("good.txt")
    shelf = Shelf.objects.create(files=[said("a.txt"), good, said("gone.txt")])
    stored("a.txt")
    kinds = [(type(one), one.name) for one in refresh(SHELVES)]
    assert kinds == [(UpdatedFile, "a.txt"), (MissingFile, "gone.txt")]
    shelf.refresh_from_db()
    assert [file.size for file in shelf.files] == [7, 7, None]
    assert shelf.files[1].checksum == good.checksum


def test_models_that_inherit(default: FSSpecStorage) -> None:
    stored("a.txt")
    stored("b.txt")
    Magazine.objects.create(file=said("a.txt"), cover=said("b.txt"))
    Leaflet.objects.create(file=said("b.txt"))
    assert len(refresh("library.Magazine.cover", "library.Leaflet.file")) == 3
    assert Magazine.objects.get().file.size == Magazine.objects.get().cover.size == 7


# what is left alone


def test_missing_objects_are_listed_and_their_rows_kept(place: str) -> None:
    stored("a.txt")
    row = Paper.objects.create(file=said("sub/gone.txt"))
    Paper.objects.create(file=said("a.txt"))
    text, status = failing(PAPERS)
    assert status == 1
    assert f"missing  library.Paper {row.pk} file  sub/gone.txt" in text
    assert "rows: 2, files: 2, files listed: 1, rows updated: 1, files missing: 1" in text
    row.refresh_from_db()
    assert row.file == said("sub/gone.txt")
    assert row.file.size is None


class Interrupted(Refresh):
    """Lets others work between reading rows and writing them."""

    def _write(self, column: FileColumn, changes: Any) -> None:
        Paper.objects.filter(title="replaced").update(file=said("b.txt"))
        for paper in Paper.objects.filter(title="seen"):
            paper.file.metadata["seen"] = True
            Paper.objects.filter(pk=paper.pk).update(file=paper.file)
        assert all(isinstance(change, RowSwap) for change in changes)
        super()._write(column, changes)


def test_what_others_wrote_meanwhile_is_kept(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stored("a.txt")
    for title in ("replaced", "seen", "quiet"):
        Paper.objects.create(title=title, file=said("a.txt"))
    monkeypatch.setattr(refresh_files, "Refresh", Interrupted)
    text = run()
    assert "rows updated: 1" in text
    assert "rows changed meanwhile and skipped: 2" in text
    rows = {paper.title: paper.file for paper in Paper.objects.all()}
    assert rows["replaced"].name == "b.txt"
    assert rows["replaced"].size is None
    assert rows["seen"].metadata == {"seen": True}
    assert rows["quiet"].size == 7


def test_a_file_replaced_while_the_storage_is_listed(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored("a.txt")
    Paper.objects.create(file=said("a.txt"))
    walk = default.walk

    def walk_slowly(prefix: str = "") -> Iterator[Stat]:
        yield from walk(prefix)
        Paper.objects.update(file=stored("b.txt", b"new"))

    monkeypatch.setattr(default, "walk", walk_slowly)
    assert refresh() == []
    assert Paper.objects.get().file.size == 3


def test_a_dry_run_writes_nothing(default: FSSpecStorage) -> None:
    stored("a.txt")
    row = Paper.objects.create(file=said("a.txt"))
    text = run(PAPERS, "--dry-run")
    assert f"updated  library.Paper {row.pk} file  a.txt  size None -> 7, last_modified" in text
    assert "rows to update: 1" in text
    row.refresh_from_db()
    assert row.file.size is None
    assert "rows updated: 1, files missing: 0" in run()
    assert "rows updated: 0, files missing: 0" in run()


def test_only_what_is_missing() -> None:
    with override_storage(default=options_of("s3")):
        wrong, lacking = stored("a.txt"), stored("b.txt")
        wrong.size, lacking.etag = 5, None
        rows = [Paper.objects.create(file=file) for file in (wrong, lacking)]
        assert [one.name for one in refresh(only_missing=True)] == ["b.txt"]
        for row in rows:
            row.refresh_from_db()
        assert rows[0].file.size == 5
        assert rows[1].file.etag
        assert [one.name for one in refresh()] == ["a.txt"]


def test_rows_of_another_database(default: FSSpecStorage) -> None:
    stored("a.txt")
    Paper.objects.bulk_create([Paper(file=said("a.txt"))])
    Paper.objects.using("other").bulk_create([Paper(file=said("a.txt"))])
    run(PAPERS, "--database", "other")
    assert Paper.objects.using("other").get().file.size == 7
    assert Paper.objects.get().file.size is None


def test_a_field_over_several_batches(default: FSSpecStorage) -> None:
    for number in range(7):
        stored(f"{number % 3}/{number}.txt")
    Paper.objects.bulk_create([Paper(file=said(f"{n % 3}/{n}.txt")) for n in range(7)])
    assert "rows updated: 7" in run(PAPERS, "--batch-size", "2")
    assert set(Paper.objects.values_list("file__size", flat=True)) == {7}


# what goes wrong


def test_odd_json_is_left_alone(default: FSSpecStorage) -> None:
    stored("a.txt")
    odd: list[Any] = [5, "text", ["a.txt"], {"backend": "default"}, {"filename": 5}]
    rows = [Paper.objects.create() for _ in odd]
    for row, data in zip(rows, odd, strict=True):
        put_json(row, "file", data)
    shelf = Shelf.objects.create()
    put_json(shelf, "files", [None, {"filename": "a.txt", "backend": "default", "owner": "me"}])
    findings = refresh(PAPERS, SHELVES)
    assert [one.name for one in findings if isinstance(one, UpdatedFile)] == ["a.txt"]
    invalid = [(one.model, one.pk) for one in findings if isinstance(one, InvalidFile)]
    assert invalid == [
        *(("library.Paper", row.pk) for row in rows),
        ("library.Shelf", shelf.pk),
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT file FROM library_paper ORDER BY id")
        found = [raw if not isinstance(raw, str) else json.loads(raw) for (raw,) in cursor]
        cursor.execute("SELECT files FROM library_shelf")
        (raw,) = cursor.fetchone()
    assert found == odd
    listed = json.loads(raw)
    assert listed[0] is None
    assert (listed[1]["size"], listed[1]["metadata"]["_extra"]) == (7, {"owner": "me"})


def test_aliases_that_can_not_be_looked_at(default: FSSpecStorage) -> None:
    stored("a.txt")
    lost = {
        "fs": "s3",
        "prefix": "bucket",
        "fs_options": {
            "endpoint_url": f"http://127.0.0.1:{servers.closed_port()}",
            "key": "key",
            "secret": "secret",
        },
        "retries": 0,
    }
    aliases = ("lost", "nowhere", "staticfiles", "default")
    Paper.objects.bulk_create([Paper(file=said("a.txt", alias)) for alias in aliases])
    with override_storage(lost=lost, default={"fs": "memory", "prefix": default.options.prefix}):
        text, status = failing(PAPERS)
    assert status == 1
    assert "lost: STORAGES['lost']" in text
    assert "nowhere: Could not find config for 'nowhere'" in text
    assert "staticfiles: StaticFilesStorage is not an FSSpecStorage." in text
    assert "rows updated: 1, files missing: 0" in text


def test_a_storage_that_fails_half_way(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> Stat:
        raise StorageError("No route.")

    stored("a.txt")
    Paper.objects.bulk_create([Paper(file=said(name)) for name in ("a.txt", "gone.txt")])
    monkeypatch.setattr(default, "stat", fail)
    text, status = failing(PAPERS)
    assert status == 1
    assert "default: No route." in text
    assert "rows updated: 0, files missing: 0" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "app_label.Model.field"),
        (["library.Paper"], "'library.Paper' is not an app_label.Model.field"),
        (["library.Nothing.file"], "'library.Nothing.file' is not an app_label.Model.field"),
        (["library.Paper.nothing"], "no field named 'nothing'; it has 'file'"),
        (["library.Paper.title"], "library.Paper.title is a CharField"),
        (["library.Attachment.file"], "library.Attachment.file is a FileField"),
        ([PAPERS, "--batch-size", "0"], "batch-size must be 1 or more"),
        ([PAPERS, "--database", "nope"], "'nope' is not in DATABASES"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(arguments: list[str], message: str) -> None:
    text, status = failing(*arguments)
    assert message in text
    assert arguments == [] or status == 2


# what it costs


@pytest.fixture(scope="module")
def many() -> Iterator[tuple[servers.CountingProxy, dict[str, Any]]]:
    """A storage with a folder of 2,500 files and another one, behind a proxy."""
    # rclone serves folders: a bucket is filled in no time, before the server looks at it
    s3 = servers.RcloneS3()
    bucket = Path(s3.directory) / "data" / "full"
    for folder, count in (("papers/2026", 2500), ("else", 600)):
        (bucket / folder).mkdir(parents=True)
        for number in range(count):
            (bucket / folder / f"{number:05}.txt").touch()
    with started(lambda: s3), started(servers.CountingProxy, s3.port) as proxy:
        yield proxy, {**grounds.s3_options(s3, "", proxy.url), "prefix": "full"}


@pytest.mark.slow
def test_a_thousand_files_take_one_request(
    many: tuple[servers.CountingProxy, dict[str, Any]],
) -> None:
    proxy, options = many
    with override_storage(default=options):
        storages["default"].exists("warm-up")
        names = [f"papers/2026/{number:05}.txt" for number in range(2500)]
        Paper.objects.bulk_create([Paper(file=said(name)) for name in names])
        proxy.reset()
        with CaptureQueriesContext(connection) as queries:
            refresh()
        assert [request.method for request in proxy.requests()] == ["GET"] * 3
        reads = [query for query in queries if query["sql"].startswith("SELECT")]
        assert len(reads) <= 10
        # 200 rows each
        writes = [query for query in queries if query["sql"].startswith("UPDATE")]
        assert len(writes) == 5 + 5 + 3
        assert set(Paper.objects.values_list("file__size", flat=True)) == {0}


def test_a_file_stored_by_other_means(place: str) -> None:
    storage_of("default").save("a.txt", ContentFile(b"12"))
    paper = Paper.objects.create(file=said("a.txt"))
    run()
    paper.refresh_from_db()
    stat = storage_of("default").stat("a.txt")
    assert (paper.file.size, paper.file.etag) == (2, stat.etag)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat_for_a_million_rows() -> None:
    took = sweeping.command(1_000_000, "refresh_files", PAPERS)
    print(
        f"\nrefresh | 800,000 rows, 1,000,000 names, 80,000 written | {took.seconds:.0f} s, peak "
        f"{took.peak / memory.MEGABYTE:.0f} MB, {took.above / memory.MEGABYTE:.0f} MB above idle"
    )
    counts = "files: 800000, files listed: 1000000, rows updated: 80000, files missing: 0"
    assert counts in took.printed
    assert took.peak < 150 * memory.MEGABYTE
