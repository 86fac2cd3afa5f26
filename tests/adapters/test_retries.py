"""The retry policy of all adapters: both drivers, without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from django_fsspec.adapters import retries
from django_fsspec.adapters.retries import RetryPolicy

Driver = Callable[[RetryPolicy, Callable[[], Any]], Any]


class Response:
    """A response with a status, which remembers whether it was closed."""

    def __init__(self, status: int) -> None:
        self.status, self.closed = status, False

    def close(self) -> None:
        self.closed = True


class Service:
    """Gives the `outcomes` one after the other: raises the errors, returns the rest."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def _sync(policy: RetryPolicy, service: Callable[[], Any]) -> Any:
    return policy.run(service)


def _async(policy: RetryPolicy, service: Callable[[], Any]) -> Any:
    async def attempt() -> Any:
        return service()

    return asyncio.run(_awaited(policy, attempt))


async def _awaited(policy: RetryPolicy, attempt: Callable[[], Awaitable[Any]]) -> Any:
    return await policy.arun(attempt)


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Driver:
    driver: Driver = request.param
    return driver


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds waited for, without waiting, and without chance."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(retries, "time", SimpleNamespace(sleep=waited.append))
    monkeypatch.setattr(retries, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("random.uniform", lambda low, high: (low + high) / 2)
    return waited


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError)


def _is_busy(response: Response) -> bool:
    return response.status >= 500


def test_a_first_success_waits_for_nothing(drive: Driver, pauses: list[float]) -> None:
    service = Service("answer")
    assert drive(RetryPolicy(3, _is_timeout), service) == "answer"
    assert service.calls == 1
    assert pauses == []


def test_pauses_double_up_to_the_longest(drive: Driver, pauses: list[float]) -> None:
    service = Service(*[TimeoutError()] * 6, "answer")
    assert drive(RetryPolicy(6, _is_timeout), service) == "answer"
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0])


def test_first_and_longest_pause_can_be_set(drive: Driver, pauses: list[float]) -> None:
    policy = RetryPolicy(3, _is_timeout, first_pause=1.0, longest_pause=3.0)
    drive(policy, Service(*[TimeoutError()] * 3, "answer"))
    assert pauses == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_last_error_is_raised_after_all_tries(
    drive: Driver, pauses: list[float], count: int
) -> None:
    errors = [TimeoutError(number) for number in range(count + 1)]
    service = Service(*errors)
    with pytest.raises(TimeoutError) as raised:
        drive(RetryPolicy(count, _is_timeout), service)
    assert raised.value is errors[-1]
    assert service.calls == count + 1
    assert len(pauses) == count


def test_what_is_not_transient_is_raised_at_once(drive: Driver, pauses: list[float]) -> None:
    service = Service(TimeoutError(), ValueError("no"), "answer")
    with pytest.raises(ValueError, match="no"):
        drive(RetryPolicy(5, _is_timeout), service)
    assert service.calls == 2
    assert len(pauses) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_an_interrupt_is_never_retried(pauses: list[float], error: BaseException) -> None:
    with pytest.raises(type(error)):
        RetryPolicy(5, lambda error: True).run(Service(error, "answer"))
    assert pauses == []


def test_a_cancelled_task_is_never_retried(pauses: list[float]) -> None:
    with pytest.raises(asyncio.CancelledError):
        _async(RetryPolicy(5, lambda error: True), Service(asyncio.CancelledError(), "answer"))
    assert pauses == []


def test_a_busy_response_is_closed_and_retried(drive: Driver, pauses: list[float]) -> None:
    busy, answer = Response(503), Response(200)
    policy = RetryPolicy(2, _is_timeout, busy=_is_busy)
    assert drive(policy, Service(busy, TimeoutError(), answer)) is answer
    assert (busy.closed, answer.closed) == (True, False)
    assert pauses == pytest.approx([0.1, 0.2])


def test_the_last_busy_response_is_returned_open(drive: Driver) -> None:
    first, last = Response(503), Response(503)
    assert drive(RetryPolicy(1, _is_timeout, busy=_is_busy), Service(first, last)) is last
    assert (first.closed, last.closed) == (True, False)


def test_a_server_may_ask_for_another_pause(drive: Driver, pauses: list[float]) -> None:
    policy = RetryPolicy(2, _is_timeout, requested_pause=lambda error: error.args[0])
    assert drive(policy, Service(TimeoutError(1.5), TimeoutError(None), "answer")) == "answer"
    assert pauses == pytest.approx([1.5, 0.2])


def test_a_longer_pause_than_allowed_is_final(drive: Driver, pauses: list[float]) -> None:
    policy = RetryPolicy(2, _is_timeout, requested_pause=lambda error: 60.0)
    with pytest.raises(TimeoutError):
        drive(policy, Service(TimeoutError(), "answer"))
    assert pauses == []


def test_pauses_vary_at_random(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    first = [next(RetryPolicy(1, _is_timeout)._pauses()) for _ in range(200)]
    assert len(set(first)) > 1
    assert 0.05 <= min(first) <= max(first) <= 0.15
