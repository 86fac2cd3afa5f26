"""Transactions that meet, networks that fail, processes that die: what rows hold is there."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Generator

import pytest
from django.db import connection

from tests.helpers.workers import Worker
from tests.soak.faults.site_workers import Report
from tests.soak.faults.sites import Audit, Site
from tests.soak.faults.weather import Climate

pytestmark = [pytest.mark.once, pytest.mark.slow]

#: FAULTS_SEED=… draws the same again; what threads make of it is another matter
SEED = os.environ.get("FAULTS_SEED") or os.urandom(4).hex()
#: seconds that transactions may take
LONG = 1800
ROUGH = Climate(untold=0.08, kept=0.08)


def tell(title: str, site: Site, audit: Audit, reports: list[Report]) -> None:
    """Print what happened, and all that a failure is to be found out from."""
    outcomes = sum((report.outcomes for report in reports), Counter[str]())
    seconds = sum(report.seconds for report in reports)
    faults = site.weather.faults + (site.line.faults if site.line else Counter())
    print(f"\nfaults | {title} | FAULTS_SEED={site.seed} | {seconds:.1f} s")
    print(f"  transactions: {dict(sorted(outcomes.items()))}")
    print(f"  faults: {dict(sorted(faults.items()))}; stored untold: {len(site.weather.untold)}")
    accounts = site.accounts(audit.orphans, reports)
    known = ", ".join(f"{who} {len(names)}" for who, names in accounts.items())
    print(f"  {audit} ({known})")
    for line in (*audit.missing, *audit.wrong, *accounts["nobody"]):
        print(f"    {line}")


def meet(title: str, site: Site, *, transactions: int, threads: int) -> Audit:
    """Do transactions in one process; nothing that a row holds may be missing then."""
    with site.worker() as worker:
        site.begin(worker, "w", threads=threads, transactions=transactions)
        report: Report = worker.result(LONG)
    audit = site.audit()
    tell(f"{title} | {transactions} transactions, {threads} threads", site, audit, [report])
    assert audit.missing == audit.wrong == []
    assert site.accounts(audit.orphans, [report])["nobody"] == []
    return audit


def prove(database: str, *, transactions: int, threads: int) -> None:
    """Let transactions meet over a network that fails on the way there."""
    with Site(database, SEED) as site:
        audit = meet(database, site, transactions=transactions, threads=threads)
        # unless the machine is too slow for the time limits
        assert site.weather.untold or audit.orphans == []


def prove_rough(database: str, *, transactions: int, threads: int) -> None:
    """Lose answers and fail deletions too: nothing is missing, and the sweep finds the rest."""
    with Site(database, SEED, ROUGH) as site:
        audit = meet(f"{database}, rough", site, transactions=transactions, threads=threads)
        sweep(site, audit.orphans)


def prove_lost(database: str, *, transactions: int, threads: int) -> None:
    """Break the database's connections at commits, some of which were made."""
    with Site(database, SEED, Climate(0, 0), losing=True) as site:
        audit = meet(f"{database}, lost commits", site, transactions=transactions, threads=threads)
        assert site.line is not None
        assert site.line.faults
        sweep(site, audit.orphans)


def prove_killed(database: str, *, kills: int, threads: int) -> None:
    """Kill a process at random points of its transactions, time and again."""
    moments = random.Random(SEED)
    left: list[int] = []
    with Site(database, SEED) as site, contextlib.closing(successors(site)) as supply:
        for number in range(kills):
            worker = next(supply)
            site.begin(worker, f"k{number}", threads=threads, transactions=1_000_000)
            time.sleep(moments.uniform(0.05, 1.5))
            worker.kill()
            audit = site.audit()
            left.append(len(audit.orphans))
            if audit.missing or audit.wrong or number + 1 == kills:
                tell(f"{database} | {number + 1} kills, {threads} threads", site, audit, [])
                print(f"  orphans after each: {left}")
            assert audit.missing == audit.wrong == []
        sweep(site, audit.orphans)


def sweep(site: Site, orphans: list[str]) -> None:
    """Have the command delete what no row holds: that, and nothing else, goes."""
    deleted, missing = site.sweep()
    audit = site.audit()
    print(f"  sweep_files: {deleted} deleted, {missing} missing; then {audit}")
    assert (deleted, missing) == (len(orphans), 0)
    assert audit.missing == audit.wrong == audit.orphans == []


def successors(site: Site) -> Generator[Worker, None, None]:
    """Yield a new worker each time, the next one already on its way."""
    following = site.worker()
    try:
        while True:
            current, following = following, site.worker()
            with current:
                yield current.ready()
    finally:
        following.kill()
        following.stop()


@pytest.fixture
def database() -> str:
    """The database that the suite runs on."""
    return {"mysql": "mariadb"}.get(connection.vendor, connection.vendor)


@pytest.fixture
def threads(database: str) -> int:
    """How many there are: SQLite knows one writer at a time."""
    return 1 if database == "sqlite" else 4


@pytest.mark.django_db
def test_transactions_that_meet_while_the_network_fails(database: str, threads: int) -> None:
    prove(database, transactions=40, threads=threads)


@pytest.mark.django_db
def test_answers_that_are_lost(database: str, threads: int) -> None:
    prove_rough(database, transactions=20, threads=threads)


@pytest.mark.django_db
def test_commits_that_are_lost(database: str, threads: int) -> None:
    if database == "sqlite":
        return  # there is no connection that could break
    prove_lost(database, transactions=40, threads=threads)


@pytest.mark.django_db
def test_a_process_killed_in_its_transactions(database: str, threads: int) -> None:
    prove_killed(database, kills=3, threads=threads)


HEAVY = pytest.mark.parametrize("heavy", ["postgresql", "mariadb"])


@pytest.mark.soak
@HEAVY
def test_500_transactions_of_8_threads(heavy: str) -> None:
    prove(heavy, transactions=500, threads=8)


@pytest.mark.soak
@HEAVY
def test_500_transactions_and_lost_answers(heavy: str) -> None:
    prove_rough(heavy, transactions=500, threads=8)


@pytest.mark.soak
@HEAVY
def test_500_transactions_and_lost_commits(heavy: str) -> None:
    prove_lost(heavy, transactions=500, threads=8)


@pytest.mark.soak
@HEAVY
def test_20_kills_of_4_threads(heavy: str) -> None:
    prove_killed(heavy, kills=20, threads=4)
