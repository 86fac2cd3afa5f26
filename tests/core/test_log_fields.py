"""Each log record has the fields that formatters for JSON write out."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import django_fsspec
from django_fsspec.core.log_fields import log_fields

PACKAGE = Path(django_fsspec.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
NAMES = {"alias", "file_name", "operation", "size", "seconds", "error_type", "status", "files"}


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a logger in the package, with where it is."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("logger"), attr=level)):
                    if level in LEVELS:
                        yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def test_every_log_call_has_the_fields() -> None:
    calls = dict(log_calls())
    assert len(calls) > 30
    lacking = []
    for where, call in calls.items():
        extra = next((keyword.value for keyword in call.keywords if keyword.arg == "extra"), None)
        if extra is None or ast.unparse(extra).partition("(")[0] != "log_fields":
            lacking.append(where)
    assert lacking == []


def test_modules_log_by_one_name() -> None:
    """The test above finds calls by it."""
    for path in PACKAGE.rglob("*.py"):
        for line in path.read_text().splitlines():
            if "getLogger(" in line:
                assert line == 'logger = logging.getLogger("django_fsspec")', path


def test_a_record_has_all_fields(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("django_fsspec").warning("x", extra=log_fields(operation="save"))
    (record,) = caplog.records
    assert vars(record).keys() >= NAMES
    assert {name for name in NAMES if getattr(record, name) is not None} == {"operation"}


def test_files_are_sorted_pairs() -> None:
    files = {("b", "2"), ("a", "1")}
    assert log_fields(operation="delete", files=files)["files"] == [("a", "1"), ("b", "2")]
