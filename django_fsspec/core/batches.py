"""``batches()``, which ``itertools.batched()`` replaces when Python 3.11 is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], size: int = 1000) -> Iterator[list[T]]:
    """Yield lists of at most `size` items, as ``itertools.batched()`` does since Python 3.12."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
