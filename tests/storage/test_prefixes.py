"""A prefix that a callable tells: tenants never see each other's files."""

from __future__ import annotations

import asyncio
import contextvars
import random
import secrets
import threading
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import HttpResponse
from django.test import AsyncRequestFactory, Client, RequestFactory, override_settings
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from django_fsspec import FileObject, save_files
from django_fsspec.checks.doctor import Doctor
from django_fsspec.objects import existence
from django_fsspec.responses import afile_response, file_response
from django_fsspec.staticfiles import FSSpecStaticStorage
from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.storage.locations import place_of
from django_fsspec.storage.prefixes import bound
from django_fsspec.storage.signing import Grant, signed_url
from django_fsspec.testing import override_storage
from tests.helpers import tenants
from tests.helpers.debug_pages import debug_page
from tests.helpers.tenants import ONE, TELL, TWO, listed, options_of, serving

KINDS = ["memory", "local", "s3", "cache"]


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest) -> Iterator[FSSpecStorage]:
    with override_storage(default=options_of(request.param)):
        yield get_storage("default")


@pytest.fixture
def memory() -> Iterator[FSSpecStorage]:
    with override_storage(default=options_of("memory")):
        yield get_storage("default")


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


def test_what_is_begun_stays_with_its_tenant(storage: FSSpecStorage) -> None:
    with serving(ONE):
        storage.save("a.txt", ContentFile(b"one" * 1000))
        stream, walk, reading = storage.stream("a.txt"), storage.walk(), storage.open("a.txt")
        astream, writing = storage.astream("a.txt"), storage.open("b.txt", "wb")
        pinned = storage.pinned()
    with serving(TWO):
        storage.save("a.txt", ContentFile(b"two"))
        assert b"".join(stream) == b"one" * 1000
        assert [stat.size for stat in walk] == [3000]
        assert reading.read(3) == b"one"
        assert pinned.get_content("a.txt", 0, 3) == b"one"
        assert pinned.alias == "default"

        async def read() -> bytes:
            return b"".join([piece async for piece in astream])

        assert asyncio.run(read()) == b"one" * 1000
        writing.write(b"of one")
        writing.close()
        reading.close()
    # nobody is served here
    assert pinned.get_content("b.txt") == b"of one"
    assert (listed(ONE), listed(TWO)) == (["a.txt", "b.txt"], ["a.txt"])


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


OURS, BOTH = "django_fsspec.storage.FSSpecStorage", "django_fsspec.readthrough.ReadThroughStorage"


@pytest.fixture(params=["memory", "s3", "read through"])
def alias(request: pytest.FixtureRequest) -> Iterator[str]:
    kind = "memory" if request.param == "read through" else request.param
    new, old = ({"BACKEND": OURS, "OPTIONS": options_of(kind)} for _ in range(2))
    both = {"BACKEND": BOTH, "OPTIONS": {"primary": "default", "fallback": "old"}}
    with override_settings(
        STORAGES={**settings.STORAGES, "default": new, "old": old, "both": both}
    ):
        yield "both" if request.param == "read through" else "default"


@pytest.mark.django_db
def test_what_a_file_began_stays_with_its_tenant(alias: str) -> None:
    for tenant in (ONE, TWO):
        with serving(tenant):
            storages["default"].save("a.txt", ContentFile(tenant.encode()))
    with serving(ONE):
        file = FileObject(alias, "a.txt")
        pieces = [file.chunks(), FileObject(alias, "a.txt").stream()]
        pieces_of_async = [FileObject(alias, "a.txt").achunks(), file.astream()]
        response: Any = file_response(RequestFactory().get("/"), "a.txt", backend=alias)
    with serving(TWO):
        assert [b"".join(each) for each in pieces] == [ONE.encode()] * 2
        assert b"".join(response) == ONE.encode()

        async def read(pieces: Any) -> bytes:
            return b"".join([piece async for piece in pieces])

        assert [asyncio.run(read(each)) for each in pieces_of_async] == [ONE.encode()] * 2
    response.close()


def test_content_is_read_for_its_tenant(storage: FSSpecStorage) -> None:
    for tenant in (ONE, TWO):
        with serving(tenant):
            storage.save("a.txt", ContentFile(tenant.encode()))

    def content() -> Iterator[bytes]:
        # more than one part of an upload in parts
        yield bytes(storage.options.chunk_size + 1)
        yield storage.get_content("a.txt")

    with serving(ONE):
        storage.store("b.bin", content())
        assert storage.get_content("b.bin", -4) == ONE.encode()


def test_each_step_of_check_storages_is_for_the_tenant() -> None:
    with override_storage(default=options_of("s3")), serving(ONE):
        problems = [step.problem for step in Doctor(get_storage("default")).examine()]
        assert not any(problems)
    assert listed(ONE) == []


def test_a_file_that_is_closed_elsewhere_has_its_own_size(alias: str) -> None:
    with serving(TWO):
        storages["default"].save("a.txt", ContentFile(b"bolt"))
    with serving(ONE):
        file = FileObject(alias, "a.txt").open("wb")
    with serving(TWO):
        file.write(b"longer")
        file.close()
    assert file.size == 6
    assert (listed(ONE), listed(TWO)) == (["a.txt"], ["a.txt"])


def test_two_storages_as_one_remember_what_moved_of_each_tenant() -> None:
    config: dict[str, Any] = {
        alias: {
            "BACKEND": OURS,
            "OPTIONS": options_of("memory", base_url=f"https://{alias}.example/"),
        }
        for alias in ("new", "old")
    }
    both = {"BACKEND": BOTH, "OPTIONS": {"primary": "new", "fallback": "old"}}
    with override_settings(STORAGES={**settings.STORAGES, **config, "default": both}):
        for tenant, alias in ((ONE, "new"), (TWO, "old")):
            with serving(tenant):
                storages[alias].save("a.txt", ContentFile(b"x"))
                for _ in range(2):
                    url = storages["default"].url("a.txt")
                    assert url == f"https://{alias}.example/{tenant}/a.txt"


def test_a_pinned_storage_is_no_place_of_a_file(alias: str) -> None:
    with serving(ONE):
        storages["default"].save("a.txt", ContentFile(b"x"))
        with serving(TWO):
            pinned: Any = bound(storages[alias])
        # the row would say the alias only, and so the tenant of whoever reads it
        with pytest.raises(ValueError, match=f"{alias}.*pinned to one tenant"):
            FileObject("default", "a.txt").copy_to(pinned)
        with pytest.raises(ValueError, match="pinned to one tenant"):
            FileObject(pinned, "a.txt")
    assert (listed(ONE), listed(TWO)) == (["a.txt"], [])


def test_all_tenants_have_one_bound_of_remembered_urls() -> None:
    with override_storage(default=options_of("s3")):
        storage = get_storage("default")
        kept = []
        for number in range(6):
            with serving(f"tenant-{number}"):
                for file in range(500):
                    storage.url(f"{file}.txt")
                kept.append(storage.urls._cache)
        assert sum(map(len, {id(each): each for each in kept}.values())) <= 2048


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


# responses and URLs


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["memory", "local", "s3"])
def test_a_response_is_read_after_its_request(kind: str) -> None:
    with override_storage(default=options_of(kind)):
        storage = get_storage("default")
        for tenant in (ONE, TWO):
            with serving(tenant):
                storage.save("a.txt", ContentFile(tenant.encode() * 100_000))
        request = RequestFactory().get("/")
        with serving(ONE):
            response: Any = file_response(request, FileObject("default", "a.txt"))
            response_of_async: Any = async_to_sync(afile_response)(
                AsyncRequestFactory().get("/"), FileObject("default", "a.txt")
            )
        with serving(TWO):
            assert b"".join(response) == ONE.encode() * 100_000

            async def read() -> bytes:
                return b"".join([piece async for piece in response_of_async])

            assert asyncio.run(read()) == ONE.encode() * 100_000
        response.close()
        response_of_async.close()


def test_our_own_links_are_of_one_tenant(memory: FSSpecStorage) -> None:
    urls = {}
    for tenant in (ONE, TWO):
        with serving(tenant):
            memory.save("a.txt", ContentFile(tenant.encode()))
            urls[tenant] = memory.url("a.txt")
            upload = memory.sign("up.txt", for_upload=True)
    assert urls[ONE] != urls[TWO]
    client = Client()
    with serving(ONE):
        response: Any = client.get(urls[ONE])
        assert b"".join(response.streaming_content) == ONE.encode()
        assert client.get(urls[TWO]).status_code == 403
        assert client.put(upload, b"x", content_type="text/plain").status_code == 403
    with serving(TWO):
        assert client.get(urls[ONE]).status_code == 403
        assert client.put(upload, b"x", content_type="text/plain").status_code in (200, 201, 204)
    assert (listed(ONE), listed(TWO)) == (["a.txt"], ["a.txt", "up.txt"])
    with pytest.raises(ImproperlyConfigured, match="prefix"):
        client.get(urls[ONE])


def test_links_of_before_are_of_no_tenant() -> None:
    options = options_of("memory")
    plain = {**options, "prefix": ONE}
    with override_storage(default=plain):
        url = storages["default"].url("a.txt")
    with override_storage(default=options), serving(ONE):
        assert Client().get(url).status_code == 403


def test_links_of_a_service_are_of_one_tenant() -> None:
    with override_storage(default=options_of("s3")):
        storage = get_storage("default")
        urls = {}
        for tenant in (ONE, TWO, ONE):
            with serving(tenant):
                storage.save(f"{tenant}.txt", ContentFile(tenant.encode()))
                storage.save("a.txt", ContentFile(tenant.encode()))
                urls[tenant] = storage.url("a.txt")
        # remembered URLs are those of the tenant
        for tenant in (ONE, TWO):
            with serving(tenant):
                assert storage.url("a.txt") == urls[tenant]
            with urllib.request.urlopen(urls[tenant]) as answer:
                assert answer.read() == tenant.encode()


def test_public_urls_have_the_folder_of_the_tenant() -> None:
    with override_storage(default=options_of("memory", base_url="https://cdn.example/media")):
        with serving(ONE):
            assert storages["default"].url("a b.txt") == "https://cdn.example/media/acme/a%20b.txt"
        with serving(TWO):
            assert storages["default"].url("a b.txt") == "https://cdn.example/media/bolt/a%20b.txt"


def test_files_of_tenants_below_media_root(tmp_path: Path) -> None:
    with (
        override_settings(MEDIA_ROOT=tmp_path, MEDIA_URL="/media/"),
        override_storage(default={"fs": "file", "prefix": TELL}),
    ):
        storage = get_storage("default")
        with serving(ONE):
            storage.save("a.txt", ContentFile(b"x"))
            assert storage.path("a.txt") == str(tmp_path / ONE / "a.txt")
            # the web server serves MEDIA_ROOT to everybody
            assert "/media/" not in storage.url("a.txt")
    assert (tmp_path / ONE / "a.txt").read_bytes() == b"x"


# places


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


# what a callable may not tell


def _raises() -> str:
    raise RuntimeError("no request")


async def _async_tell() -> str:
    return "a"


@pytest.mark.parametrize(
    ("told", "wants"),
    [
        ("", "name of a folder"),
        (None, "name of a folder"),
        (7, "name of a folder"),
        (b"acme", "name of a folder"),
        ("../x", "'..'"),
        ("..", "'..'"),
        (".", "'.'"),
        ("/etc", "/etc"),
        ("a/b", "one folder"),
        ("a\\b", "a\\\\b"),
        ("a/", "a/"),
        ("~root", "~root"),
        ("a\0b", "prefix"),
    ],
)
def test_what_is_told_is_checked(told: Any, wants: str) -> None:
    with override_storage(default={**options_of("local"), "prefix": lambda: told}):
        storage = get_storage("default")
        calls: list[Callable[[], Any]] = [
            lambda: storage.save("a.txt", ContentFile(b"x")),
            lambda: storage.exists("a.txt"),
            lambda: storage.delete("a.txt"),
            lambda: storage.listdir(""),
            storage.walk,
            lambda: storage.stream("a.txt"),
            lambda: storage.url("a.txt"),
            lambda: storage.path("a.txt"),
            storage.pinned,
            lambda: asyncio.run(storage.asave("a.txt", ContentFile(b"x"))),
            lambda: save_files([FileObject("default", "a.txt", content=b"x")]),
        ]
        for call in calls:
            with pytest.raises(ImproperlyConfigured) as caught:
                call()
            assert "STORAGES['default']['OPTIONS']['prefix']" in str(caught.value)
            assert wants in str(caught.value)
        root = Path(storage.base_flows.base_root)
        assert not root.exists() or not list(root.iterdir())


def test_no_tenant_is_an_error(memory: FSSpecStorage) -> None:
    for call in (
        lambda: memory.exists("a"),
        lambda: contextvars.Context().run(memory.save, "a", ContentFile(b"x")),
    ):
        with pytest.raises(ImproperlyConfigured) as caught:
            call()
        setting = "STORAGES['default']['OPTIONS']['prefix']"
        message = f"{setting} is 'tests.helpers.tenants.tell()', which raised LookupError"
        assert str(caught.value).startswith(message)
        assert isinstance(caught.value.__cause__, LookupError)
    assert repr(memory).endswith("alias='default'>")


@pytest.mark.parametrize(
    ("prefix", "wants"),
    [
        ("tests.helpers.tenants.tell", "write 'tests.helpers.tenants.tell()'"),
        ("tests.helpers.tenants.tel()", "imported"),
        ("no.such.module()", "imported"),
        ("tests.helpers.tenants.ONE()", "is a str"),
        ("tests.helpers.tenants.tell_with()", "no argument"),
        (tenants.tell_with, "no argument"),
        (_async_tell, "async"),
    ],
)
def test_manage_check_finds_what_can_not_be_called(prefix: Any, wants: str) -> None:
    with override_storage(default={**options_of("s3"), "prefix": prefix}):
        (message,) = get_storage("default").check()
    assert message.id == "django_fsspec.E005"
    assert message.msg.startswith("STORAGES['default']['OPTIONS']['prefix']")
    assert wants in message.msg


@pytest.mark.parametrize("prefix", [TELL, tenants.tell, _raises])
def test_manage_check_calls_nothing(prefix: Any) -> None:
    for kind in ("memory", "local", "s3"):
        with override_storage(default={**options_of(kind), "prefix": prefix}):
            assert get_storage("default").check() == []
    # a bucket for each
    assert FSSpecStorage(fs="s3", prefix=prefix).check() == []


def test_a_bucket_may_have_the_name_of_a_module() -> None:
    storage = FSSpecStorage(fs="s3", prefix="media.example.com")
    assert storage.check() == []
    assert storage.flows.root == "media.example.com"


def test_static_files_are_of_no_tenant() -> None:
    with override_settings(STATIC_URL="/static/"), pytest.raises(ImproperlyConfigured) as caught:
        FSSpecStaticStorage(fs="memory", prefix=TELL)
    assert "prefix" in str(caught.value)


def test_a_view_without_a_tenant_says_so(memory: FSSpecStorage) -> None:
    def view() -> HttpResponse:
        return HttpResponse(FileObject("default", "a.txt").url)

    with pytest.raises(ImproperlyConfigured, match=r"\['prefix'\]"):
        view()


PASSWORD = secrets.token_hex(8)


def _tells_an_address() -> str:
    raise RuntimeError(f"no answer of redis://user:{PASSWORD}@host/0")


@pytest.mark.parametrize("alias", ["default", "both"])
def test_no_secret_of_what_a_callable_raises(alias: str) -> None:
    ours = {"BACKEND": OURS, "OPTIONS": {**options_of("memory"), "prefix": _tells_an_address}}
    both = {"BACKEND": BOTH, "OPTIONS": {"primary": "default", "fallback": "old"}}
    plain = {"BACKEND": OURS, "OPTIONS": {"fs": "memory", "prefix": "old"}}
    config = {**settings.STORAGES, "default": ours, "old": plain, "both": both}
    with override_settings(STORAGES=config):
        calls: list[Callable[[], Any]] = [
            lambda: storages[alias].exists("a.txt"),
            lambda: signed_url(Grant(alias=alias, name="a.txt", expires=0, headers={})),
            lambda: bound(storages[alias]),
        ]
        for call in calls:
            with pytest.raises(ImproperlyConfigured) as caught:
                call()
            # the alias that has the option, also where two storages are one
            assert "STORAGES['default']['OPTIONS']['prefix'] is" in str(caught.value)
            assert "raised RuntimeError: no answer of" in str(caught.value)
            assert PASSWORD not in "".join(traceback.format_exception(caught.value))
            assert PASSWORD not in debug_page(caught)
