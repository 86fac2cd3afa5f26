"""What the demo holds when it opens: sample files on each storage, and a login."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.files.base import File
from django.core.files.storage import Storage
from tqdm import tqdm

from .samples import Sample, samples

if TYPE_CHECKING:
    BytesFile = File[bytes]
else:  # generic for type checkers only
    BytesFile = File

USERNAME = PASSWORD = "demo"


class SampleFile(BytesFile):
    """A sample that is made while it is stored, and moves a progress bar as it goes."""

    def __init__(self, sample: Sample, bar: tqdm[Any]) -> None:
        super().__init__(None, sample.name)
        self.size = sample.size
        self._sample = sample
        self._bar = bar

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        for piece in self._sample.pieces():
            yield piece
            self._bar.update(len(piece))


def seed_files(storage: Storage, label: str) -> int:
    """Store the samples that are not there yet; return how many bytes were written."""
    missing = [sample for sample in samples() if not storage.exists(sample.name)]
    total = sum(sample.size for sample in missing)
    with tqdm(
        desc=f"    {label}", total=total, unit="B", unit_scale=True, leave=False, disable=None
    ) as bar:
        for sample in missing:
            storage.save(sample.name, SampleFile(sample, bar))
    return total


def seed_login() -> None:
    """Create the superuser, unless there is one of that name."""
    users = get_user_model().objects
    if not users.filter(username=USERNAME).exists():
        users.create_superuser(USERNAME, f"{USERNAME}@example.com", PASSWORD)
