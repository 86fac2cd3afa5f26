"""collectstatic with few requests, counted on the way to a real server, and interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.staticfiles.management.commands.collectstatic import Command as DjangosOwn
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from django_fsspec.checks.system_checks import check_storages
from django_fsspec.exceptions import StorageError
from django_fsspec.management.commands.collectstatic import Command
from django_fsspec.staticfiles import FSSpecStaticStorage
from tests import servers
from tests.helpers import static_files
from tests.helpers.backends import folder, server
from tests.helpers.utils import started, wait_for
from tests.helpers.workers import Worker
from tests.soak import grounds
from tests.soak.faults.message import Message
from tests.soak.faults.scripted import Fate, Scripted

COUNT = 40

BACKENDS = {
    "plain": "django_fsspec.staticfiles.FSSpecStaticStorage",
    "manifest": "django_fsspec.staticfiles.FSSpecManifestStaticStorage",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "css").mkdir()
    # b.css is read before a.css, whose hash follows from that of b.css
    (tmp_path / "css" / "a.css").write_text(
        "@import url('z.css');\n.a { background: url('../0.svg') }"
    )
    (tmp_path / "css" / "z.css").write_text(".z { background: url('../1.svg') }\n")
    for number in range(COUNT - 2):
        (tmp_path / f"{number}.svg").write_text(f"<svg id='{number}'/>\n")
    return tmp_path


@pytest.fixture
def proxy() -> Iterator[servers.CountingProxy]:
    with started(servers.CountingProxy, server(servers.SeaweedS3).port) as running:
        yield running


@pytest.fixture
def site(
    request: pytest.FixtureRequest, source: Path, proxy: servers.CountingProxy
) -> Iterator[FSSpecStaticStorage]:
    options = grounds.s3_options(server(servers.SeaweedS3), folder(), proxy.url)
    with serving(source, request.param, options) as storage:
        yield storage


@contextmanager
def serving(source: Path, kind: str, options: dict[str, Any]) -> Iterator[FSSpecStaticStorage]:
    config = {
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {"BACKEND": BACKENDS[kind], "OPTIONS": options},
    }
    with override_settings(
        STORAGES=config, STATICFILES_DIRS=[source], STATICFILES_FINDERS=static_files.FINDERS
    ):
        storage = storages["staticfiles"]
        assert isinstance(storage, FSSpecStaticStorage)
        yield storage


plain = pytest.mark.parametrize("site", ["plain"], indirect=True)
manifest = pytest.mark.parametrize("site", ["manifest"], indirect=True)


def collect(**options: Any) -> str:
    out = StringIO()
    call_command(Command(), interactive=False, verbosity=1, stdout=out, **options)
    return out.getvalue()


def requests(proxy: servers.CountingProxy) -> Counter[str]:
    """Return how many requests of each method there were, and forget them."""
    counted = Counter(request.method for request in proxy.requests())
    proxy.reset()
    return counted


def names(storage: FSSpecStaticStorage) -> list[str]:
    return sorted(stat.name for stat in storage.walk())


def times(storage: FSSpecStaticStorage) -> dict[str, Any]:
    """Return when each file was written; the manifest is, where a listing has no checksums."""
    stats = storage.walk()
    return {stat.name: stat.last_modified for stat in stats if stat.name != "staticfiles.json"}


def touch(path: Path) -> None:
    """Make a file newer than what is stored, as a checkout of it does."""
    later = time.time() + 60
    os.utime(path, (later, later))


@plain
def test_each_file_is_sent_once(
    site: FSSpecStaticStorage, source: Path, proxy: servers.CountingProxy
) -> None:
    assert f"{COUNT} static files copied" in collect()
    assert requests(proxy) == {"GET": 1, "PUT": COUNT}
    assert f"0 static files copied, {COUNT} unmodified" in collect()
    assert requests(proxy) == {"GET": 1}
    # another checkout of the same files
    for path in source.rglob("*.*"):
        touch(path)
    assert f"0 static files copied, {COUNT} unmodified" in collect()
    assert requests(proxy) == {"GET": 1}
    (source / "0.svg").write_text("<svg id='X'/>\n")
    touch(source / "0.svg")
    assert f"1 static file copied, {COUNT - 1} unmodified" in collect()
    assert requests(proxy) == {"GET": 1, "PUT": 1}
    assert site.get_content("0.svg") == b"<svg id='X'/>\n"


@plain
def test_uploads_show_a_progress_bar_on_a_terminal(
    site: FSSpecStaticStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    collect()
    assert "Uploading: " in shown.getvalue()
    quiet = Terminal()
    monkeypatch.setattr(sys, "stderr", quiet)
    call_command(Command(), interactive=False, verbosity=0, clear=True)
    assert not quiet.getvalue()


@plain
def test_a_dry_run_sends_nothing(site: FSSpecStaticStorage, proxy: servers.CountingProxy) -> None:
    assert f"{COUNT} static files copied" in collect(dry_run=True)
    assert requests(proxy) == {"GET": 1}


@plain
def test_clearing_sends_all_and_deletes_the_others(
    site: FSSpecStaticStorage, proxy: servers.CountingProxy
) -> None:
    collect()
    site.save("old/old.css", ContentFile(b"old"))
    requests(proxy)
    assert f"{COUNT} static files copied" in collect(clear=True)
    assert requests(proxy) == {"GET": 1, "PUT": COUNT, "POST": 1}
    assert len(names(site)) == COUNT
    assert not site.exists("old/old.css")


@plain
def test_files_that_are_ignored_stay(site: FSSpecStaticStorage) -> None:
    collect(ignore_patterns=["*.svg"])
    assert names(site) == ["css/a.css", "css/z.css"]


@manifest
def test_a_manifest_comes_after_all_it_names(
    site: FSSpecStaticStorage, source: Path, proxy: servers.CountingProxy
) -> None:
    collect()
    puts = [r.path.rpartition("/")[2] for r in proxy.requests() if r.method == "PUT"]
    assert requests(proxy)["PUT"] == len(puts) == len(set(puts)) == 2 * COUNT + 1
    assert puts[-1] == "staticfiles.json"
    paths = json.loads(site.get_content("staticfiles.json"))["paths"]
    for hashed in paths.values():
        digest = hashlib.md5(site.get_content(hashed), usedforsecurity=False).hexdigest()
        assert hashed.split(".")[-2] == digest[:12]
    assert paths["css/z.css"].rpartition("/")[2].encode() in site.get_content(paths["css/a.css"])
    assert len(names(site)) == 2 * COUNT + 1
    requests(proxy)

    collect()
    assert requests(proxy) == {"GET": 1}

    # what refers to it changes with it, and nothing else
    (source / "1.svg").write_text("<svg id='X'/>\n")
    touch(source / "1.svg")
    collect()
    assert requests(proxy) == {"GET": 1, "PUT": 5}


@manifest
def test_a_failed_upload_leaves_the_manifest_before(
    site: FSSpecStaticStorage, source: Path, proxy: servers.CountingProxy
) -> None:
    collect()
    before = site.get_content("staticfiles.json")
    held = names(site)
    for path in source.rglob("*.svg"):
        path.write_text("<svg id='new'/>\n")
        touch(path)
    proxy.set_down(True)
    with pytest.raises(StorageError):
        collect()
    proxy.set_down(False)
    assert site.get_content("staticfiles.json") == before
    assert set(held) <= set(names(site))
    collect()
    after = json.loads(site.get_content("staticfiles.json"))["paths"]
    assert all(site.exists(hashed) for hashed in after.values())


def test_an_upload_that_is_refused_is_raised(source: Path) -> None:
    s3 = server(servers.SeaweedS3)

    def fate(request: Message) -> Fate:
        is_refused = request.method == "PUT" and b"/7.svg " in request.raw
        return (403, "AccessDenied") if is_refused else None

    with Scripted(s3.port, fate) as way:
        options = grounds.s3_options(s3, folder(), way.url)
        with serving(source, "plain", options), pytest.raises(PermissionError, match=r"7\.svg"):
            collect()


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("fs", ["file", "memory", "gzip on S3"])
def test_other_places(kind: str, fs: str, source: Path, tmp_path_factory: Any) -> None:
    options: dict[str, Any] = {"fs": fs, "prefix": str(tmp_path_factory.mktemp("static"))}
    if fs == "gzip on S3":
        options = {**grounds.s3_options(server(servers.SeaweedS3), folder()), "gzip": True}
    with serving(source, kind, options) as storage:
        collect()
        held = times(storage)
        assert len(held) == (COUNT if kind == "plain" else 2 * COUNT)
        assert storage.get_content("5.svg") == b"<svg id='5'/>\n"
        collect()
        assert times(storage) == held
        collect(clear=True)
        assert times(storage).keys() == held.keys()


@pytest.mark.parametrize("command", [Command, DjangosOwn])
@pytest.mark.parametrize("fs", ["file", "memory"])
def test_a_file_is_replaced_under_its_name_without_allow_overwrite(
    command: Any, fs: str, source: Path, tmp_path_factory: Any
) -> None:
    prefix = str(tmp_path_factory.mktemp("static"))
    with serving(
        source, "plain", {"fs": fs, "prefix": prefix, "allow_overwrite": False}
    ) as storage:
        call_command(command(), interactive=False, verbosity=0)
        before = names(storage)
        (source / "5.svg").write_text("<svg id='changed'/>\n")
        touch(source / "5.svg")
        call_command(command(), interactive=False, verbosity=0)
        assert names(storage) == before
        assert storage.get_content("5.svg") == b"<svg id='changed'/>\n"


@manifest
def test_djangos_own_command_writes_each_file_once_too(
    site: FSSpecStaticStorage, proxy: servers.CountingProxy
) -> None:
    call_command(DjangosOwn(), interactive=False, verbosity=0)
    puts = [r.path for r in proxy.requests() if r.method == "PUT"]
    assert len(puts) == len(set(puts)) == 2 * COUNT + 1
    assert not [r for r in proxy.requests() if r.method == "DELETE"]


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("sent", [0, COUNT // 2, COUNT + 10, 2 * COUNT - 3])
def test_a_killed_run_leaves_the_site_as_it_was(
    sent: int, source: Path, proxy: servers.CountingProxy
) -> None:
    s3 = server(servers.SeaweedS3)
    place = folder()
    options = grounds.s3_options(s3, place)
    slow = grounds.s3_options(s3, place, proxy.url)
    with serving(source, "manifest", options) as storage:
        collect()
        before = json.loads(storage.get_content("staticfiles.json"))["paths"]
        for path in source.rglob("*.svg"):
            path.write_text(f"<svg id='new {path.name}'/>\n")
            touch(path)
        proxy.shape(latency=0.05)
        with Worker("tests.settings") as worker:
            worker.ready()
            worker.send(static_files.collect, BACKENDS["manifest"], slow, str(source))
            wait_for(lambda: requests_so_far(proxy) > sent)
            worker.kill()
        after = json.loads(storage.get_content("staticfiles.json"))["paths"]
        assert after == before or requests_so_far(proxy) > 2 * COUNT - 3
        assert all(storage.exists(hashed) for hashed in after.values())
        collect()
        last = json.loads(storage.get_content("staticfiles.json"))["paths"]
        assert last["1.svg"] != before["1.svg"]
        assert all(storage.exists(hashed) for hashed in last.values())


def requests_so_far(proxy: servers.CountingProxy) -> int:
    return sum(request.method == "PUT" for request in proxy.requests())


@pytest.mark.parametrize("first", ["django_fsspec", "django.contrib.staticfiles"])
def test_a_check_tells_of_the_wrong_order(first: str, source: Path) -> None:
    others = [
        config.name
        for config in apps.get_app_configs()
        if config.name not in ("django_fsspec", "django.contrib.staticfiles")
    ]
    ours = ["django_fsspec", "django.contrib.staticfiles"]
    installed = [*others, *(ours if first == ours[0] else ours[::-1])]
    place = {"fs": "memory", "prefix": folder()}
    with serving(source, "plain", place), override_settings(INSTALLED_APPS=installed):
        warnings = [message for message in check_storages() if message.id == "django_fsspec.W007"]
    assert bool(warnings) is (first == "django.contrib.staticfiles")


def test_without_djangos_app_it_says_so() -> None:
    remaining = [
        config.name
        for config in apps.get_app_configs()
        if config.name != "django.contrib.staticfiles"
    ]
    with (
        override_settings(INSTALLED_APPS=remaining),
        pytest.raises(CommandError, match=r"INSTALLED_APPS has no 'django\.contrib\.staticfiles'"),
    ):
        collect()
