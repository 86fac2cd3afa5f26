"""A prefix that a callable tells: tenants never see each other's files."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.files.base import ContentFile
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from django_fsspec import FileObject, save_files
from django_fsspec.objects import existence
from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.storage.locations import place_of
from django_fsspec.testing import override_storage
from tests.helpers.tenants import ONE, TWO, listed, options_of, serving


def test_each_tenant_has_a_folder(storage: FSSpecStorage) -> None:
    for tenant in (ONE, TWO):
        with serving(tenant):
            assert not storage.exists("a.txt")
            assert storage.save("a.txt", ContentFile(tenant.encode())) == "a.txt"
            assert storage.store("b.txt", tenant.encode()).name == "b.txt"
    for tenant in (ONE, TWO):
        with serving(tenant):
            assert storage.get_content("a.txt") == tenant.encode()
            assert b"".join(storage.stream("b.txt")) == tenant.encode()
            assert sorted(storage.listdir("")[1]) == ["a.txt", "b.txt"]
            with storage.open("a.txt") as file:
                assert file.read() == tenant.encode()
    with serving(TWO):
        storage.delete_many(["a.txt", "b.txt"])
    assert (listed(ONE), listed(TWO)) == (["a.txt", "b.txt"], [])


# every way to do something of one tenant while others are served


def _sync(storage: FSSpecStorage, tenant: str, name: str) -> bytes:
    with serving(tenant):
        stored = storage.save(name, ContentFile(tenant.encode()))
        assert storage.size(stored) == len(tenant)
        return storage.get_content(stored)


async def _async(storage: FSSpecStorage, tenant: str, name: str) -> bytes:
    with serving(tenant):
        stored = await storage.asave(name, ContentFile(tenant.encode()))
        await asyncio.sleep(0)
        return b"".join([piece async for piece in storage.astream(stored)])


def _to_async(storage: FSSpecStorage, tenant: str, name: str) -> bytes:
    return bytes(async_to_sync(_async)(storage, tenant, name))


async def _to_sync(storage: FSSpecStorage, tenant: str, name: str) -> bytes:
    def read() -> bytes:
        return storage.get_content(storage.save(name, ContentFile(tenant.encode())))

    with serving(tenant):
        return bytes(await sync_to_async(read, thread_sensitive=False)())


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_threads_and_tasks_at_once(kind: str) -> None:
    everybody = [f"tenant-{number}" for number in range(4)]
    with override_storage(default=options_of(kind)):
        storage = get_storage("default")

        async def tasks() -> list[bytes]:
            works = (_async, _to_sync)
            jobs = [
                works[turn % 2](storage, tenant, f"async-{turn}.txt")
                for turn in range(4)
                for tenant in everybody
            ]
            return await asyncio.gather(*jobs)

        with ThreadPoolExecutor(8) as pool:
            jobs = [
                pool.submit((_sync, _to_async)[turn % 2], storage, tenant, f"sync-{turn}.txt")
                for turn in range(4)
                for tenant in everybody
            ]
            answers = asyncio.run(tasks())
            assert [job.result() for job in jobs] == [t.encode() for t in everybody * 4]
        assert answers == [tenant.encode() for tenant in everybody * 4]
        for tenant in everybody:
            assert len(listed(tenant)) == 8
            with serving(tenant):
                contents = {storage.get_content(name) for name in listed(tenant)}
            assert contents == {tenant.encode()}


STEPS = st.lists(
    st.tuples(
        st.sampled_from([ONE, TWO, "third"]),
        st.sampled_from(["save", "delete", "read", "list", "copy", "open", "stream"]),
        st.sampled_from(["a.txt", "b.txt", "in/a.txt"]),
    ),
    max_size=20,
)


@bounds(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_any_turns_of_tenants(steps: list[tuple[str, str, str]]) -> None:
    options = options_of("memory", allow_overwrite=True)
    with override_storage(default=options):
        storage = get_storage("default")
        files: dict[str, dict[str, bytes]] = {ONE: {}, TWO: {}, "third": {}}
        opened: list[tuple[Any, bytes]] = []
        for number, (tenant, step, name) in enumerate(steps):
            own, data = files[tenant], f"{tenant} {number}".encode()
            with serving(tenant):
                if step == "save":
                    own[storage.save(name, ContentFile(data))] = data
                elif step == "delete":
                    storage.delete(name)
                    own.pop(name, None)
                elif step == "list":
                    assert sorted(stat.name for stat in storage.walk()) == sorted(own)
                elif name not in own:
                    assert not storage.exists(name)
                elif step == "copy":
                    own[storage.copy(name, "copy.txt")] = own[name]
                elif step == "read":
                    assert storage.get_content(name) == own[name]
                else:
                    stream = storage.open(name) if step == "open" else storage.stream(name)
                    opened.append((stream, own[name]))
            with serving(random.choice([ONE, TWO, "nobody"])):
                # begun for a tenant, read while another is served
                for stream, expected in opened:
                    left = stream.read() if hasattr(stream, "read") else b"".join(stream)
                    assert left in (expected, b"") or not hasattr(stream, "read")
                opened.clear()


def test_files_saved_side_by_side(storage: FSSpecStorage) -> None:
    def save(tenant: str) -> None:
        with serving(tenant):
            save_files([FileObject("default", f"{n}.txt", content=b"x") for n in range(5)])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(save, (ONE, TWO)))
    assert listed(ONE) == listed(TWO) == [f"{n}.txt" for n in range(5)]
    refs = [("default", f"{n}.txt") for n in range(6)]
    with serving(TWO):
        storage.delete("3.txt")
        assert [name for _, name in existence.missing(refs)] == ["3.txt", "5.txt"]
    with serving(ONE):
        assert [name for _, name in existence.missing(refs)] == ["5.txt"]


# a callable that looks at something that other threads do not have

_thread = threading.local()


def of_thread() -> str:
    return str(_thread.tenant)


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_a_prefix_by_thread(kind: str) -> None:
    with override_storage(default={**options_of(kind), "prefix": of_thread}):
        storage = get_storage("default")
        _thread.tenant = ONE
        save_files([FileObject("default", f"{n}.txt", content=b"x") for n in range(3)])
        assert len(list(storage.walk())) == 3
        asyncio.run(storage.asave("async.txt", ContentFile(b"x")))
        _thread.tenant = TWO
        assert list(storage.walk()) == []


def test_places_are_those_of_one_tenant(memory: FSSpecStorage) -> None:
    with serving(ONE):
        here = place_of(memory)
    with serving(TWO):
        there = place_of(memory)
    assert here is not None
    assert there is not None
    assert here.route_to(there) is None
    assert here.is_apart_from(there)


def test_clients_are_shared(storage: FSSpecStorage) -> None:
    with serving(ONE):
        one = storage.flows
    with serving(TWO):
        two = storage.flows
    assert one is not two
    assert one.adapter is two.adapter
    with serving(ONE):
        assert storage.flows is one
