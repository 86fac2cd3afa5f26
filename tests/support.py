"""What several test modules need."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.servers import MissingServer, Server

if TYPE_CHECKING:
    from collections.abc import Callable

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
