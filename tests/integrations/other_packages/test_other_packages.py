"""sweep_files leaves alone what other packages keep beside the files of rows, run with each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings

from tests import servers
from tests.helpers.audit import NOW, fates, in_memory, put, there
from tests.helpers.backends import folder, server
from tests.helpers.workers import Worker
from tests.integrations.other_packages import jobs

pytestmark = [pytest.mark.once, pytest.mark.slow]

OURS = "django_fsspec.storage.FSSpecStorage"
PACKAGES = ["easy_thumbnails", "sorl", "sorl_dbm", "imagekit", "filer", "wagtail"]


@pytest.mark.parametrize("package", PACKAGES)
def test_files_of_other_packages_are_in_use(package: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PACKAGE": package, "DBM_FILE": str(tmp_path / "thumbnails")}
    with Worker(f"{jobs.__package__}.settings", environment) as worker:
        result = worker.call(jobs.sweep, package)
    made, before, after = result["made"], result["before"], result["after"]
    assert len(set(made)) == len(made) > 0
    everything = before["default"] + before["private"]
    for name in made:
        assert name in everything or f"private-thumbnails/{name}" in everything
    for alias in ("default", "private"):
        assert after[alias] == [name for name in before[alias] if name != "orphan.txt"]
        assert "orphan.txt" in before[alias]


# static files, through django-storages on a bucket


def s3_options(prefix: str) -> dict[str, object]:
    s3 = server(servers.SeaweedS3)
    return {"fs": "s3", "prefix": prefix, "fs_options": s3.fs_options}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "site.css").write_text("body { background: url('dot.svg') }\n")
    (tmp_path / "css" / "dot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>\n")
    return tmp_path


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("backend", ["S3StaticStorage", "S3ManifestStaticStorage"])
@pytest.mark.parametrize("where", ["in a folder", "among uploads", "in our prefix"])
def test_static_files_in_the_same_bucket(source: Path, backend: str, where: str) -> None:
    s3 = server(servers.SeaweedS3)
    bucket = folder()
    s3.boto3_client().create_bucket(Bucket=bucket)
    prefix = {"in a folder": "", "among uploads": "", "in our prefix": "/site"}[where]
    location = {"in a folder": "static", "among uploads": "", "in our prefix": "site/static"}[
        where
    ]
    static = {
        "bucket_name": bucket,
        "location": location,
        "endpoint_url": s3.endpoint_url,
        "access_key": s3.fs_options["key"],
        "secret_key": s3.fs_options["secret"],
        "region_name": "us-east-1",
        "addressing_style": "path",
    }
    config = {
        "default": {
            "BACKEND": OURS,
            "OPTIONS": s3_options(f"{bucket}{prefix}"),
        },
        "staticfiles": {"BACKEND": f"storages.backends.s3.{backend}", "OPTIONS": static},
    }
    with override_settings(
        STORAGES=config,
        STATIC_URL="/static/",
        STATICFILES_DIRS=[source],
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
    ):
        call_command("collectstatic", interactive=False, verbosity=0)
        static_names = there()
        assert len(static_names) == (5 if "Manifest" in backend else 2)
        put("orphan.txt", "css/orphan.css")
        assert fates(**NOW) == {"orphan.txt": "deleted", "css/orphan.css": "deleted"}
        assert there() == static_names


@pytest.mark.django_db(databases=["default", "other"])
def test_a_static_storage_that_cannot_be_made() -> None:
    static = {"BACKEND": "nowhere.Storage"}
    memory = {"BACKEND": OURS, "OPTIONS": in_memory(folder())}
    with override_settings(STORAGES={"default": memory, "staticfiles": static}):
        put("orphan.txt")
        assert fates(**NOW) == {"orphan.txt": "deleted"}
