"""Fixtures and hooks of all tests."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.contrib.contenttypes.models import ContentType

from django_fsspec.testing import override_storage
from tests.helpers import permissions
from tests.helpers.utils import started
from tests.servers import CountingProxy, RcloneS3

_results: dict[str, dict[str, str]] = {}

#: of what came with Django 6.1: fetch modes, and rules of deletion in the database
_OF_6_1 = ["rows/test_peers.py", "checks/test_rows_deleted_by_the_database.py"]
collect_ignore = [] if django.VERSION >= (6, 1) else _OF_6_1


def pytest_collection_finish() -> None:
    """Leave the tests themselves out of garbage collections, each of which took a second."""
    gc.collect()
    gc.freeze()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember how each behaviour of the conformance suite went on each backend."""
    if "test_conformance.py::" not in report.nodeid:
        return
    test, _, parameters = report.nodeid.partition("::")[2].partition("[")
    outcomes = _results.setdefault(test, {})
    if report.when == "call" or report.outcome != "passed":
        outcomes[parameters.rstrip("]")] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the results that `make table` turns into a table."""
    path = os.environ.get("DJANGO_FSSPEC_RESULTS")
    if path and _results and not hasattr(session.config, "workerinput"):
        Path(path).write_text(json.dumps(_results, indent=1))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """Make the databases, and have no test that empties them make all permissions anew.

    That takes most of the time of most tests with ``transaction=True``. What needs a permission
    makes it: ``tests.helpers.permissions``.
    """
    permissions.make_none_after_flush()


@pytest.fixture(autouse=True)
def no_content_types_of_another_test() -> Iterator[None]:
    """Forget the content types that a test made: their rows went with its transaction."""
    yield
    ContentType.objects.clear_cache()


@pytest.fixture
def memory() -> Iterator[None]:
    """Two aliases in memory, of one test alone."""
    with override_storage("default", "second"):
        yield


@pytest.fixture(scope="module")
def rclone() -> Iterator[RcloneS3]:
    with started(RcloneS3) as server:
        yield server


@pytest.fixture
def proxy(rclone: RcloneS3) -> Iterator[CountingProxy]:
    with started(CountingProxy, rclone.port) as server:
        yield server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add where `make screenshots` has the browser's pictures go."""
    parser.addoption("--screenshots", metavar="FOLDER", help="keep the screenshots there")
