"""Memory stays bounded while large files are saved and read through S3, sync and async."""

from __future__ import annotations

import sys

import pytest

from tests import servers
from tests.helpers.backends import server
from tests.helpers.workers import Worker
from tests.soak import grounds, memory

pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

BOUND = 100 * memory.MEGABYTE


def prove(way: str, size: int) -> memory.Peak:
    """Move `size` bytes in a fresh process; return its peak above idle."""
    s3 = server(servers.SeaweedS3)
    options = grounds.s3_options(s3, grounds.folder("memory"))
    seeded = None
    if way not in memory.WRITES:
        # by another process: what writing left behind would count as idle
        with Worker() as writer:
            seeded = writer.call(memory.measure, options, "save", size)
    with Worker() as worker:
        worker.send(memory.measure, options, way, size)
        peak: memory.Peak = worker.result(timeout=600)
    client = s3.boto3_client()
    key = f"{options['prefix'].partition('/')[2]}/big.bin"
    assert client.head_object(Bucket=s3.bucket, Key=key)["ContentLength"] == size
    client.delete_object(Bucket=s3.bucket, Key=key)
    client.close()
    assert peak.moved == size
    if seeded is not None:
        assert peak.digest == seeded.digest
    assert peak.above < BOUND, f"{way} took {peak.above / memory.MEGABYTE:.0f} MB above idle"
    return peak


@pytest.mark.parametrize("way", ["save", "asave", "open, read", "astream"])
def test_memory_is_bounded(way: str) -> None:
    prove(way, 96 * memory.MEGABYTE)


@pytest.mark.soak
@pytest.mark.parametrize("way", memory.WAYS)
def test_memory_is_bounded_for_a_gigabyte(way: str) -> None:
    peak = prove(way, 1000 * memory.MEGABYTE)
    print(f"\nmemory | {way} | 1 GB through S3 | {peak.above / memory.MEGABYTE:.1f} MB above idle")
