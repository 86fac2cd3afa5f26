"""What a callable may not tell, and what `manage.py check` finds without calling it."""

from __future__ import annotations

import asyncio
import contextvars
import secrets
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import HttpResponse
from django.test import override_settings

from django_fsspec import FileObject, save_files
from django_fsspec.staticfiles import FSSpecStaticStorage
from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.storage.prefixes import pinned_storage
from django_fsspec.storage.signing import Grant, signed_url
from django_fsspec.testing import override_storage
from tests.helpers import tenants
from tests.helpers.debug_pages import debug_page
from tests.helpers.tenants import BOTH, OURS, TELL, options_of


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
            lambda: pinned_storage(storages[alias]),
        ]
        for call in calls:
            with pytest.raises(ImproperlyConfigured) as caught:
                call()
            # the alias that has the option, also where two storages are one
            assert "STORAGES['default']['OPTIONS']['prefix'] is" in str(caught.value)
            assert "raised RuntimeError: no answer of" in str(caught.value)
            assert PASSWORD not in "".join(traceback.format_exception(caught.value))
            assert PASSWORD not in debug_page(caught)
