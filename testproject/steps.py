"""Steps of something longer: each ends in a line with a tick and its seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StepFailed(Exception):
    """A step did not come to its end; the cause says why."""


class Steps:
    """Writes a line a step."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long all of it took until now."""
        return time.monotonic() - self._start

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Time what is done inside, and tell how it ended."""
        start = time.monotonic()
        try:
            yield
        except Exception as error:
            self._write(f"  ✗ {label:<76}{time.monotonic() - start:6.2f} s")
            raise StepFailed(f"{label}: {error or type(error).__name__}") from error
        self._write(f"  ✓ {label:<76}{time.monotonic() - start:6.2f} s")
