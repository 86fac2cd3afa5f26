"""Progress bars, where somebody looks."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

#: makes a progress bar, as ``tqdm`` does
Bar = Callable[..., Any]
no_bar: Bar = functools.partial(tqdm, disable=True)


def bars(*, shown: bool) -> Bar:
    """Return what makes bars on a terminal, or with `shown` false nowhere."""
    # None is tqdm's word for terminals only
    return functools.partial(tqdm, file=sys.stderr, disable=None if shown else True)


def printable(text: str) -> str:
    """Return a name as a terminal can take it."""
    return text if text.isprintable() else ascii(text)
