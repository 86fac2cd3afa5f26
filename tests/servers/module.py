"""Servers that are part of this package."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from .base import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[__name__.count(".")]
"""The directory from which this package is imported: the repository."""


class ModuleServer(Server):
    """A server written in Python and run as a module of this package."""

    module: ClassVar[str]

    def _command(self) -> Sequence[str]:
        return [sys.executable, "-m", f"{__package__}.{self.module}", str(self.port)]

    def _environment(self) -> dict[str, str]:
        path = os.environ.get("PYTHONPATH")
        return {"PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}
