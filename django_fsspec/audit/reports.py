"""Files that commands write line by line; a full disk ends the file, not the command."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Self


class Report:
    """A text file of lines, which may stop being written.

    A context manager. The first error is told by `warn`, once, as one sentence that names
    `option`; what is written after it is dropped. Raises ``OSError`` where the file can't be
    opened, and nothing later.
    """

    def __init__(
        self, option: str, path: Path, warn: Callable[[str], object], *, append: bool = True
    ) -> None:
        self._option, self._path, self._warn = option, path, warn
        self._file = path.open("a" if append else "w", encoding="utf-8")
        #: whether all lines were written, as far as the system told
        self.complete = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.flush()
        try:
            # tries again what could not be written, and closes the file all the same
            self._file.close()
        except OSError as failed:
            self._fail(str(failed))

    def write(self, line: str) -> None:
        """Write a line; the line break is added."""
        if self.complete:
            try:
                self._file.write(line + "\n")
            except OSError as error:
                self._fail(str(error))

    def flush(self) -> None:
        """Hand what was written to the system, and look whether the file is still there."""
        if not self.complete:
            return
        try:
            self._file.flush()
            status = os.fstat(self._file.fileno())
        except OSError as error:
            self._fail(str(error))
            return
        if stat.S_ISREG(status.st_mode) and not status.st_nlink:
            self._fail("the file was deleted meanwhile")

    def _fail(self, reason: str) -> None:
        if self.complete:
            self.complete = False
            self._warn(f"{self._option} {self._path}: {reason}. It is incomplete; going on.")
