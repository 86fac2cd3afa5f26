"""A Redis of a test's own, for queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .base import Server, find_executable
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence


class RedisServer(Server):
    """Redis, which keeps nothing on disk."""

    volatile: ClassVar[bool] = True

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def _command(self) -> Sequence[str]:
        program = find_executable("redis-server", "apt-get install redis-server")
        return [
            program,
            "--port",
            str(self.port),
            "--bind",
            HOST,
            "--save",
            "",
            "--daemonize",
            "no",
        ]
