"""What is known of filesystems without importing their packages is what the packages say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.utils.module_loading import import_string
from fsspec.registry import get_filesystem_class, known_implementations

from django_fsspec import adapters
from django_fsspec.adapters import adapter_class, families
from django_fsspec.adapters.families import Family, family_of
from django_fsspec.storage import FSSpecStorage, mounts
from django_fsspec.storage.filesystem_options import _OF_FSSPEC, _parameters
from django_fsspec.storage.filesystems import mount, outline
from django_fsspec.storage.mounts import Mount, Outline
from django_fsspec.storage.options import OptionError, StorageOptions

pytestmark = pytest.mark.once

CLIENTS = (
    *("adlfs", "aiobotocore", "aiohttp", "asyncssh", "azure", "boto3", "botocore", "dropbox"),
    *("dropboxdrivefs", "gcsfs", "google", "httpx", "paramiko", "requests", "s3fs", "sshfs"),
    "webdav4",
)
#: usual options of an alias of each family
USUAL: dict[str, dict[str, Any]] = {
    "s3": {
        "fs": "s3",
        "prefix": "bucket/media",
        "fs_options": {
            "key": "k",
            "secret": "s",
            "endpoint_url": "http://127.0.0.1:1",
            "client_kwargs": {"region_name": "eu-west-1"},
        },
        "object_options": {"cache_control": "max-age=60"},
    },
    "s3 by a URL": {"fs": "s3://bucket/media"},
    "gcs": {"fs": "gcs", "prefix": "bucket", "fs_options": {"token": "anon", "project": "p"}},
    "gs by a URL": {"fs": "gs://bucket-1/a/b"},
    "azure": {"fs": "abfs", "prefix": "container", "fs_options": {"account_name": "a"}},
    "azure by a URL": {"fs": "az://container/media", "fs_options": {"account_name": "a"}},
    "sftp": {"fs": "sftp", "prefix": "/srv", "fs_options": {"host": "h", "username": "u"}},
    "webdav": {"fs": "webdav", "prefix": "/dav", "fs_options": {"base_url": "http://h"}},
    "http": {"fs": "http", "prefix": "https://data.example.com/public"},
    "dropbox": {"fs": "dropbox", "prefix": "/media", "fs_options": {"token": "t"}},
    "github": {"fs": "github", "fs_options": {"org": "o", "repo": "r"}},
}


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """fsspec has imported no filesystem yet."""
    monkeypatch.setattr(families, "registry", {})


def options_of(given: Mapping[str, Any]) -> StorageOptions:
    return FSSpecStorage(**given).options


@pytest.mark.parametrize("family", families._FAMILIES, ids=lambda family: family.filesystem)
def test_what_the_package_says(family: Family) -> None:
    protocol = family.protocols[0]
    by_protocol = known_implementations[protocol]["class"] == family.filesystem
    # which tells some classes their protocol
    fs_class = get_filesystem_class(protocol) if by_protocol else import_string(family.filesystem)
    adapter = adapter_class(fs_class)
    further = adapter.further_options()
    assert further is not None
    assert family.options <= {*_parameters(fs_class), *further, *_OF_FSSPEC}
    # arguments of methods that nobody can set
    assert not {"self", "method", "str_or_url"}.intersection(further)
    assert adapter.dialect is family.dialect
    assert {*adapters.protocols_of(fs_class)} <= {*family.protocols}
    assert family.is_installed


@pytest.mark.parametrize("alias", USUAL)
def test_an_outline_is_that_of_the_mount(alias: str, unloaded: None) -> None:
    options = options_of(USUAL[alias])
    known, mounted = outline(options), mount(options)
    assert isinstance(known, Outline)
    assert {*mounted.holder_protocols} <= {*known.holder_protocols}
    for name in ("dialect", "root", "is_local"):
        assert getattr(known, name) == getattr(mounted, name), name
    prefix = str(options.prefix)
    assert mounts.root_of(known, prefix, str) == mounts.root_of(mounted, prefix, str)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"fs": "s3", "fs_options": {"access_key": "k"}}, "did you mean 'key'"),
        ({"fs": "s3", "fs_options": {"config_kwargs": {"signature_version": "s3"}}}, "s3v4"),
        ({"fs": "http", "fs_options": {"client_kwargs": {"x": 1}}}, "client_kwargs"),
        ({"fs": "gs://user:pw@bucket"}, "credentials"),
        ({"fs": "s4"}, "not a protocol"),
    ],
)
def test_what_is_unusual_is_judged_by_the_package(
    given: dict[str, Any], error: str, unloaded: None
) -> None:
    with pytest.raises(OptionError, match=error):
        outline(options_of(given))


def test_a_loaded_filesystem_speaks_for_itself() -> None:
    options = options_of(USUAL["s3"])
    mount(options)
    assert isinstance(outline(options), Mount)


def test_an_adapter_of_a_third_party_goes_first(
    unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert family_of("s3", {}) is families.S3
    monkeypatch.setitem(adapters._table, "s3", "elsewhere.Adapter")
    assert family_of("s3", {}) is None


@pytest.mark.parametrize("missing", [None, "absent"])
def test_a_missing_package_is_told(
    missing: str | None, unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing is None:
        monkeypatch.setitem(sys.modules, "paramiko", None)
    assert not Family(
        filesystem="", protocols=(), options=frozenset(), dialect=families.S3.dialect,
        packages=(missing or "paramiko",),
    ).is_installed  # fmt: skip


SITE = """
import json, sys
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_fsspec"],
    ROOT_URLCONF="django_fsspec.urls",
    SECRET_KEY="s",
    STATIC_URL="static/",
    STORAGES=json.loads(sys.argv[1]),
    USE_TZ=True,
)
django.setup()
assert "django_fsspec.storage" not in sys.modules
call_command("check")
print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))
"""


def test_check_imports_no_client_library() -> None:
    ours = "django_fsspec.storage.FSSpecStorage"
    static = "django_fsspec.staticfiles.FSSpecManifestStaticStorage"
    storages = {
        alias: {"BACKEND": ours, "OPTIONS": {**options, "base_url": "/x/"}}
        if alias == "github"
        else {"BACKEND": ours, "OPTIONS": options}
        for alias, options in USUAL.items()
    }
    storages |= {
        "default": storages["s3"],
        "staticfiles": {"BACKEND": static, "OPTIONS": {"fs": "s3", "prefix": "bucket/static"}},
    }
    run = subprocess.run(
        [sys.executable, "-c", SITE, json.dumps(storages), json.dumps(CLIENTS)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(adapters.__file__).parents[2])},
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == []
