"""The life of a real server process: started, waited for, stopped."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from .ports import HOST, accepts, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

_BOUND_TO_PARENT = """\
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != int(sys.argv[1]):
        sys.exit("The parent is already gone.")
os.execvpe(sys.argv[2], sys.argv[2:], os.environ)
"""


class MissingServer(RuntimeError):
    """The program of a server is not installed."""


class ServerFailed(RuntimeError):
    """A server stopped, or did not answer in time."""


def find_executable(name: str, install: str, *places: str | Path) -> str:
    """Return the path of a program, looking in `places`, this environment and PATH."""
    folders = [str(place) for place in places]
    folders += [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
    folders += [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise MissingServer(f"{name} was not found: {install}")
    return found


class Server:
    """A server process on loopback ports of its own, with a temporary directory of its own.

    A subclass says what to run in `_command()` and when it is ready in `_answers()`.
    `kill()` keeps directory and ports: `start()` after it brings the server back
    as a machine comes back after a power cut. `stop()` removes everything.

    On Linux the process dies with its parent, even when the parent is killed. The
    kernel watches the *thread* that started it: call `start()` from one that lives
    as long as the server is needed.
    """

    ports_needed: ClassVar[int] = 1
    ports_paired_with: ClassVar[int] = 0
    start_attempts: ClassVar[int] = 3
    volatile: ClassVar[bool] = False
    """Whether the server forgets everything when it is killed."""

    def __init__(self, *, wait: float = 20.0) -> None:
        self.wait = wait
        self.ports: tuple[int, ...] = ()
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def __repr__(self) -> str:
        state = f"port={self.ports[0]}" if self.running else "stopped"
        return f"<{type(self).__name__} {state}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port clients talk to."""
        if not self.ports:
            raise ServerFailed(f"{type(self).__name__} was not started.")
        return self.ports[0]

    @property
    def url(self) -> str:
        """The address clients talk to."""
        return f"http://{HOST}:{self.port}"

    @property
    def directory(self) -> Path:
        """The temporary directory, removed by `stop()`."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        return self._directory

    @property
    def log(self) -> Path:
        """What the process wrote to its standard output and error."""
        return self.directory / "server.log"

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The id of the process, while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start the process and return when it really answers."""
        if self.running:
            return self
        _alive.add(self)
        fresh = not self.ports
        try:
            for attempt in range(self.start_attempts):
                if fresh:
                    self.ports = free_ports(self.ports_needed, paired_with=self.ports_paired_with)
                try:
                    self._launch(fresh=fresh)
                    return self
                except ServerFailed:
                    # Somebody may have taken a port between our look and its use.
                    hangs = self._process is not None and self._process.poll() is None
                    self.kill()
                    if hangs or not fresh or attempt + 1 == self.start_attempts:
                        raise
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Kill the process group and remove the directory. Harmless when repeated."""
        if os.getpid() != self._owner:
            return  # A forked child holds a copy of this object, but not the server.
        self.kill()
        _alive.discard(self)
        self.ports = ()
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def kill(self) -> None:
        """Send SIGKILL to the process group: a crash, which keeps ports and directory."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._cleanup()

    def log_tail(self, lines: int = 30) -> str:
        """Return the last lines of the log."""
        if self._directory is None or not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _launch(self, *, fresh: bool) -> None:
        self._prepare()
        here = str(self.directory)
        guard = [sys.executable, "-I", "-S", "-c", _BOUND_TO_PARENT, str(os.getpid())]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=here,
                env={**os.environ, "HOME": here, "TMPDIR": here, **self._environment()},
                start_new_session=True,
            )
        self._wait_until_answering()
        if fresh or self.volatile:
            self._populate()

    def _wait_until_answering(self) -> None:
        last: Exception | None = None
        for _ in _until(time.monotonic() + self.wait):
            if not self.running:
                raise ServerFailed(f"{self!r} ended at once:\n{self.log_tail()}")
            try:
                if self._answers():
                    return
            except Exception as error:  # Every client has its own.
                last = error
        raise ServerFailed(
            f"{self!r} did not answer in {self.wait} s ({last!r}):\n{self.log_tail()}"
        )

    # What a subclass supplies.

    def _prepare(self) -> None:
        """Write what the process needs into the directory."""

    def _command(self) -> Sequence[str]:
        """Return the command line."""
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        """Return additional environment variables."""
        return {}

    def _answers(self) -> bool:
        """Tell whether the server answers; an exception means not yet."""
        return accepts(self.port)

    def _populate(self) -> None:
        """Create what tests expect to find, such as a bucket, in a server that is empty."""

    def _cleanup(self) -> None:
        """Remove what the process leaves outside of its directory."""


def _until(deadline: float) -> Iterator[None]:
    pause = 0.005
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


_alive: weakref.WeakSet[Server] = weakref.WeakSet()


@atexit.register
def stop_all() -> None:
    """Stop every server that this process started."""
    for server in list(_alive):
        server.stop()
