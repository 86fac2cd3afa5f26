"""migrate_files of a million rows: planned and enqueued in a minute."""

from __future__ import annotations

import pytest

from tests.soak import machine_jobs
from tests.soak.machines import DatabaseSite


@pytest.mark.soak
def test_a_million_rows_are_planned_and_enqueued_in_a_minute() -> None:
    command = ("migrate_files", "library.Paper", "--from", "default", "--to", "far")
    with DatabaseSite() as site:
        ways = (("--dry-run",), ("--status",), ("--enqueue", "--queue", site.name))
        for rows in (1_000, 999_000):
            site.call(machine_jobs.describe, rows)
            # the first time packages are imported: that is not what rows take
            found = [site.call(machine_jobs.measured, *command, *options) for options in ways]
        for options, (_, seconds, peak) in zip(ways, found, strict=True):
            print(f"\n1,000,000 rows | {options[0]} | {seconds:.1f} s, {peak:.1f} MB above idle")
            assert seconds < 60
            assert peak < 5
        assert " 1000 shards enqueued" in found[-1][0]
        ((tasks,),) = site.ask("SELECT count(*) FROM django_tasks_database_dbtaskresult")
        assert tasks == 1 + 1000
