"""The clock of a storage, read from the time that it gives to a new file."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.shared_places import TrialFile

#: skew below this is not worth a word: times of files are whole seconds on many storages
NEGLIGIBLE = timedelta(seconds=5)


class StorageClock(NamedTuple):
    """What the storage's clock showed when it was read, and how far it is ahead of this machine's.

    `now` is no later than it really was: the storage may cut off a part of a second.
    """

    now: datetime
    skew: timedelta

    def __str__(self) -> str:
        if abs(self.skew) < NEGLIGIBLE:
            return "as this machine's"
        amount = timedelta(seconds=round(abs(self.skew).total_seconds()))
        return f"{amount} {'ahead of' if self.skew > timedelta(0) else 'behind'} this machine's"


def read_clock(storage: FSSpecStorage) -> StorageClock | None:
    """Store an empty file, read its time and delete it: 3 requests.

    Returns None for a storage that keeps no times. Raises what the storage raises.
    """
    started = time.time()
    # empty: a full disk takes it, and is why somebody sweeps
    with TrialFile(storage, content=b"") as trial:
        stored = trial.store()
        between = datetime.fromtimestamp((started + time.time()) / 2, UTC)
        # not what the answer to the write says: listings are to be compared with this
        modified = storage.stat(stored).last_modified
    return None if modified is None else StorageClock(modified, modified - between)
