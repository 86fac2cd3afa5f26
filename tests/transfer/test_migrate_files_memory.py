"""migrate_files over many files, and large ones, in bounded memory."""

from __future__ import annotations

import sys

import pytest

from tests.soak.hauls import Bound, Load, haul

pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

#: megabytes of the whole process: apart from the code of libraries that it maps, and with that
BOUND = Bound(own=130, resident=150)


def test_files_of_all_sizes_go_to_s3_in_bounded_memory() -> None:
    for _ in haul([("local", "s3")], Load(small=200, large=2, large_size=40_000_000), BOUND):
        pass


@pytest.mark.soak
@pytest.mark.parametrize(
    "legs",
    [
        [("local", "s3"), ("s3", "local")],
        [("local", "s3"), ("s3", "gcs")],
        [("local", "azure"), ("azure", "sftp")],
    ],
    ids=["s3 and back", "s3 to gcs", "azure to sftp"],
)
def test_ten_thousand_files_and_twenty_large_ones(legs: list[tuple[str, str]]) -> None:
    for figures in haul(legs, Load(small=10_000, large=20), BOUND):
        print(f"\n{figures}")
