"""migrate_files interrupted, killed, and on a site that is in use."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.soak import machine_jobs
from tests.soak.machines import Site
from tests.soak.moves import Moving, a_site, churned, kill_and_repeat, puts, wait_for_puts

BATCHES = ("--workers", "4", "--batch-size", "10")


def test_an_interrupt_finishes_what_is_copied_and_a_second_one_cuts_it_off() -> None:
    with a_site(60, 0.05) as (site, proxy):
        moving = Moving(site, "--workers", "2", "--batch-size", "5", far=proxy.url)
        wait_for_puts(proxy, 10, moving)
        moving.send_signal(signal.SIGINT)
        status, said = moving.ended()
        assert status == 130
        assert "Interrupted: what was begun is done." in said
        sent, left = len(puts(proxy)), len(site.left())
        assert 10 <= sent < 40
        assert sent + left == 60

        moving = Moving(site, "--workers", "2", "--batch-size", "5", far=proxy.url)
        wait_for_puts(proxy, sent + 4, moving)
        proxy.shape(latency=600)
        moving.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert moving.poll() is None
        moving.send_signal(signal.SIGINT)
        status, said = moving.ended(timeout=10)
        assert status == 130
        assert "Cut off" in said
        assert "Traceback" not in said

        proxy.shape(latency=0)
        assert Moving(site, far=proxy.url).ended()[0] == 0
        site.check()


def test_a_killed_run_is_taken_up_where_it_was() -> None:
    with a_site(60, 0.03) as (site, proxy):
        kill_and_repeat(site, proxy, random.randrange(5, 50), random.random() / 10, *BATCHES)


@pytest.mark.soak
def test_twenty_killed_runs_are_taken_up_where_they_were() -> None:
    for number in range(20):
        with a_site(400, 0.02) as (site, proxy):
            after, pause = random.randrange(400), random.random() / 10
            left, twice = kill_and_repeat(site, proxy, after, pause, *BATCHES)
            assert twice <= 3 * 10 + 4
        print(f"\nkill {number + 1} after {after} files | {left} left, {twice} of them sent twice")


def test_a_site_in_use_is_moved() -> None:
    with Site() as site:
        site.call(machine_jobs.seed, 150)
        churned(site, 2, "--delete-source", "--workers", "4", "--batch-size", "20")


@pytest.mark.soak
@pytest.mark.parametrize("options", [(), ("--delete-source",)], ids=["keeping", "deleting"])
def test_two_thousand_rows_are_moved_while_four_processes_write(options: tuple[str, ...]) -> None:
    for _ in range(5):
        with Site() as site:
            site.call(machine_jobs.seed, 2000)
            print("\n" + churned(site, 4, *options))
