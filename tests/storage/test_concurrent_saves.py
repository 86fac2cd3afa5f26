"""Many processes save one name at once: each save has its own name and its own intact bytes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from tests.helpers.utils import some
from tests.helpers.workers import Worker, crew, results, starting_gun
from tests.soak import grounds, jobs
from tests.soak.grounds import Ground

pytestmark = [pytest.mark.once, pytest.mark.slow]

GROUNDS = [
    grounds.LOCAL,
    grounds.SEAWEED,
    grounds.MOTO,
    grounds.AZURE,
    grounds.GCS,
    grounds.SFTP,
    grounds.PARAMIKO,
    grounds.FTP,
    grounds.WEBDAV,
]
SIZE = 20_000
MULTIPART = 6_000_000


class Outcome(NamedTuple):
    saves: int
    seconds: float
    #: rounds in which the wanted name was won by another worker than in the round before
    changes_of_winner: int


def race(workers: Sequence[Worker], ground: Ground, *, rounds: int, size: int = SIZE) -> Outcome:
    """Run the races and check what they left behind; return what happened."""
    base = grounds.folder("race")
    options = {**ground.options(base), "chunk_size": 5 * 1024 * 1024}
    folder_of = [f"{turn:03}" for turn in range(rounds)]
    winners: list[int] = []
    start = time.monotonic()
    for worker in workers:
        worker.send(jobs.warm_up, options)
    results(workers)
    for folder in folder_of:
        moment = starting_gun()
        for number, worker in enumerate(workers):
            worker.send(
                jobs.save, options, f"{folder}/same.bin", f"{folder}/{number}", size, moment
            )
        names = results(workers)
        check(ground, base, folder, names, size)
        winners.append(names.index(f"{folder}/same.bin"))
    changes = sum(a != b for a, b in itertools.pairwise(winners))
    return Outcome(len(workers) * rounds, time.monotonic() - start, changes)


def check(ground: Ground, base: str, folder: str, names: list[str], size: int) -> None:
    """Check one round: by another client than ours, every save is there, once, and whole."""
    assert len(set(names)) == len(names), f"two saves were given one name: {sorted(names)}"
    stored = ground.files(f"{base}/{folder}")
    assert set(stored) == {name.removeprefix(f"{folder}/") for name in names}
    for number, name in enumerate(names):
        data = stored[name.removeprefix(f"{folder}/")]
        assert data == jobs.unique_bytes(f"{folder}/{number}", size), f"{name} was overwritten"


@pytest.fixture(scope="module")
def six() -> Iterator[Sequence[Worker]]:
    with crew(6) as workers:
        yield workers


@pytest.fixture(scope="module")
def sixteen() -> Iterator[Sequence[Worker]]:
    with crew(16) as workers:
        yield workers


# a link, a conditional PUT, a rename that replaces nothing, a lock
@pytest.mark.parametrize(
    "ground",
    some(GROUNDS, grounds.LOCAL, grounds.SEAWEED, grounds.SFTP, grounds.FTP),
    ids=str,
)
def test_every_save_has_its_own_name_and_bytes(ground: Ground, six: Sequence[Worker]) -> None:
    race(six, ground, rounds=2)


def test_large_saves_have_their_own_names_and_bytes(six: Sequence[Worker]) -> None:
    # of the servers here, only localbucket completes multipart uploads atomically, as AWS does
    race(six[:3], grounds.LOCALBUCKET, rounds=2, size=MULTIPART)


@pytest.mark.soak
@pytest.mark.parametrize("ground", GROUNDS, ids=str)
def test_sixteen_processes_save_one_name(ground: Ground, sixteen: Sequence[Worker]) -> None:
    rounds = 20 if ground.slow else 50
    report(ground, rounds, race(sixteen, ground, rounds=rounds))


@pytest.mark.soak
def test_sixteen_processes_save_one_large_name(sixteen: Sequence[Worker]) -> None:
    report(grounds.LOCALBUCKET, 5, race(sixteen, grounds.LOCALBUCKET, rounds=5, size=MULTIPART))


def report(ground: Ground, rounds: int, outcome: Outcome) -> None:
    print(
        f"\nraces | {ground} | {outcome.saves // rounds} processes x {rounds} rounds | "
        f"{outcome.saves} saves under as many names, all intact | "
        f"another winner {outcome.changes_of_winner} times | {outcome.seconds:.1f} s"
    )
