"""collectstatic onto our storages, checked by reading what a browser would."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.conf import settings
from django.core.checks import Warning  # noqa: A004
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.templatetags.static import static
from django.test import override_settings
from fsspec.implementations.local import LocalFileSystem

from django_fsspec.checks.system_checks import check_storages
from django_fsspec.staticfiles import FSSpecManifestStaticStorage, FSSpecStaticStorage
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, scratch, server


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "site.css").write_text("body { background: url('../img/dot.svg') }\n")
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "dot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>\n")
    return tmp_path


PLACES: dict[str, Callable[[], dict[str, Any]]] = {
    "local": lambda: {"fs": "file", "prefix": str(scratch() / folder())},
    "memory": lambda: {"fs": "memory", "prefix": folder()},
    "s3": lambda: {
        "fs": "s3",
        "prefix": f"{server(servers.SeaweedS3).bucket}/{folder()}",
        "fs_options": server(servers.SeaweedS3).fs_options,
        "object_options": {"cache_control": "max-age=31536000"},
    },
}


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    options: dict[str, Any] = PLACES[request.param]()
    return options


@pytest.fixture
def site(
    request: pytest.FixtureRequest, source: Path, place: dict[str, Any]
) -> Iterator[FSSpecStorage]:
    config = {
        "default": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": {"fs": "memory"}},
        "staticfiles": {"BACKEND": f"django_fsspec.staticfiles.{request.param}", "OPTIONS": place},
    }
    with override_settings(
        STORAGES=config,
        STATICFILES_DIRS=[source],
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
        STATIC_URL="/static/",
        DEBUG=False,
    ):
        storage = storages["staticfiles"]
        assert isinstance(storage, FSSpecStorage)
        yield storage


def collect() -> str:
    out = StringIO()
    call_command("collectstatic", interactive=False, verbosity=1, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("site", ["FSSpecStaticStorage"], indirect=True)
def test_collectstatic(site: FSSpecStorage, source: Path) -> None:
    assert "2 static files copied" in collect()
    assert sorted(stat.name for stat in site.walk()) == ["css/site.css", "img/dot.svg"]
    assert "0 static files copied" in collect()
    changed = source / "css" / "site.css"
    changed.write_text("body {}\n")
    os.utime(changed, (time.time() + 10, time.time() + 10))
    assert "1 static file copied" in collect()
    assert site.get_content("css/site.css") == b"body {}\n"
    assert site.url("css/site.css") == "/static/css/site.css"


@pytest.mark.parametrize("site", ["FSSpecManifestStaticStorage"], indirect=True)
def test_collectstatic_with_a_manifest(site: FSSpecStorage) -> None:
    collect()
    manifest = json.loads(site.get_content("staticfiles.json"))
    hashed = manifest["paths"]["css/site.css"]
    assert re.fullmatch(r"css/site\.[0-9a-f]{12}\.css", hashed)
    assert manifest["paths"]["img/dot.svg"].encode().rpartition(b"/")[2] in site.get_content(
        hashed
    )
    fresh = type(site)(**site._arguments.values)
    assert fresh.url("css/site.css") == f"/static/{hashed}"
    collect()
    assert json.loads(site.get_content("staticfiles.json")) == manifest


@pytest.mark.parametrize("site", ["FSSpecManifestStaticStorage"], indirect=True)
def test_the_manifest_is_saved_without_post_processing(site: FSSpecStorage) -> None:
    collect()
    before = json.loads(site.get_content("staticfiles.json"))
    assert isinstance(site, FSSpecManifestStaticStorage)
    fresh = type(site)(**site._arguments.values)
    fresh.save_manifest()
    assert json.loads(site.get_content("staticfiles.json")) == before
    assert json.dumps([fresh.hashed_files, fresh.manifest_hash])
    reread: Any = fresh.load_manifest()
    assert reread == (before["paths"], before["hash"])
    with site.open("staticfiles.json", "w") as manifest:
        manifest.write('{"version": "0"}')
    with pytest.raises(ValueError, match="manifest"):
        fresh.load_manifest()


@pytest.mark.parametrize("site", ["FSSpecManifestStaticStorage"], indirect=True)
def test_a_manifest_of_another_storage(site: FSSpecStorage) -> None:
    elsewhere = FSSpecStaticStorage(fs="memory", prefix=folder())
    both: Any = type(site)(**site._arguments.values, manifest_storage=elsewhere)
    both.hashed_files["a.css"] = "a.0.css"
    both.save_manifest()
    assert json.loads(elsewhere.get_content("staticfiles.json"))["paths"] == {"a.css": "a.0.css"}
    assert not site.exists("staticfiles.json")


@pytest.mark.parametrize("place", ["s3"], indirect=True)
@pytest.mark.parametrize("site", ["FSSpecStaticStorage"], indirect=True)
def test_headers_reach_the_browser(site: FSSpecStorage, place: dict[str, Any]) -> None:
    collect()
    plain = FSSpecStorage(**place)
    with urlopen(plain.url("css/site.css"), timeout=10) as response:
        assert response.headers["Content-Type"] == "text/css"
        assert response.headers["Cache-Control"] == "max-age=31536000"


@pytest.mark.parametrize("place", ["local"], indirect=True)
@pytest.mark.parametrize("site", ["FSSpecStaticStorage"], indirect=True)
def test_clearing_deletes_nothing_behind_a_link(site: FSSpecStorage, tmp_path: Path) -> None:
    collect()
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (uploads / "photo.jpg").write_bytes(b"upload")
    (Path(site.path("")) / "uploads").symlink_to(uploads)
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)
    assert (uploads / "photo.jpg").read_bytes() == b"upload"


# without STATIC_ROOT


def local_filesystem() -> LocalFileSystem:
    return LocalFileSystem(skip_instance_cache=True)


#: ways to name the local disk without a folder on it
LOCAL: dict[str, Callable[[], dict[str, Any]]] = {
    "file": lambda: {"fs": "file"},
    "local": lambda: {"fs": "local"},
    "an empty prefix": lambda: {"fs": "file", "prefix": ""},
    "a class": lambda: {"fs": LocalFileSystem},
    "an instance": lambda: {"fs": local_filesystem()},
    "a callable": lambda: {"fs": local_filesystem},
    "a dotted path": lambda: {"fs": "fsspec.implementations.local.LocalFileSystem"},
    "a cache": lambda: {
        "fs": "simplecache::file",
        "fs_options": {"simplecache": {"cache_storage": str(scratch() / folder())}},
    },
}

#: every way to the disk
TOUCHES: dict[str, Callable[[FSSpecStorage], object]] = {
    "save": lambda storage: storage.save("a.css", ContentFile(b"static")),
    "store": lambda storage: storage.store("a.css", b"static"),
    "open for writing": lambda storage: storage.open("a.css", "wb"),
    "copy": lambda storage: storage.copy("photo.jpg", "a.css"),
    "delete": lambda storage: storage.delete("photo.jpg"),
    "delete_many": lambda storage: storage.delete_many(["photo.jpg"]),
    "open": lambda storage: storage.open("photo.jpg"),
    "get_content": lambda storage: storage.get_content("photo.jpg"),
    "exists": lambda storage: storage.exists("photo.jpg"),
    "size": lambda storage: storage.size("photo.jpg"),
    "get_modified_time": lambda storage: storage.get_modified_time("photo.jpg"),
    "listdir": lambda storage: storage.listdir(""),
    "walk": lambda storage: list(storage.walk()),
    "path": lambda storage: storage.path("photo.jpg"),
    "the path of the root": lambda storage: storage.path(""),
    "asave": lambda storage: asyncio.run(storage.asave("a.css", ContentFile(b"static"))),
    "aexists": lambda storage: asyncio.run(storage.aexists("photo.jpg")),
}


@pytest.fixture
def media(tmp_path: Path) -> Iterator[Path]:
    """MEDIA_ROOT with an upload in it; there is no STATIC_ROOT."""
    root = tmp_path / "media"
    root.mkdir()
    (root / "photo.jpg").write_bytes(b"upload")
    with override_settings(
        MEDIA_ROOT=str(root), MEDIA_URL="/media/", STATIC_ROOT=None, STATIC_URL="/static/"
    ):
        yield root
    assert [path.name for path in root.iterdir()] == ["photo.jpg"]
    assert (root / "photo.jpg").read_bytes() == b"upload"


both_classes = pytest.mark.parametrize(
    "static_class", [FSSpecStaticStorage, FSSpecManifestStaticStorage]
)


@both_classes
@pytest.mark.parametrize("local", LOCAL)
def test_static_files_never_go_to_media_root(
    media: Path, local: str, static_class: type[FSSpecStaticStorage]
) -> None:
    storage = static_class(**LOCAL[local]())
    with pytest.raises(ImproperlyConfigured, match="STATIC_ROOT"):
        storage.save("photo.jpg", ContentFile(b"static"))


@both_classes
@pytest.mark.parametrize("touch", TOUCHES)
def test_no_operation_without_static_root(
    media: Path, touch: str, static_class: type[FSSpecStaticStorage]
) -> None:
    storage = static_class(fs="file")
    with pytest.raises(ImproperlyConfigured, match="STATIC_ROOT"):
        TOUCHES[touch](storage)


@both_classes
@pytest.mark.parametrize("local", LOCAL)
@override_settings(DEBUG=True)
def test_urls_need_no_static_root(
    media: Path, local: str, static_class: type[FSSpecStaticStorage]
) -> None:
    storage = static_class(**LOCAL[local]())
    assert storage.url("css/site.css") == "/static/css/site.css"
    assert storage.sign("css/site.css") == "/static/css/site.css"
    with pytest.raises(SuspiciousFileOperation):
        storage.url("../site.css")


@both_classes
def test_directories_exist_without_static_root(
    media: Path, static_class: type[FSSpecStaticStorage]
) -> None:
    with pytest.raises(ImproperlyConfigured, match="STATIC_ROOT"):
        static_class(fs="file").exists("")


@both_classes
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("name", ["css/", "some dir/", ""])
def test_the_static_tag_takes_directories(
    static_class: type[FSSpecStaticStorage], debug: bool, name: str
) -> None:
    djangos = "Manifest" * (static_class is FSSpecManifestStaticStorage) + "StaticFilesStorage"
    backends = {
        f"django.contrib.staticfiles.storage.{djangos}": {"location": str(scratch())},
        f"django_fsspec.staticfiles.{static_class.__name__}": {"fs": "memory", "prefix": folder()},
    }
    answers = []
    for backend, options in backends.items():
        config = {"staticfiles": {"BACKEND": backend, "OPTIONS": options}}
        with override_settings(STORAGES=config, STATIC_URL="/static/", DEBUG=debug):
            try:
                answers.append(static(name))
            except ValueError as error:
                # of an empty name, by hashed names
                answers.append(str(error))
    assert answers[0] == answers[1]


@both_classes
@pytest.mark.parametrize("local", LOCAL)
def test_static_root_is_where_files_go(
    media: Path, tmp_path: Path, local: str, static_class: type[FSSpecStaticStorage]
) -> None:
    storage = static_class(**LOCAL[local]())
    with override_settings(STATIC_ROOT=tmp_path / "static"):
        assert storage.save("photo.jpg", ContentFile(b"static")) == "photo.jpg"
    assert (tmp_path / "static" / "photo.jpg").read_bytes() == b"static"


@pytest.mark.parametrize("name", ["FSSpecStaticStorage", "FSSpecManifestStaticStorage"])
def test_collectstatic_without_static_root(media: Path, source: Path, name: str) -> None:
    backend = {"BACKEND": f"django_fsspec.staticfiles.{name}", "OPTIONS": {"fs": "file"}}
    for alias in ("staticfiles", "assets"):
        config = {**settings.STORAGES, alias: backend}
        with override_settings(STORAGES=config):
            messages = [message for message in check_storages() if message.id == W003]
            assert [type(message) for message in messages] == [Warning]
            assert f"STORAGES['{alias}']" in messages[0].msg
            assert "STATIC_ROOT" in messages[0].msg
    with (
        override_settings(
            STORAGES={**settings.STORAGES, "staticfiles": backend},
            STATICFILES_DIRS=[source],
            STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
        ),
        pytest.raises(ImproperlyConfigured, match="STATIC_ROOT"),
    ):
        collect()


W003, W004 = "django_fsspec.W003", "django_fsspec.W004"


@pytest.mark.parametrize(
    ("static", "media_prefix", "warned"),
    [
        ({"fs": "memory", "prefix": "a"}, "a", True),
        ({"fs": "memory", "prefix": "a"}, "a/media", True),
        ({"fs": "memory", "prefix": "a/static"}, "a", False),
        ({"fs": "memory", "prefix": "a/static"}, "a/media", False),
        ({"fs": "memory", "prefix": "a/static"}, "a/staticfiles", False),
    ],
)
def test_static_files_among_uploads_are_warned_of(
    static: dict[str, Any], media_prefix: str, warned: bool
) -> None:
    config = {
        "default": {
            "BACKEND": "django_fsspec.storage.FSSpecStorage",
            "OPTIONS": {"fs": "memory", "prefix": media_prefix},
        },
        "staticfiles": {
            "BACKEND": "django_fsspec.staticfiles.FSSpecStaticStorage",
            "OPTIONS": static,
        },
    }
    with override_settings(STORAGES=config):
        messages = [message for message in check_storages() if message.id == W004]
    assert len(messages) == warned
    for message in messages:
        assert "STORAGES['staticfiles']" in message.msg
        assert "STORAGES['default']" in message.msg


@both_classes
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"STATIC_URL": None}, "STATIC_URL"),
        ({"MEDIA_URL": "/static/"}, "MEDIA_URL and STATIC_URL"),
        ({"MEDIA_ROOT": "/srv/files", "STATIC_ROOT": "/srv/files"}, "MEDIA_ROOT and STATIC_ROOT"),
    ],
    ids=["no STATIC_URL", "one URL", "one folder"],
)
def test_settings_that_django_refuses(
    static_class: type[FSSpecStaticStorage], wrong: dict[str, Any], message: str
) -> None:
    with (
        override_settings(**{"STATIC_URL": "/static/", **wrong}),
        pytest.raises(ImproperlyConfigured, match=message),
    ):
        static_class(fs="file")
