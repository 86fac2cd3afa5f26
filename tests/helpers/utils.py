"""What several test modules need."""

from __future__ import annotations

import os
import sys
import time
from array import array
from typing import TYPE_CHECKING, Any, TypeVar

import fsspec
import pytest

from tests.servers import MissingServer, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

S = TypeVar("S", bound=Server)


def started(server_class: Callable[..., S], *args: Any, **options: Any) -> S:
    """Return a running server, itself a context manager that stops it.

    Where its program is not installed the test is skipped, but fails in CI.
    """
    try:
        return server_class(*args, **options).start()
    except MissingServer as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


def numbered(count: int) -> bytes:
    """Return as many numbers of 4 bytes, the first 0: no two places look the same."""
    numbers = array("I", range(count))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()


def some(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """Return parameters of a test: `make test` runs the kept ones, `make soak` the others."""
    soak = pytest.mark.soak
    return [case if case in kept else pytest.param(case, marks=soak) for case in cases]


def assert_round_trip(fs: Any, path: str) -> None:
    fs.pipe_file(path, b"content")
    assert fs.cat_file(path) == b"content"
    assert fs.info(path)["size"] == 7
    fs.rm_file(path)
    with pytest.raises(FileNotFoundError):
        fs.info(path)


def new(protocol: str, **options: Any) -> Any:
    return fsspec.filesystem(protocol, skip_instance_cache=True, **options)


def wait_for(condition: Callable[[], bool]) -> None:
    # a busy machine takes long
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
