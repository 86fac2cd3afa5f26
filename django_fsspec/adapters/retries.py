"""RetryPolicy: how adapters retry a request or a connection (botocore retries S3's own requests).

The pause before a retry doubles each time and varies at random, so that clients that failed
together do not come back together ("Exponential Backoff And Jitter", AWS Architecture Blog).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


def pause_before(retry: int, first: float = 0.1, longest: float = 2.0) -> float:
    """Return the seconds before a retry, of which the first is number 1."""
    pause: float = min(longest, first * 2 ** (retry - 1))
    return pause * random.uniform(0.5, 1.5)  # noqa: S311


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which failures are retried, how often, and after how many seconds.

    `transient` decides on what a try raised, `busy` on what it returned; a busy response is
    closed before the next try. The result or error of the last try is returned or raised.

    Example::

        policy = RetryPolicy(2, lambda error: isinstance(error, TimeoutError))
        assert policy.run(lambda: "answer") == "answer"
    """

    #: further tries after the first
    retries: int
    transient: Callable[[Exception], bool]
    busy: Callable[[Any], bool] | None = None
    #: seconds that the server asks to wait; an error that asks for over `longest_pause` is final
    requested_pause: Callable[[Exception], float | None] | None = None
    first_pause: float = 0.1
    longest_pause: float = 2.0

    def run(self, attempt: Callable[[], T]) -> T:
        """Return what `attempt()` returns, called up to ``retries + 1`` times.

        Raises what the last call raises, or the first error that is not transient.
        """
        for pause in self._pauses():
            try:
                result = attempt()
            except Exception as error:
                seconds = self._pause_after(error, pause)
            else:
                if not self._discarded(result):
                    return result
                seconds = pause
            time.sleep(seconds)
        return attempt()

    async def arun(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Await `attempt()`; see run()."""
        for pause in self._pauses():
            try:
                result = await attempt()
            except Exception as error:
                seconds = self._pause_after(error, pause)
            else:
                if not self._discarded(result):
                    return result
                seconds = pause
            await asyncio.sleep(seconds)
        return await attempt()

    def _pauses(self) -> Iterator[float]:
        """Yield the seconds before each retry."""
        for number in range(self.retries):
            yield pause_before(number + 1, self.first_pause, self.longest_pause)

    def _pause_after(self, error: Exception, pause: float) -> float:
        """Return the seconds to wait after `error`; raise it where it is final."""
        if not self.transient(error):
            raise error
        requested = self.requested_pause(error) if self.requested_pause else None
        if requested is None:
            return pause
        if requested > self.longest_pause:
            raise error
        return requested

    def _discarded(self, result: Any) -> bool:
        """Return whether `result` is not to be used; a response is closed then."""
        if self.busy is None or not self.busy(result):
            return False
        result.close()
        return True
