"""migrate_files interrupted, killed, and on a site that is in use."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests import servers
from tests.helpers.backends import server
from tests.helpers.utils import started
from tests.soak import machine_jobs
from tests.soak.machines import Site
from tests.soak.moves import (
    FoldingSite,
    Moving,
    churned,
    fold_and_kill,
    kill_and_repeat,
    puts,
    wait_for_puts,
)

pytestmark = [pytest.mark.once, pytest.mark.slow]

BATCHES = ("--workers", "4", "--batch-size", "10")


@pytest.fixture(scope="module")
def one_site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def site(one_site: Site) -> Site:
    one_site.empty()
    return one_site


@pytest.fixture
def way() -> Iterator[servers.CountingProxy]:
    """A slow way to S3, which counts."""
    with started(servers.CountingProxy, server(servers.SeaweedS3).port, latency=0.03) as proxy:
        yield proxy


def test_an_interrupt_finishes_what_is_copied_and_a_second_one_cuts_it_off(
    site: Site, way: servers.CountingProxy
) -> None:
    site.call(machine_jobs.seed, 80)
    moving = Moving(site, "--workers", "2", "--batch-size", "5", far=way.url)
    wait_for_puts(way, 10, moving)
    moving.send_signal(signal.SIGINT)
    status, said = moving.ended()
    assert status == 130
    assert "Interrupted; copies in progress were finished." in said
    sent, left = len(puts(way)), len(site.left())
    assert 10 <= sent < 70
    assert sent + left == 80

    moving = Moving(site, "--workers", "2", "--batch-size", "5", far=way.url)
    wait_for_puts(way, sent + 4, moving)
    way.shape(latency=600)
    moving.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert moving.poll() is None
    moving.send_signal(signal.SIGINT)
    status, said = moving.ended(timeout=10)
    assert status == 130
    assert "Aborted; every row is intact." in said
    assert "Traceback" not in said

    way.shape(latency=0)
    assert Moving(site, far=way.url).ended()[0] == 0
    site.check()


def test_a_killed_run_is_taken_up_where_it_was(site: Site, way: servers.CountingProxy) -> None:
    site.call(machine_jobs.seed, 60)
    kill_and_repeat(site, way, random.randrange(5, 50), random.random() / 10, *BATCHES)


@pytest.mark.soak
def test_a_lost_database_and_a_dead_backend_cost_what_was_in_hand(
    site: Site, way: servers.CountingProxy
) -> None:
    site.call(machine_jobs.seed, 200)
    moving = Moving(site, *BATCHES, far=way.url)
    wait_for_puts(way, 30, moving)
    site.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND datname = current_database()"
    )
    wait_for_puts(way, 100, moving)
    way.set_down(True)
    status, said = moving.ended()
    assert status == 1, said
    assert "database" not in said
    failed = int(said.split("  failed")[1].split()[0])
    assert 0 < failed == len(site.left()) <= 100 + 4

    way.set_down(False)
    way.reset()
    assert Moving(site, *BATCHES, far=way.url).ended()[0] == 0
    assert len(puts(way)) == failed
    site.check()


@pytest.mark.soak
@pytest.mark.parametrize("number", range(20))
def test_twenty_killed_runs_are_taken_up_where_they_were(
    site: Site, way: servers.CountingProxy, number: int
) -> None:
    site.call(machine_jobs.seed, 400)
    after, pause = random.randrange(400), random.random() / 10
    left, twice = kill_and_repeat(site, way, after, pause, *BATCHES)
    # a batch on its way into the rows, one that waits for that, and what is being copied
    assert twice <= 3 * 10 + 4
    print(f"\nkill {number + 1} after {after} of 400 | {left} left, {twice} of them sent twice")


def test_a_site_in_use_is_moved(site: Site) -> None:
    site.call(machine_jobs.seed, 80)
    churned(site, 2, "--delete-source", "--workers", "4", "--batch-size", "20")


@pytest.mark.soak
@pytest.mark.parametrize("options", [(), ("--delete-source",)], ids=["keeping", "deleting"])
def test_two_thousand_rows_are_moved_while_four_processes_write(
    site: Site, options: tuple[str, ...]
) -> None:
    site.call(machine_jobs.seed, 2000)
    print("\n" + churned(site, 4, *options))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_names_that_the_target_takes_for_one_stay_two_files() -> None:
    with FoldingSite() as site:
        print("\n" + fold_and_kill(site, 60, 3, *BATCHES))
