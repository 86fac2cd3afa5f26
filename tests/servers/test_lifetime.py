"""Servers live and die as tests need them to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.utils import assert_round_trip, new, started, wait_for
from tests.servers import (
    CountingProxy,
    LocalBucketS3,
    MissingServer,
    MotoS3,
    RcloneS3,
    SeaweedS3,
    Server,
    ServerFailed,
)
from tests.servers.base import find_executable
from tests.servers.module import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.once, pytest.mark.slow]


S3_CLASSES = [SeaweedS3, LocalBucketS3, MotoS3, RcloneS3]


def test_kill_and_start_again_keeps_files_and_port() -> None:
    with started(SeaweedS3) as server:
        client = server.boto3_client()
        client.put_object(Bucket=server.bucket, Key="kept", Body=b"x")
        url = server.endpoint_url
        server.kill()
        assert not server.running
        server.start()
        assert server.endpoint_url == url
        assert client.get_object(Bucket=server.bucket, Key="kept")["Body"].read() == b"x"
        client.close()


def test_a_server_kept_in_memory_has_its_bucket_again() -> None:
    with started(MotoS3) as server:
        server.kill()
        server.start()
        assert_round_trip(new("s3", **server.fs_options), f"{server.bucket}/file")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells children of their parent's end.")
def test_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from tests.servers import CountingProxy\n"
        "print(CountingProxy(1).start().pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code]
    env = {**os.environ, "TMPDIR": str(tmp_path)}  # For what is left behind.
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=env) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
    wait_for(lambda: not alive(pid))


def test_server_is_stopped_at_exit() -> None:
    code = (
        "from tests.servers import CountingProxy\n"
        "server = CountingProxy(1).start()\n"
        "print(server.pid, server.directory)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    pid, directory = done.stdout.split()
    assert not alive(int(pid))
    assert not os.path.exists(directory)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_stop_the_server(proxy: CountingProxy) -> None:
    child = os.fork()
    if child == 0:
        try:
            proxy.stop()
            proxy.kill()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert proxy.running
    assert proxy.connections() == (0, 0)


class Broken(Server):
    def _command(self) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit('No luck today.')"]


class Silent(Server):
    def _command(self) -> list[str]:
        return [sys.executable, "-c", "print('Up.', flush=True); import time; time.sleep(60)"]


def test_a_server_that_ends_shows_its_log() -> None:
    server = Broken()
    with pytest.raises(ServerFailed, match=r"No luck today\."):
        server.start()
    assert not server.running


def test_a_server_that_does_not_answer_is_given_up() -> None:
    server = Silent(wait=0.5)
    with pytest.raises(ServerFailed, match=r"did not answer in 0\.5 s(.|\n)*Up\."):
        server.start()
    assert not server.running


def test_a_missing_program_says_what_to_install() -> None:
    with pytest.raises(MissingServer, match="nosuch was not found: pip install nosuch"):
        find_executable("nosuch", "pip install nosuch")


class Absent(Server):
    def _command(self) -> list[str]:
        return [find_executable("nosuch", "pip install nosuch")]


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip), ("1", pytest.fail)])
def test_a_missing_program_fails_in_ci_and_skips_elsewhere(
    ci: str, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome.Exception, match="pip install nosuch"):
        started(Absent)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
