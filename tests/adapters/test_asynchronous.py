"""A hundred reads on one event loop overlap, and take no threads; a cancelled save is undone."""

from __future__ import annotations

import asyncio

import pytest
from django.core.files.base import ContentFile

from django_fsspec.adapters import cancellation
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.utils import started
from tests.soak import grounds, overlap
from tests.soak.faults.message import Message
from tests.soak.faults.scripted import Fate, Scripted


def prove() -> overlap.Overlap:
    s3 = server(servers.SeaweedS3)
    with started(servers.CountingProxy, s3.port, latency=overlap.LATENCY) as proxy:
        seen = overlap.measure(s3, proxy)
    assert seen.requests == seen.reads
    assert seen.connections >= seen.reads // 2
    assert seen.threads < 5
    return seen


@pytest.mark.slow
def test_a_hundred_reads_overlap_without_threads() -> None:
    prove()


@pytest.mark.soak
def test_a_hundred_reads_take_less_than_a_second() -> None:
    seen = min((prove() for _ in range(3)), key=lambda seen: seen.seconds)
    print(
        f"\noverlap | {seen.reads} x 100 kB at 50 ms | {seen.seconds:.2f} s | "
        f"{seen.connections} connections at once | {seen.threads} threads more"
    )
    assert seen.seconds < 1


async def save_and_cancel(storage: FSSpecStorage, way: Scripted, fates: dict[str, Fate]) -> None:
    """Cancel a save when its PUT is on the way; wait for what goes on in the background."""
    loop = asyncio.get_running_loop()
    saving = asyncio.ensure_future(storage.asave("a.txt", ContentFile(b"a")))

    def fate(request: Message) -> Fate:
        if request.method == "PUT":
            loop.call_soon_threadsafe(saving.cancel)
        return fates.get(request.method)

    way.fate = fate
    with pytest.raises(asyncio.CancelledError):
        await saving
    if ending := set(cancellation._ending):
        await asyncio.wait(ending)


@pytest.mark.parametrize(
    ("fates", "is_left", "is_logged"),
    [
        ({}, False, False),
        ({"DELETE": (403, "AccessDenied")}, True, True),
        ({"PUT": "lost", "HEAD": (503, "SlowDown")}, True, True),
        ({"PUT": (403, "AccessDenied")}, False, False),
    ],
    ids=["undone", "not deleted", "no answer", "refused"],
)
def test_a_cancelled_save_is_undone_or_logged(
    fates: dict[str, Fate],
    *,
    is_left: bool,
    is_logged: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    s3, where = server(servers.SeaweedS3), folder()
    with Scripted(s3.port) as way:
        options = grounds.s3_options(s3, where, way.url)
        storage = FSSpecStorage(**options, timeout=10, retries=0)
        loop = storage.flows.adapter.loop
        assert loop is not None
        asyncio.run_coroutine_threadsafe(save_and_cancel(storage, way, fates), loop).result(60)
    assert (f"{where}/a.txt" in caplog.text) == is_logged
    assert bool(grounds.s3_files(s3, where)) == is_left
