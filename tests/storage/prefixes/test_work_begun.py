"""Work that is begun for one tenant stays with it, whoever is served when it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import RequestFactory, override_settings

from django_fsspec import FileObject
from django_fsspec.checks.doctor import Doctor
from django_fsspec.responses import file_response
from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.storage.prefixes import pinned_storage
from django_fsspec.testing import override_storage
from tests.helpers.tenants import BOTH, ONE, OURS, TWO, listed, options_of, serving


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
            pinned: Any = pinned_storage(storages[alias])
        # the row would say the alias only, and so the tenant of whoever reads it
        with pytest.raises(ValueError, match=f"{alias}.*pinned to one tenant"):
            FileObject("default", "a.txt").copy_to(pinned)
        with pytest.raises(ValueError, match="pinned to one tenant"):
            FileObject(pinned, "a.txt")
    assert (listed(ONE), listed(TWO)) == (["a.txt"], [])
