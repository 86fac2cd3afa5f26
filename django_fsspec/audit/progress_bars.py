"""Progress bars on a terminal (tqdm)."""

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
    """Return a maker of bars that show on a terminal only, and not at all unless `shown`."""
    # disable=None: tqdm shows a bar only where its file is a terminal
    return functools.partial(tqdm, file=sys.stderr, disable=None if shown else True)


def printable(text: str) -> str:
    """Return `text` with characters that a terminal can't show escaped."""
    return text if text.isprintable() else ascii(text)
