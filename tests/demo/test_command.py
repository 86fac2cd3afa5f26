"""``manage.py demo``: used from one end to the other, and what it says when it can't be."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from django.core.files.storage import storages

from django_fsspec.forms.kept_uploads import FOLDER
from testproject import seed
from testproject.demo import Demo
from testproject.library import ALBUMS, DOCUMENTS
from testproject.models import Album, Document
from testproject.samples import RECORDING, RECORDING_SIZE, samples
from tests.demo.visit import held
from tests.servers import closed_port

ROOT = Path(__file__).resolve().parents[2]
STEPS = [
    "an S3 server (SeaweedFS) answers",
    "the database is migrated",
    "sample documents and albums, on both",
    "the web server answers",
    "the page opens, with its style and script",
    "Local disk to S3: a copy has the same bytes",
    "an upload without CSRF token is refused",
    "Local disk, albums: the second of two can't be stored, so none is",
    "overview: opens, at no storage request",
    "overview: the totals are what was uploaded",
    "admin: the printed login works",
    "admin: documents and albums are listed, sorted and searched",
    "admin: a document is moved to S3, its file on the disk is gone",
    "migrate_files: the documents on the disk go to S3, verified",
    "migrate_files: the reverse command brings them back",
]


STEPS_OF_EACH = [
    "sample files, one of 50 MB",
    "the samples are listed",
    "4 files are uploaded",
    "they are listed with size and type",
    "their URLs give the same bytes",
    "a second file of one name becomes a second file",
    "a range out of the middle of 50 MB",
    "10 hostile names are refused",
    "what is missing is told kindly",
    "files are deleted, their URLs are dead",
]


STEPS_OF_DOCUMENTS = [
    "the samples are listed, at no request",
    "two are uploaded and listed",
    "one goes there past the form",
    "found by title, by original name, by type",
    "a download has the same bytes and its own name",
    "of one that is replaced, the old object is gone",
    "7 hostile uploads are refused",
    "an exception in a transaction leaves nothing",
    "they are deleted, their objects are gone",
]


STEPS_OF_ALBUMS = [
    "one is made of 3 pictures",
    "another picture is added, all are shown, at no request",
    "pictures are moved to the left and the right",
    "one is removed, its object is gone",
    "HTML named .png is refused, and what came with it",
    "the album is deleted, all its objects are gone",
]


def run_demo(var: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = ("DEMO_S3", "DJANGO_FSSPEC_DATABASE", "DJANGO_SETTINGS_MODULE")
    kept = {k: v for k, v in os.environ.items() if k not in ours}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "demo", *arguments],
        env={**kept, "PYTHONIOENCODING": "utf-8", "DJANGO_FSSPEC_VAR": str(var), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=240,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_works_from_one_end_to_the_other(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--once")
    assert done.returncode == 0, done.stdout
    ticks = [line.split("✓ ")[1] for line in done.stdout.splitlines() if "✓" in line]
    parts = {"": STEPS_OF_EACH, ", documents": STEPS_OF_DOCUMENTS, ", albums": STEPS_OF_ALBUMS}
    each = [
        f"{title}{part}: {step}"
        for title in ("Local disk", "S3")
        for part, steps in parts.items()
        for step in steps
    ]
    assert sorted(tick.rpartition("  ")[0].strip() for tick in ticks) == sorted(STEPS + each)
    assert all(tick.endswith(" s") for tick in ticks)
    files = {path for path in (tmp_path / "media").rglob("*") if path.is_file()}
    # uploads of forms that were refused for something else wait for their next try
    files -= set((tmp_path / "media" / FOLDER).iterdir())
    rows = [sample for sample in DOCUMENTS if sample.alias == "default"]
    photos = [name for sample in ALBUMS if sample.alias == "default" for name in sample.photos]
    assert len(files) == len(samples()) + len(rows) + len(photos)


@pytest.mark.slow
def test_a_failed_step_is_named_and_ends_in_1(tmp_path: Path) -> None:
    nowhere = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{closed_port()}"}
    done = run_demo(tmp_path, "--once", DEMO_S3=json.dumps(nowhere))
    assert done.returncode == 1
    assert "✗ S3: sample files" in done.stdout
    assert "Failed: S3: sample files" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.slow
def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_demo(tmp_path, "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stdout
    assert "✓" not in done.stdout


def test_port_0_is_a_free_one_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_S3", "{}")
    demo = Demo(print, port=0)
    demo._require_port()
    assert demo.port > 0
    assert f"http://127.0.0.1:{demo.port}/documents/" in demo._summary()


def test_samples_are_as_large_as_they_say() -> None:
    for sample in samples():
        assert sum(map(len, sample.pieces())) == sample.size
    large = next(sample for sample in samples() if sample.name == RECORDING)
    whole = b"".join(large.pieces())
    assert large.part(1_000_000, 3_000_000) == whole[1_000_000:3_000_000]
    with wave.open(io.BytesIO(whole)) as recording:
        assert recording.getnframes() * recording.getsampwidth() == RECORDING_SIZE - 44


@pytest.mark.django_db
class TestSeeds:
    @pytest.mark.slow
    def test_made_once_and_anew_where_files_went(self, two_storages: None) -> None:
        seed.seed_rows()
        rows = set(Document.objects.values_list("pk", flat=True))
        albums = set(Album.objects.values_list("pk", flat=True))
        assert (len(rows), len(albums)) == (len(DOCUMENTS), len(ALBUMS))
        before = held("documents", "albums")
        seed.seed_rows()
        assert set(Document.objects.values_list("pk", flat=True)) == rows
        assert set(Album.objects.values_list("pk", flat=True)) == albums
        assert held("documents", "albums") == before
        for name in (before := held("documents", "albums")):
            storages["s3"].delete(name)
        seed.seed_rows()
        kept = set(Document.objects.values_list("pk", flat=True)) & rows
        assert len(kept) == sum(sample.alias == "default" for sample in DOCUMENTS)
        assert (Document.objects.count(), Album.objects.count()) == (len(rows), len(albums))
        assert held("documents", "albums") == before
