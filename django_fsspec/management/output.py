"""Output of commands that may go away before the command ends: a closed pipe, a full disk."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, OutputWrapper


class SteadyOutput(OutputWrapper):
    """Standard output or error of a command, whose errors (``OSError``) drop what is written."""

    def __init__(self, wrapped: OutputWrapper) -> None:
        super().__init__(wrapped)  # type: ignore[arg-type]
        self._wrapped = wrapped

    def write(  # type: ignore[override] # nobody uses what it returns
        self,
        msg: str = "",
        style_func: Callable[[str], str] | None = None,
        ending: str | None = None,
    ) -> None:
        """See OutputWrapper.write(). Flushes, so that errors come now and not at the exit."""
        with contextlib.suppress(OSError):
            self._wrapped.write(msg, style_func, ending)
            self._wrapped.flush()

    def flush(self) -> None:
        """See OutputWrapper.flush()."""
        with contextlib.suppress(OSError):
            self._wrapped.flush()


class SteadyCommand(BaseCommand):
    """A command that ends its work, with its own exit status, also when nobody reads its output.

    ``handle()`` calls ``steady_output()`` first.
    """

    def steady_output(self) -> None:
        """Have ``self.stdout`` and ``self.stderr`` drop what can't be written."""
        self.stdout = SteadyOutput(self.stdout)
        self.stderr = SteadyOutput(self.stderr)

    def run_from_argv(self, argv: list[str]) -> None:
        """See BaseCommand.run_from_argv()."""
        try:
            super().run_from_argv(argv)
        finally:
            for stream in (sys.stdout, sys.stderr):
                _flush(stream)


def _flush(stream: Any) -> None:
    """Flush a stream of the process; what can't be written is dropped.

    Python flushes it once more at the exit, and would end with status 120.
    """
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
