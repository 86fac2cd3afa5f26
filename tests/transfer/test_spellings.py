"""Whether a name is spelled as the storage has it: what a trial costs, and where it fails."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.test import override_settings

from django_fsspec.core.names import folded
from django_fsspec.testing import override_storage
from django_fsspec.transfer.spellings import Spellings
from tests.helpers.moved_files import PLACES, move, papers
from tests.library.models import Paper

COUNT = 60_000


class Folding(FileSystemStorage):
    """A disk of Windows, which counts how often its folders are listed."""

    def __init__(self, location: Path) -> None:
        super().__init__(location)
        self.listed: list[str] = []

    def path(self, name: str) -> str:
        path = Path(super().path(name))
        if path.parent.is_dir():
            alike = (one for one in path.parent.iterdir() if folded(one.name) == folded(path.name))
            path = next(alike, path)
        return str(path)

    def listdir(self, path: str) -> Any:
        self.listed.append(path)
        folders, files = super().listdir(path)
        return folders, [*files, *(f"{number}.bin" for number in range(COUNT if path else 0))]


class Undeletable(FileSystemStorage):
    """May store, and not delete."""

    def delete(self, name: str) -> None:
        raise PermissionError(name)


class Unsteady(FileSystemStorage):
    """Refuses to store while it is down."""

    down = True
    listed = 0

    def _save(self, name: str, content: Any) -> str:
        if self.down:
            raise ConnectionError
        return str(super()._save(name, content))  # type: ignore[misc]

    def listdir(self, path: str) -> Any:
        self.listed += 1
        return super().listdir(path)


@pytest.mark.slow
def test_folders_are_listed_once_each(tmp_path: Path) -> None:
    storage = Folding(tmp_path)
    for name in ("a/Photo.jpg", "b/Photo.jpg"):
        storage.save(name, ContentFile(b"1"))
    spellings = Spellings(storage)
    for number in range(3):
        assert spellings.has("a/Photo.jpg")
        assert spellings.has("b/Photo.jpg")
        assert spellings.has(f"a/{number}.bin")
    assert sorted(storage.listed) == ["", "a", "b"]
    assert not spellings.has("a/photo.jpg")
    assert not spellings.has("A/Photo.jpg")


def test_a_new_file_is_found(tmp_path: Path) -> None:
    storage = Folding(tmp_path)
    spellings = Spellings(storage)
    for name in ("1.txt", "2.txt"):
        storage.save(name, ContentFile(b"1"))
        assert spellings.has(name)
    assert storage.listed == ["", ""]


def test_a_trial_that_fails_is_repeated_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Unsteady(tmp_path)
    (tmp_path / "Photo.jpg").write_text("1")
    spellings = Spellings(storage)
    with caplog.at_level(logging.WARNING, "django_fsspec"):
        assert spellings.has("Photo.jpg")
        assert not spellings.has("photo.jpg")
    assert len(caplog.records) == 1
    assert "could not be found out (ConnectionError)" in caplog.text
    storage.down, storage.listed = False, 0
    assert not spellings.has("photo.jpg")
    assert storage.listed == 1
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 65)
    assert spellings.has("photo.jpg")
    assert storage.listed == 1
    assert [file.name for file in tmp_path.iterdir()] == ["Photo.jpg"]


@pytest.mark.django_db(transaction=True)
def test_a_target_without_the_right_to_delete(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    second = {"BACKEND": f"{__name__}.Undeletable", "OPTIONS": {"location": str(tmp_path)}}
    with (
        override_storage(default=PLACES["memory"]()),
        override_settings(STORAGES={**settings.STORAGES, "second": second}),
        caplog.at_level(logging.WARNING, "django_fsspec"),
    ):
        for row in papers(3):
            row.file.copy_to("second", row.file.name)
        said = move("library.Paper")
        assert "already in the target            3" in said
        assert {row.file.backend for row in Paper.objects.all()} == {"second"}
    trials = list(tmp_path.rglob("django-fsspec-*"))
    assert len(trials) == 1
    # where the files are: elsewhere, rights may be others
    assert trials[0].parent.name == "papers"
    assert "could not be deleted" in caplog.text
