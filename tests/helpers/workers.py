"""Worker processes that live over many jobs, and can be killed in the middle of one.

A job is a function of an importable module; it and its arguments travel as pickles. A worker has
Django configured and nothing else, unless it is given settings. Start-up is slow on small
machines, jobs are not.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from typing import Self

P = ParamSpec("P")
T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]


class WorkerDied(RuntimeError):
    """The process ended before it answered."""


class JobFailed(RuntimeError):
    """The job raised; the message is its traceback."""


class Worker:
    """A process that does one job after the other, with Django's `settings` if they are named."""

    def __init__(
        self, settings: str | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        path = environment.get("PYTHONPATH")
        named = [settings] if settings else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(os.getpid()), *named],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, job: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Start a job; `result()` waits for it."""
        assert self._process.stdin
        pickle.dump((job, args, kwargs), self._process.stdin)
        self._process.stdin.flush()

    def result(self, timeout: float = 60) -> Any:
        """Return what the job sent last returned."""
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        if not ready:
            self.kill()
            raise TimeoutError(f"The job did not end in {timeout} s.")
        try:
            failed, value = pickle.load(self._process.stdout)
        except EOFError as error:
            raise WorkerDied(f"The worker ended with {self._process.wait()}.") from error
        if failed:
            raise JobFailed(value)
        return value

    def call(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do a job and return its result."""
        self.send(job, *args, **kwargs)
        result: T = self.result()
        return result

    def ready(self) -> Self:
        """Return when the process has started and Django is configured."""
        self.call(os.getpid)
        return self

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the process: at once when it is idle, by SIGKILL when it is not."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process.stdout.close()


@contextlib.contextmanager
def crew(count: int) -> Iterator[Sequence[Worker]]:
    """Start `count` workers, ready when the block begins, ended after it."""
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker()) for _ in range(count)]
        for worker in workers:
            worker.ready()
        yield workers


def results(workers: Sequence[Worker]) -> list[Any]:
    """Return the results of all; raise the first failure when none is at work any more."""
    found: list[Any] = []
    failures: list[JobFailed] = []
    for worker in workers:
        try:
            found.append(worker.result())
        except JobFailed as failure:
            failures.append(failure)
    if failures:
        raise failures[0]
    return found


def starting_gun(delay: float = 0.05) -> float:
    """Return a moment soon, by the clock that all processes of a machine share."""
    return time.monotonic() + delay


def wait_until(moment: float) -> None:
    """Return at `moment`, of `starting_gun()`."""
    time.sleep(max(0.0, moment - time.monotonic() - 0.002))
    while time.monotonic() < moment:
        pass


def _serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    while True:
        try:
            job, args, kwargs = pickle.load(orders)
        except EOFError:
            return
        try:
            answer = (False, job(*args, **kwargs))
        except Exception:
            answer = (True, traceback.format_exc())
        pickle.dump(answer, answers)
        answers.flush()


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit("The parent is already gone.")


def main() -> None:
    """Serve jobs from standard input; what they print goes to standard error."""
    _die_with_parent(int(sys.argv[1]))
    # a shell has its background jobs ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    import django
    from django.conf import settings

    if len(sys.argv) > 2:
        os.environ["DJANGO_SETTINGS_MODULE"] = sys.argv[2]
    else:
        settings.configure(USE_TZ=True, SECRET_KEY="of a worker", STORAGES={})
    django.setup()
    _serve(sys.stdin.buffer, answers)
    os._exit(0)  # taking the interpreter down takes longer than the jobs


if __name__ == "__main__":
    main()
