"""A site as in production: nothing is missing, nothing is left, nothing grows."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack

import pytest

from tests.soak.production.gauges import Gauges
from tests.soak.production.mishaps import Mishaps
from tests.soak.production.sites import Leftovers, Site
from tests.soak.production.traffic import Fault, Record, Visitors, seed

pytestmark = [pytest.mark.once, pytest.mark.soak]

#: SOAK_SECONDS=… takes another time, SOAK_SEED=… makes the same choices again
SECONDS = float(os.environ.get("SOAK_SECONDS", "360"))
GRACEFUL = (signal.SIGTERM, signal.SIGINT)
SUDDEN = (signal.SIGKILL, signal.SIGHUP)


def orderly(site: Site, mishaps: Mishaps, seconds: float) -> None:
    """Restart both servers, replace credentials; end workers gracefully all the time."""
    start = time.monotonic()
    # a child of Celery's pool has no handler for TERM: it is killed by that
    servers = [site.gunicorn, site.uvicorn]

    def signals_until(share: float) -> None:
        mishaps.send_until(start + share * seconds, GRACEFUL, servers, every=4)

    signals_until(0.15)
    mishaps.restart(site.s3)
    signals_until(0.35)
    mishaps.restart(site.ssh)
    signals_until(0.55)
    mishaps.replace_credentials()
    signals_until(1)


def sudden(site: Site, mishaps: Mishaps, seconds: float) -> None:
    """Kill workers; then let them be, for the last third."""
    start = time.monotonic()
    mishaps.send_until(start + seconds * 0.6, SUDDEN, site.processes, every=3)
    time.sleep(max(0.0, start + seconds - time.monotonic()))


def tell(title: str, found: Leftovers, record: Record, unexcused: list[Fault]) -> None:
    print(f"\n  {title}")
    for kind, count in found.counts.items():
        print(f"    {kind:20} {count:6}")
    print(f"    {'faults, excused':20} {len(record.faults) - len(unexcused):6}")
    print(f"    {'errors':20} {len(unexcused):6}")
    left = [*found.audit.missing, *found.audit.wrong, *found.audit.orphans]
    for line in [*left, *found.multipart_uploads, *found.part_files][:40]:
        print(f"      {line}")
    for fault in unexcused[:20]:
        print(f"      {fault.what}")


def grew(gauges: Gauges) -> list[str]:
    """Print what the processes have; return what grew from generation to generation."""
    print(f"\n    {'':18} {'number':>6} {'MB':>15} {'descriptors':>13} {'threads':>11}")
    found = []
    for label, number, first, last in gauges.table():
        print(
            f"    {label:18} {number:6} {first.memory:6.0f} -> {last.memory:5.0f} "
            f"{first.descriptors:5} -> {last.descriptors:4} {first.threads:4} -> {last.threads:3}"
        )
        if peaks := gauges.generations(label):
            print(f"    {'':18} descriptors {' '.join(str(one.descriptors) for one in peaks)}")
        if last.memory > first.memory * 1.25 + 10:
            found.append(f"{label}: memory")
        if last.descriptors > first.descriptors * 1.25 + 4:
            found.append(f"{label}: descriptors")
        if last.threads > first.threads * 1.25 + 2:
            found.append(f"{label}: threads")
    return found


@pytest.mark.timeout(SECONDS * 3 + 600)
def test_a_site_in_production() -> None:
    chosen = seed()
    print(f"\nproduction | SOAK_SEED={chosen} | {SECONDS:.0f} s")
    with ExitStack() as stack:
        site = stack.enter_context(Site())
        gauges = stack.enter_context(Gauges(site.processes))
        mishaps = Mishaps(site, chosen)
        with Visitors(site, chosen) as first:
            orderly(site, mishaps, SECONDS * 0.6)
        found = site.audit()
        errors = [fault for fault in first.record.faults if not mishaps.excuses(fault)]
        tell("after restarts, new credentials, TERM and INT", found, first.record, errors)
        assert found.audit.missing == found.audit.wrong == []
        assert errors == []

        with Visitors(site, f"{chosen}-sudden") as second:
            sudden(site, mishaps, SECONDS * 0.4)
        killed = site.audit()
        later = [fault for fault in second.record.faults if not mishaps.excuses(fault)]
        tell("after KILL and HUP to workers", killed, second.record, later)
        swept = {alias: counts["deleted"] for alias, counts in site.sweep().items()}
        rest = site.audit()
        tell(f"after sweep_files --delete, which deleted {swept}", rest, second.record, later)
        outcomes = first.record.outcomes + second.record.outcomes
        print(f"\n    outcomes: {dict(sorted(outcomes.items()))}")
        print(f"    mishaps: {dict(sorted(mishaps.done.items()))}")
        growth = grew(gauges)
    assert killed.audit.missing == killed.audit.wrong == rest.audit.orphans == growth == []
    assert later == []
    unfinished = [*found.multipart_uploads, *found.part_files]
    assert [left for left in unfinished if not mishaps.explains(left)] == []
    assert found.unlogged == []
