"""collectstatic onto our storages, checked by reading what a browser would."""

from __future__ import annotations

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
from django.core.files.storage import storages
from django.core.management import call_command
from django.test import override_settings

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
    fresh = type(site)(**site._arguments)
    assert fresh.url("css/site.css") == f"/static/{hashed}"
    collect()
    assert json.loads(site.get_content("staticfiles.json")) == manifest


@pytest.mark.parametrize("place", ["s3"], indirect=True)
@pytest.mark.parametrize("site", ["FSSpecStaticStorage"], indirect=True)
def test_headers_reach_the_browser(site: FSSpecStorage, place: dict[str, Any]) -> None:
    collect()
    plain = FSSpecStorage(**place)
    with urlopen(plain.url("css/site.css"), timeout=10) as response:
        assert response.headers["Content-Type"] == "text/css"
        assert response.headers["Cache-Control"] == "max-age=31536000"
