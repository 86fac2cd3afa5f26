"""collectstatic with compressed variants: on disk, in memory and on S3, by counts of requests."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import brotli
import pytest
from django.contrib.staticfiles.management.commands.collectstatic import Command as DjangosOwn
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.test import override_settings

from django_fsspec.exceptions import StorageError
from django_fsspec.management.commands.collectstatic import Command
from django_fsspec.staticfiles import FSSpecStaticStorage
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers import static_files
from tests.helpers.backends import folder, server
from tests.helpers.utils import started
from tests.soak import grounds

CSS = "body { color: red }\n" * 100
UNPACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".br": brotli.decompress}

Collect = Callable[..., None]


def collect(command: Any = Command, **options: Any) -> None:
    call_command(command(), interactive=False, verbosity=0, **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "site.css").write_text(CSS)
    (tmp_path / "tiny.css").write_text("a {}")
    (tmp_path / "photo.jpg").write_bytes(bytes(5000))
    return tmp_path


@pytest.fixture
def proxy() -> Iterator[servers.CountingProxy]:
    with started(servers.CountingProxy, server(servers.SeaweedS3).port) as running:
        yield running


@pytest.fixture(params=["file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path_factory: Any) -> dict[str, Any]:
    if request.param == "s3":
        return grounds.s3_options(server(servers.SeaweedS3), folder())
    return {"fs": request.param, "prefix": str(tmp_path_factory.mktemp("static"))}


def serving(source: Path, place: dict[str, Any], kind: str = "", **options: Any) -> Any:
    backend = f"django_fsspec.staticfiles.FSSpec{kind}StaticStorage"
    options = {**place, "precompressed": ["gzip", "br"], **options}
    return override_settings(
        STORAGES={
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": {"BACKEND": backend, "OPTIONS": options},
        },
        STATICFILES_DIRS=[source],
        STATICFILES_FINDERS=static_files.FINDERS,
    )


def stored() -> dict[str, bytes]:
    """Return what is stored, read without unpacking."""
    storage = storages["staticfiles"]
    assert isinstance(storage, FSSpecStaticStorage)
    return {stat.name: storage.get_content(stat.name) for stat in storage.walk()}


def change(path: Path, text: str) -> None:
    path.write_text(text)
    later = time.time() + 60
    os.utime(path, (later, later))


@pytest.mark.parametrize("command", [Command, DjangosOwn])
def test_variants_hold_the_content_of_the_file(
    source: Path, place: dict[str, Any], command: Any
) -> None:
    with serving(source, place):
        collect(command)
        files = stored()
        assert sorted(files) == ["photo.jpg", "site.css", "site.css.br", "site.css.gz", "tiny.css"]
        for suffix, unpack in UNPACK.items():
            assert unpack(files["site.css" + suffix]) == CSS.encode()
        collect(command)
        assert stored() == files

        change(source / "site.css", CSS.replace("red", "blue"))
        collect(command)
        for suffix, unpack in UNPACK.items():
            assert b"blue" in unpack(stored()["site.css" + suffix])

        # no variant is worth it any more: those of the content before are gone
        later = time.time() + 120
        (source / "site.css").write_text("b {}")
        os.utime(source / "site.css", (later, later))
        collect(command)
        assert sorted(stored()) == ["photo.jpg", "site.css", "tiny.css"]


def test_a_dry_run_makes_none_and_clearing_makes_all(source: Path, place: dict[str, Any]) -> None:
    with serving(source, place):
        collect(dry_run=True)
        assert stored() == {}
        collect()
        files = stored()
        (source / "old.css").write_text(CSS)
        collect()
        assert "old.css.gz" in stored()
        (source / "old.css").unlink()
        collect(clear=True)
        assert stored() == files


def test_clearing_after_the_option_is_gone_deletes_them(
    source: Path, place: dict[str, Any]
) -> None:
    with serving(source, place):
        collect()
    with serving(source, place, precompressed=[]):
        collect(clear=True)
        assert sorted(stored()) == ["photo.jpg", "site.css", "tiny.css"]


def test_a_coding_that_is_left_out_later_leaves_no_stale_variant(
    source: Path, place: dict[str, Any]
) -> None:
    with serving(source, place):
        collect()
    with serving(source, place, precompressed=["gzip"]):
        change(source / "site.css", CSS.replace("red", "blue"))
        collect()
        assert "site.css.br" not in stored()
        assert b"blue" in gzip.decompress(stored()["site.css.gz"])


def test_with_a_manifest_hashed_files_alone_have_variants(
    source: Path, place: dict[str, Any]
) -> None:
    (source / "main.css").write_text("@import url('site.css');\n" + CSS)
    with serving(source, place, "Manifest"):
        collect()
        files = stored()
        paths = json.loads(files["staticfiles.json"])["paths"]
        variants = {name for name in files if name.endswith((".gz", ".br"))}
        assert variants == {
            paths[name] + suffix for name in ("site.css", "main.css") for suffix in UNPACK
        }
        for variant in variants:
            plain, suffix = variant[:-3], variant[-3:]
            assert UNPACK[suffix](files[variant]) == files[plain]
        collect()
        assert stored() == files


@pytest.mark.parametrize("kind", ["", "Manifest"])
def test_files_larger_than_memory_is_given_to(
    source: Path, kind: str, tmp_path_factory: Any
) -> None:
    large = CSS * 800
    (source / "large.svg").write_text(large)
    place = {"fs": "file", "prefix": str(tmp_path_factory.mktemp("static"))}
    with serving(source, place, kind):
        collect()
        files = stored()
        [name] = [n for n in files if n.startswith("large.") and n.endswith(".svg.gz")]
        assert gzip.decompress(files[name]) == files[name.removesuffix(".gz")] == large.encode()


def test_files_of_the_site_that_are_named_like_variants_stay_as_they_are(
    source: Path, place: dict[str, Any]
) -> None:
    own = gzip.compress(b"of a build tool")
    (source / "site.css.gz").write_bytes(own)
    with serving(source, place):
        collect()
        assert stored()["site.css.gz"] == own
        assert brotli.decompress(stored()["site.css.br"]) == CSS.encode()
        change(source / "site.css", "b {}")
        collect()
        assert stored()["site.css.gz"] == own
        assert "site.css.br" not in stored()


@pytest.mark.parametrize("kind", ["", "Manifest"])
def test_requests(source: Path, proxy: servers.CountingProxy, kind: str) -> None:
    def requests() -> Counter[str]:
        counted = Counter(request.method for request in proxy.requests())
        proxy.reset()
        return counted

    place = grounds.s3_options(server(servers.SeaweedS3), folder(), proxy.url)
    files = 7 if kind else 3
    with serving(source, place, kind):
        collect()
        assert requests() == {"GET": 1, "PUT": files + 2}
        collect()
        assert requests() == {"GET": 1}
        for path in source.iterdir():
            change(path, path.read_text())
        collect()
        assert requests() == {"GET": 1}
        change(source / "site.css", "b {}")
        collect()
        # with a manifest the variants of the old hashed file are as right as before
        assert requests() == ({"GET": 1, "PUT": 3} if kind else {"GET": 1, "PUT": 1, "POST": 1})


def test_headers_on_s3_let_a_cdn_send_the_variant(source: Path) -> None:
    place = grounds.s3_options(server(servers.SeaweedS3), folder())
    with serving(source, place):
        collect()
    plain = FSSpecStorage(**place)
    for suffix, coding in ((".gz", "gzip"), (".br", "br")):
        with urlopen(plain.url("site.css" + suffix), timeout=10) as response:
            assert response.headers["Content-Type"] == "text/css"
            assert response.headers["Content-Encoding"] == coding
            assert UNPACK[suffix](response.read()) == CSS.encode()


def test_a_run_that_ends_between_a_variant_and_its_file_is_made_good(
    source: Path, proxy: servers.CountingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = grounds.s3_options(server(servers.SeaweedS3), folder(), proxy.url)
    with serving(source, place):
        collect()
        change(source / "site.css", CSS.replace("red", "blue"))
        flows = storages["staticfiles"].flows  # type: ignore[attr-defined]
        save = flows.save

        def failing(name: str, *args: Any, **options: Any) -> Any:
            if name == "site.css":
                raise StorageError("the machine is gone")
            return save(name, *args, **options)

        monkeypatch.setattr(flows, "save", failing)
        with pytest.raises(StorageError, match="gone"):
            collect()
        monkeypatch.undo()
        collect()
        files = stored()
        assert b"blue" in files["site.css"]
        for suffix, unpack in UNPACK.items():
            assert unpack(files["site.css" + suffix]) == files["site.css"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_saving_and_deleting_one_file(
    source: Path, place: dict[str, Any], overwrite: bool
) -> None:
    with serving(source, place, allow_overwrite=overwrite):
        storage: Any = storages["staticfiles"]
        name = storage.save("made/one.css", ContentFile(CSS.encode()))
        again = storage.save("made/one.css", ContentFile(b"small"))
        assert (name == again) is overwrite
        expected = {name, again} if overwrite else {name, again, *(name + s for s in UNPACK)}
        assert set(stored()) == expected
        storage.delete(name)
        assert set(stored()) == ({again} - {name})


def test_async_twins(source: Path, place: dict[str, Any]) -> None:
    async def work(storage: Any) -> None:
        await storage.asave("one.css", ContentFile(CSS.encode()))
        assert await storage.aexists("one.css.br")
        await storage.adelete("one.css")
        assert not await storage.aexists("one.css.br")

    with serving(source, place):
        asyncio.run(work(storages["staticfiles"]))
