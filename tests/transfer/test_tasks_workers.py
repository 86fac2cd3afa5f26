"""migrate_files by real workers: killed, cut off, two on the same rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.helpers.backends import server
from tests.helpers.transfer_tasks import told
from tests.helpers.utils import started
from tests.soak import machine_jobs
from tests.soak.machines import DatabaseSite, Machine, RedisSite, Site, wait_for

pytestmark = pytest.mark.slow

SITES = {"db": DatabaseSite, "rq": RedisSite}
LATENCY = 0.04
#: files that a worker has in hand: copied or being copied, and not yet in their rows
IN_HAND = 3 * 5 + 2


def enqueued(site: Site, size: int, run: Path, *options: str) -> int:
    """Enqueue shards of `size` rows; return how many."""
    given = ("--shard-size", str(size), "--queue", site.name, "--run", str(run), *options)
    said = site.migrate("--enqueue", "--workers", "2", "--batch-size", "5", *given)
    return int(said.split(" shards enqueued")[0].split()[-1])


def status(site: Site, run: Path) -> str:
    return told(site.migrate("--status", "--run", str(run)))


def puts(*proxies: servers.CountingProxy) -> list[str]:
    """Return the files that were sent to S3."""
    requests = [one for proxy in proxies for one in proxy.requests()]
    return [one.path.rpartition("/")[2] for one in requests if one.method == "PUT"]


def in_the_middle(proxy: servers.CountingProxy, size: int) -> Callable[[], bool]:
    """Return what tells whether a worker, whose own proxy it is, is in the middle of a shard."""
    before = len(puts(proxy))
    return lambda: size * 6 // 10 <= (len(puts(proxy)) - before) % size <= size * 8 // 10


def prove(kind: str, run: Path, *, rows: int, size: int, kills: int) -> str:
    """Have two workers move `rows`; kill one in the middle of a shard, and the one in its place.

    Returns figures.
    """
    port = server(servers.SeaweedS3).port
    with ExitStack() as stack:
        site: Any = stack.enter_context(SITES[kind]())
        proxies = [
            stack.enter_context(started(servers.CountingProxy, port, latency=LATENCY))
            for _ in range(2)
        ]
        site.call(machine_jobs.seed, rows)
        steady = stack.enter_context(Machine(site, proxies[0].url))
        doomed = stack.enter_context(Machine(site, proxies[1].url))
        assert enqueued(site, size, run) == -(-rows // size)
        for more in reversed(range(kills)):
            wait_for(in_the_middle(proxies[1], size), doomed, steady)
            doomed.kill()
            if more:
                doomed.start()
        wait_for(lambda: len({(pk - 1) // size for pk in site.left()}) <= kills, steady)
        wait_for(lambda: f"running {kills} shards waiting 0" in status(site, run), steady)

        left = {name.rpartition("/")[2] for name in site.left().values()}
        assert 0 < len(left) < size * kills
        assert f"on default {len(left)} files" in status(site, run)
        sent = Counter(puts(*proxies))
        assert all(count == 1 for count in sent.values())
        lost = len(sent.keys() & left)
        assert len(sent) - lost == rows - len(left)
        assert lost <= IN_HAND * kills

        for proxy in proxies:
            proxy.reset()
        assert 1 <= enqueued(site, size, run) <= kills
        wait_for(lambda: not site.left(), steady)
        # nothing that was done is done again
        assert Counter(puts(*proxies)) == Counter(left)
        assert f"on default 0 files, 0 bytes on far {rows} files" in status(site, run)
        site.check()
    return f"{kind} | {rows} rows, {kills} killed | {len(left)} left by them, {lost} sent twice"


@pytest.mark.soak
@pytest.mark.parametrize("kind", SITES)
def test_a_killed_worker_costs_what_it_had_in_hand(kind: str, tmp_path: Path) -> None:
    prove(kind, tmp_path / "run.jsonl", rows=200, size=25, kills=1)


@pytest.mark.soak
@pytest.mark.parametrize("kind", SITES)
def test_three_killed_workers_cost_what_they_had_in_hand(kind: str, tmp_path: Path) -> None:
    print("\n" + prove(kind, tmp_path / "run.jsonl", rows=2000, size=100, kills=3))


@pytest.mark.soak
@pytest.mark.parametrize("kind", SITES)
def test_a_lost_connection_and_a_lost_file(kind: str, tmp_path: Path) -> None:
    run, port = tmp_path / "run.jsonl", server(servers.SeaweedS3).port
    with ExitStack() as stack:
        site: Any = stack.enter_context(SITES[kind]())
        way = started(servers.CountingProxy, port, latency=LATENCY)
        proxy = stack.enter_context(way)
        site.call(machine_jobs.seed, 60)
        site.call(machine_jobs.lose, 50)
        machine = stack.enter_context(Machine(site, proxy.url))
        enqueued(site, 20, run, "--retries", "2", "--retry-delay", "0.1")
        wait_for(in_the_middle(proxy, 20), machine)
        site.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        wait_for(lambda: "done 3 shards failed 0" in status(site, run), machine)
        said = status(site, run)
        assert "on default 1 file," in said
        assert "on far 59 files" in said
        assert said.endswith("failed 1")
        if kind == "db":
            attempts = site.ask("SELECT return_value FROM django_tasks_database_dbtaskresult")
            # the connection was made again; the lost file was tried for thrice
            assert not any("error" in value for (value,) in attempts)
            assert len(attempts) == 3 + 2


def test_two_workers_on_the_same_rows(tmp_path: Path) -> None:
    run, port = tmp_path / "run.jsonl", server(servers.SeaweedS3).port
    with ExitStack() as stack:
        site = stack.enter_context(DatabaseSite())
        way = started(servers.CountingProxy, port, latency=LATENCY)
        proxy = stack.enter_context(way)
        machines = [stack.enter_context(Machine(site, proxy.url)) for _ in range(2)]
        site.call(machine_jobs.seed, 60)
        for _ in machines:
            enqueued(site, 60, run, "--delete-source", "--retry-delay", "0.1")
        wait_for(lambda: not site.left(), *machines)
        wait_for(lambda: "done 1 shards" in status(site, run), *machines)
        assert status(site, run).endswith("failed 0")
        site.check()
