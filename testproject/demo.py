"""The demo: an S3 server, sample files on it and on disk, and a web server over both.

It runs as two processes. The outer one starts the S3 server and hands its address to the inner
one in the environment, so that settings hold the alias "s3" from the first line on, as those of
a deployment do. Given another server's address in DEMO_S3, it uses that one.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from django.conf import settings
from django.core.files.storage import storages
from django.core.management import call_command

from django_fsspec.storage.aliases import label_of
from tests.servers.ports import HOST

from . import seed
from .listing import aliases
from .rehearsal import rehearse
from .servers import BUCKET, DemoS3, WebServer
from .steps import StepFailed, Steps

PATIENCE = 5.0


@dataclass
class Demo:
    """What was asked for. `run()` returns the exit status."""

    write: Callable[[str], object]
    port: int = 8000
    once: bool = False
    seeded: bool = True

    def run(self) -> int:
        self.steps = Steps(self.write)
        try:
            if not self.once:
                self._require_port()
            if "s3" not in settings.STORAGES:
                return self._run_beside_s3()
            self._prepare()
            return self._rehearse() if self.once else self._serve()
        except StepFailed as failure:
            self.write(f"\nFailed: {failure}")
            return 1
        except KeyboardInterrupt:
            return 128 + signal.SIGINT

    def _require_port(self) -> None:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind((HOST, self.port))
                self.port = taken.getsockname()[1]  # that of 0 is a free one
            except OSError as error:
                hint = f'make demo ARGS="--port {self.port + 1}"'
                raise StepFailed(f"port {self.port} is taken; try  {hint}") from error

    # the outer process

    def _run_beside_s3(self) -> int:
        signal.signal(signal.SIGTERM, _exit)
        server = DemoS3()
        try:
            with self.steps.step("an S3 server (SeaweedFS) answers"):
                server.start()
            environment = {**os.environ, "DEMO_S3": json.dumps(server.fs_options)}
            with subprocess.Popen(self._same_again(), env=environment) as inner:
                return _awaited(inner)
        finally:
            server.stop()

    def _same_again(self) -> Sequence[str]:
        manage = str(settings.BASE_DIR / "manage.py")
        command = [sys.executable, manage, "demo", "--port", str(self.port)]
        command += ["--once"] if self.once else []
        command += [] if self.seeded else ["--no-seed"]
        return command

    # the inner process

    def _prepare(self) -> None:
        step = self.steps.step
        settings.VAR.mkdir(parents=True, exist_ok=True)
        with step("the database is migrated"):
            call_command("migrate", verbosity=0, interactive=False)
            seed.seed_login()
        if self.seeded:
            for alias in aliases():
                title = label_of(alias)
                with step(f"{title}: sample files, one of 50 MB"):
                    seed.seed_files(storages[alias], title)
            with step("sample documents and albums, on both"):
                seed.seed_rows()

    def _rehearse(self) -> int:
        server = WebServer()
        try:
            with self.steps.step("the web server answers"):
                server.start()
            rehearse(server.url, self.steps, self.seeded)
        except StepFailed:
            self.write(server.log_tail())
            raise
        finally:
            server.stop()
        self.write(f"\nEverything worked, in {self.steps.seconds:.1f} s.")
        return 0

    def _serve(self) -> int:
        self.write(self._summary())
        os.environ.setdefault("DJANGO_RUNSERVER_HIDE_WARNING", "true")
        try:
            address = f"{HOST}:{self.port}"
            call_command("runserver", address, use_reloader=False, stdout=io.StringIO())
        except KeyboardInterrupt:  # the end that is meant
            return 0
        except SystemExit as stopped:  # what runserver makes of it
            return int(stopped.code or 0)
        return 0

    def _summary(self) -> str:
        page = f"http://{HOST}:{self.port}/"
        s3 = json.loads(os.environ["DEMO_S3"])
        ours = s3.get("secret") == DemoS3.secret  # another server's is not for the screen
        login = f", key: {DemoS3.key}, secret: {DemoS3.secret}" if ours else ""
        return f"""
  Site    {page}documents/
  Admin   {page}admin/   login: {seed.USERNAME}, password: {seed.PASSWORD}
  S3      {s3.get("endpoint_url", "Amazon S3")}   bucket: {BUCKET}{login}

  Local files stay in {settings.VAR / "media"};
  those on S3 go with its server. Ctrl-C stops everything.
"""


def _exit(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _awaited(inner: subprocess.Popen[bytes]) -> int:
    """Wait for the inner process; Ctrl-C reaches both, so let it end by itself first."""
    try:
        return inner.wait()
    except KeyboardInterrupt:
        try:
            return inner.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return 0
    finally:
        if inner.poll() is None:
            inner.terminate()
