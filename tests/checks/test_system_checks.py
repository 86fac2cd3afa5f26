"""System checks: settings and fields, without a request."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import global_settings
from django.core.checks import run_checks
from django.test import override_settings

from django_fsspec.checks.system_checks import check_storages
from django_fsspec.storage.configured_storage import check_installed
from django_fsspec.storage.url_options import MaskedURL
from django_fsspec.testing import override_storage
from tests import servers
from tests.library.models import Attachment, Paper

OURS = "django_fsspec.storage.FSSpecStorage"
PARAMIKO = "fsspec.implementations.sftp.SFTPFileSystem"


def found(options: dict[str, Any], backend: str = OURS) -> list[tuple[str, str]]:
    config = {"media": {"BACKEND": backend, "OPTIONS": options}}
    with override_settings(STORAGES={**global_settings.STORAGES, **config}):
        return [(message.id or "", message.msg) for message in check_storages()]


@pytest.mark.django_db(databases=["default", "other"])
def test_the_projects_own_settings_are_well() -> None:
    assert [m for m in run_checks() if (m.id or "").startswith("django_fsspec")] == []


@pytest.mark.parametrize(
    ("options", "identity"),
    [
        ({"fs": "memory", "prefx": ""}, "django_fsspec.E001"),
        ({"fs": "s4"}, "django_fsspec.E003"),
        ({"fs": "s3", "prefix": "/bucket"}, "django_fsspec.E005"),
        ({"fs": "file", "prefix": "relative/path"}, "django_fsspec.E005"),
        ({"fs": "file", "prefix": "/x", "object_options": {"acl": "x"}}, "django_fsspec.E006"),
        ({"fs": "memory", "gzip": True}, "django_fsspec.E007"),
    ],
)
def test_errors(options: dict[str, Any], identity: str) -> None:
    ((number, message),) = found(options)
    assert number == identity
    assert message.startswith("STORAGES['media']['OPTIONS']")


@pytest.mark.parametrize(
    ("options", "identity", "expected"),
    [
        ({"fs": "dir"}, "E003", "dir::"),
        ({"fs": "filecache"}, "E003", "filecache::"),
        ({"fs": "simplecache"}, "E003", "simplecache::"),
        ({"fs": "blockcache"}, "E003", "blockcache::"),
        ({"fs": "dir::filecache"}, "E003", "filecache::"),
        ({"fs": "zip"}, "E004", "'fo'"),
        ({"fs": "tar"}, "E004", "'fo'"),
        ({"fs": "adl"}, "E003", "retired"),
        ({"fs": "gcs://KEY:SECRET@bucket/m"}, "E003", "'fs_options'"),
        ({"fs": "s3://KEY:SECRET@bucket/m?endpoint_ur=x"}, "E003", "'endpoint_url'"),
        ({"fs": "s3", "prefix": "b", "fs_options": {"access_key": "x"}}, "E004", "'key'?"),
        ({"fs": "s3", "prefix": "b", "fs_options": {"secret_key": "x"}}, "E004", "'secret'?"),
        ({"fs": "s3", "prefix": "b", "fs_options": {"endpoint": "x"}}, "E004", "'endpoint_url'?"),
        ({"fs": "gcs", "prefix": "b", "fs_options": {"tokn": "x"}}, "E004", "'token'?"),
        (
            {"fs": "az", "prefix": "b", "fs_options": {"account_nam": "x"}},
            "E004",
            "'account_name'",
        ),
        ({"fs": "ftp", "fs_options": {"host": "x", "user": "x"}}, "E004", "'username'?"),
        ({"fs": "sftp", "fs_options": {"host": "x", "user": "x"}}, "E004", "'username'?"),
        ({"fs": "sftp", "fs_options": {"host": "x", "passwd": "x"}}, "E004", "'password'?"),
        ({"fs": "sftp", "fs_options": {"host": "x", "known_host": "x"}}, "E004", "'known_hosts'?"),
        ({"fs": PARAMIKO, "fs_options": {"host": "x", "user": "x"}}, "E004", "'username'?"),
        ({"fs": PARAMIKO, "fs_options": {"host": "x", "key_file": "x"}}, "E004", "'key_filename"),
        ({"fs": "webdav", "fs_options": {"base_ur": "http://x"}}, "E004", "'base_url'?"),
        ({"fs": "webdav", "fs_options": {"base_url": "x", "verfy": False}}, "E004", "'verify'?"),
        (
            {"fs": "http", "prefix": "http://x", "fs_options": {"client_kwarg": {}}},
            "E004",
            "'client_kwargs'?",
        ),
        ({"fs": "http", "prefix": "http://x", "fs_options": {"header": {}}}, "E004", "'headers'?"),
        (
            {"fs": "http", "prefix": "http://x", "fs_options": {"client_kwargs": {"headres": {}}}},
            "E004",
            "'headres'",
        ),
        ({"fs": "dropbox", "fs_options": {"tokn": "x"}}, "E004", "'token'?"),
        ({"fs": "dropbox", "fs_options": {"oauth2_access_token": "x"}}, "E004", "'token'?"),
        ({"fs": "github", "fs_options": {"org": "x", "repos": "x"}}, "E004", "'repo'?"),
        ({"fs": "memory", "fs_options": {"zzz": 1}}, "E004", "'zzz'"),
        ({"fs": "file", "prefix": "/x", "fs_options": {"auto_mkdirs": 1}}, "E004", "'auto_mkdir'"),
        ({"fs": "zip", "fs_options": {"fo": "/x.zip", "compresion": 1}}, "E004", "'compression'"),
        (
            {"fs": "simplecache::s3", "prefix": "b", "fs_options": {"s3": {"endpoint": "x"}}},
            "E004",
            "'endpoint_url'?",
        ),
    ],
)
def test_filesystems_that_can_not_be_made(
    options: dict[str, Any], identity: str, expected: str
) -> None:
    ((number, message),) = found(options)
    assert number == f"django_fsspec.{identity}"
    assert message.startswith("STORAGES['media']['OPTIONS']")
    assert expected in message
    assert "SECRET" not in message


@pytest.mark.parametrize(
    "options",
    [
        {"fs": "s3", "prefix": "b", "fs_options": {"profile": "p", "skip_instance_cache": True}},
        {"fs": "s3://bucket/a?versionId=1"},
        {"fs": "zip::https://host/a.zip?token=1"},
        {"fs": "az://container@account.dfs.core.windows.net/folder"},
        {"fs": MaskedURL("sftp://user:password@host/folder")},
        {"fs": "gcs://bucket/m?project=x"},
        {"fs": "az://container/m?account_name=x"},
        {"fs": "dir::s3://bucket/m?endpoint_url=http://x"},
        {"fs": "ftp://host/m?timeout=3"},
        {"fs": "gcs", "prefix": "b", "fs_options": {"token": "anon", "project": "p"}},
        {"fs": "gcs", "prefix": "b", "fs_options": {"retry_timeout": 9, "memmove_max_workers": 2}},
        {"fs": "sftp", "fs_options": {"host": "x", "port": 1, "client_keys": [], "config": None}},
        {"fs": PARAMIKO, "fs_options": {"host": "x", "pkey": None, "known_hosts": None}},
        {
            "fs": "webdav",
            "fs_options": {"base_url": "http://x", "auth": ("u", "p"), "verify": False},
        },
        {"fs": "http", "prefix": "http://x", "fs_options": {"ssl": False, "encoded": True}},
        {"fs": "dropbox", "fs_options": {"token": "x"}},
        {"fs": "github", "fs_options": {"org": "x", "repo": "x", "token": "x", "username": "x"}},
        {"fs": "zip", "fs_options": {"fo": "/x.zip", "target_protocol": "file"}},
    ],
)
def test_filesystems_that_can_be_made(options: dict[str, Any]) -> None:
    assert found(options) == []


def test_backend_without_urls_is_warned_of() -> None:
    assert found({"fs": "memory"}) == []
    with override_settings(ROOT_URLCONF="tests.helpers.no_urls"):
        ((number, message),) = found({"fs": "memory"})
        assert number == "django_fsspec.W001"
        assert "STORAGES['media']" in message
        assert found({"fs": "memory", "base_url": "https://cdn.example/"}) == []
        assert found({"fs": "s3", "prefix": "bucket"}) == []


@pytest.mark.django_db(databases=["default", "other"])
def test_overwriting_storage_of_a_field_is_warned_of() -> None:
    with override_storage(default={"fs": "memory", "allow_overwrite": True}):
        warnings = [m for m in run_checks() if m.id == "django_fsspec.W002"]
    fields = [m.obj for m in warnings]
    assert len(fields) == len(set(fields))
    assert {Attachment._meta.get_field(name) for name in ("file", "picture")} < set(fields)
    assert Paper._meta.get_field("file") in fields
    assert "STORAGES['default']['OPTIONS']['allow_overwrite']" in warnings[0].msg


def test_app_not_installed() -> None:
    with override_settings(INSTALLED_APPS=["django.contrib.staticfiles"]):
        assert [message.id for message in check_installed()] == ["django_fsspec.E002"]
    assert check_installed() == []


def test_check_makes_no_request() -> None:
    options = {
        "fs": "s3",
        "prefix": "bucket",
        "fs_options": {"endpoint_url": f"http://127.0.0.1:{servers.closed_port()}"},
    }
    assert found(options, "django_fsspec.staticfiles.FSSpecManifestStaticStorage") == []


def test_other_backends_are_left_alone() -> None:
    assert found({}, "django.core.files.storage.FileSystemStorage") == []
    assert found({}, "no.such.Backend") == []
