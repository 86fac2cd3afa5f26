"""sweep_files: memory stays flat, whatever the number of names and rows."""

from __future__ import annotations

import sys

import pytest

from tests.helpers.audit import summary
from tests.soak import memory, sweeping

pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.django_db(databases=["default", "other"]),
]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat() -> None:
    prove(20_000, 40)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat_for_a_million_names_and_rows() -> None:
    swept = prove(1_000_000, 75)
    print(
        f"\nsweep | 1,000,000 names, 1,000,000 rows | {swept.seconds:.0f} s, peak "
        f"{swept.peak / memory.MEGABYTE:.0f} MB, {swept.above / memory.MEGABYTE:.0f} MB above idle"
    )
    assert swept.peak < 150 * memory.MEGABYTE
    assert swept.seconds < 900


def prove(count: int, megabytes: int) -> sweeping.Took:
    took = sweeping.command(count, "sweep_files", "--json", "--missing", "--delete")
    expected = {
        "objects": count,
        "orphans": sweeping.ODD,
        "deleted": sweeping.ODD,
        "missing_rows": sweeping.ODD,
    }
    assert expected.items() <= summary(took.printed).items()
    assert took.above < megabytes * memory.MEGABYTE
    return took
