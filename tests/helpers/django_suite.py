"""Settings for Django's own test suite, with our storages in the place of Django's.

``scripts/django-suite`` runs it. It sets DJANGO_SUITE_RESULTS, the path of the JSON file that the
results go to, and for the control run DJANGO_SUITE_CONTROL, with which nothing is replaced.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles import storage as static_storages
from django.core.files import storage as storages
from django.test.runner import DiscoverRunner

from django_fsspec.staticfiles import FSSpecManifestStaticStorage, FSSpecStaticStorage
from django_fsspec.storage import FSSpecStorage

# as in Django's tests/test_sqlite.py
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3"},
    "other": {"ENGINE": "django.db.backends.sqlite3"},
}
SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = f"{__name__}.Runner"


class _Arguments(FSSpecStorage):
    """Takes the arguments of ``FileSystemStorage``, and has its attributes that tests need."""

    #: file_storage.tests of 5.2 names it when it is imported
    OS_OPEN_FLAGS: ClassVar[int] = 0

    def __init__(
        self,
        location: str | os.PathLike[str] | None = None,
        base_url: str | None = None,
        file_permissions_mode: int | None = None,
        directory_permissions_mode: int | None = None,
        allow_overwrite: bool | None = None,
        **options: Any,
    ) -> None:
        self._location = location
        if allow_overwrite is not None:
            options["allow_overwrite"] = allow_overwrite
        if location is not None and base_url is None:
            base_url = self._default_url()
        super().__init__(
            fs="file",
            prefix="" if location is None else os.path.abspath(location),
            base_url=base_url,
            file_permissions_mode=file_permissions_mode,
            directory_permissions_mode=directory_permissions_mode,
            **options,
        )

    def _default_url(self) -> str | None:
        # ours is for MEDIA_ROOT alone, Django's for any location
        return None if isinstance(self, FSSpecStaticStorage) else settings.MEDIA_URL

    @property
    def base_location(self) -> str | os.PathLike[str]:
        return self._default_root() if self._location is None else self._location

    @property
    def location(self) -> str:
        return os.path.abspath(self.base_location)

    @property
    def base_url(self) -> str | None:
        return self.urls.base_url


class FileSystemStorage(_Arguments):
    pass


class StaticFilesStorage(_Arguments, FSSpecStaticStorage):
    pass


class ManifestStaticFilesStorage(_Arguments, FSSpecManifestStaticStorage):  # type: ignore[misc]
    pass


def replace(module: Any, ours: type) -> None:
    """Put a class of ours into each module of Django's that holds the class of its name."""
    theirs = getattr(module, ours.__name__)
    for name, loaded in list(sys.modules.items()):
        # finders read the folders of the sources, which are on this disk and in no storage
        replaceable = name.startswith("django.") and loaded is not finders
        if replaceable and vars(loaded).get(ours.__name__) is theirs:
            setattr(loaded, ours.__name__, ours)


class Runner(DiscoverRunner):
    """Writes what became of each test into a file, as id -> (word, reason)."""

    def build_suite(self, *args: Any, **kwargs: Any) -> Any:
        suite: Any = super().build_suite(*args, **kwargs)
        self.results = {test.id(): ("passed", "") for test in suite}
        return suite

    def run_checks(self, databases: set[str]) -> None:
        # the tests choose INSTALLED_APPS, and know no app of ours
        settings.SILENCED_SYSTEM_CHECKS.append("django_fsspec.E002")
        super().run_checks(databases)

    def suite_result(self, suite: Any, result: Any, **kwargs: Any) -> int:
        outcomes = [(test, "skipped", reason) for test, reason in result.skipped]
        outcomes += [(test, "failed", text) for test, text in result.failures + result.errors]
        outcomes += [(test, "failed", "no failure") for test in result.unexpectedSuccesses]
        for test, word, reason in outcomes:
            # a subtest is of its test; of a class that can't be set up no test is of this id
            self.results[getattr(test, "test_case", test).id()] = (word, reason)
        Path(os.environ["DJANGO_SUITE_RESULTS"]).write_text(json.dumps(self.results))
        return super().suite_result(suite, result, **kwargs)


if "DJANGO_SUITE_CONTROL" not in os.environ:
    replace(storages, FileSystemStorage)
    replace(static_storages, StaticFilesStorage)
    replace(static_storages, ManifestStaticFilesStorage)
