"""A process killed while it saves leaves nothing under the name, or the whole file."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from django.core.files.base import ContentFile

from tests.helpers.workers import Worker, starting_gun
from tests.soak import grounds, jobs
from tests.soak.grounds import Ground

pytestmark = [pytest.mark.once, pytest.mark.slow]

GROUNDS = [grounds.LOCAL, grounds.SEAWEED, grounds.SFTP]
MEGABYTE = 1_000_000
NAME = "killed.bin"
OLD = b"what was there before"
#: how long the content takes to come in
SECONDS = 0.4
#: how long a server may still work on what it got from the dead
SETTLING = 0.5


def workers() -> Iterator[Worker]:
    """Yield a new worker each time, the next one already on its way."""
    following = Worker()
    try:
        while True:
            current, following = following, Worker()
            with current:
                yield current.ready()
    finally:
        following.kill()
        following.stop()


def prove(ground: Ground, *, moments: int, size: int, overwrite: bool) -> Counter[str]:
    """Kill a save at random moments over its whole length; return what was left how often."""
    left: Counter[str] = Counter()
    supply = workers()
    try:
        took = undisturbed(next(supply), ground, size)
        for moment in range(moments):
            # one in each equal stretch, from before the first byte to after the last
            at = took * 1.25 * (moment + random.random()) / moments
            left.update(kill(next(supply), ground, size, at, overwrite=overwrite))
    finally:
        supply.close()  # type: ignore[attr-defined]
    return left


def undisturbed(worker: Worker, ground: Ground, size: int) -> float:
    """Save without a kill; return the seconds it takes."""
    options = ground.options(grounds.folder("kill"))
    worker.call(jobs.warm_up, options)
    return worker.call(jobs.save_slowly, options, NAME, "new", size, SECONDS, starting_gun())


def kill(worker: Worker, ground: Ground, size: int, at: float, *, overwrite: bool) -> list[str]:
    """Kill one save after `at` seconds; check what is left and return what it was."""
    base = grounds.folder("kill")
    options = {**ground.options(base), "allow_overwrite": overwrite}
    worker.call(jobs.warm_up, options)
    if overwrite:
        jobs.storage(options).save(NAME, ContentFile(OLD))
    start = starting_gun()
    worker.send(jobs.save_slowly, options, NAME, "new", size, SECONDS, start)
    time.sleep(max(0.0, start + at - time.monotonic()))
    worker.kill()
    time.sleep(SETTLING)
    return check(ground, base, jobs.unique_bytes("new", size), overwrite=overwrite)


def check(ground: Ground, base: str, new: bytes, *, overwrite: bool) -> list[str]:
    """Check what is left, by another client and by our own listings; return what it was."""
    files = ground.files(base)
    stored = files.pop(NAME, None)
    shown = [NAME] if stored is not None else []
    assert jobs.listed(ground.options(base)) == (shown, shown)
    hidden = ["hidden part file"] * len(files)
    if stored is None:
        assert not overwrite, "the old file is gone"
        return ["none", *hidden]
    if overwrite and stored == OLD:
        return ["old", *hidden]
    assert stored == new, f"{len(stored)} of {len(new)} bytes under the final name"
    return ["whole", *hidden]


@pytest.mark.parametrize(
    ("ground", "overwrite"),
    [(grounds.LOCAL, True), (grounds.SEAWEED, True), (grounds.SFTP, False)],
    ids=str,
)
def test_a_killed_save_leaves_nothing_or_all(ground: Ground, overwrite: bool) -> None:
    prove(ground, moments=2, size=24 * MEGABYTE, overwrite=overwrite)


@pytest.mark.soak
@pytest.mark.parametrize("ground", GROUNDS, ids=str)
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwriting"])
def test_ten_killed_saves_leave_nothing_or_all(ground: Ground, overwrite: bool) -> None:
    left = prove(ground, moments=10, size=64 * MEGABYTE, overwrite=overwrite)
    kind = "overwriting" if overwrite else "new"
    print(f"\nkill -9 | {ground} | {kind} | 10 moments x 64 MB | left: {dict(left)}")
