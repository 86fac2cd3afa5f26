"""Slots in Django's cache: how many files one visitor may leave open.

With a cache that processes do not share, each of them counts on its own.
"""

from __future__ import annotations

import hashlib
import secrets

from django.core.cache import cache


def take(kind: str, visitor: str, most: int, seconds: int) -> str | None:
    """Take one of the `most` slots of a visitor, for so many seconds. None where all are taken."""
    digest = hashlib.sha256(visitor.encode()).hexdigest()[:32]
    keys = [f"django_fsspec:{kind}:{digest}:{number}" for number in range(most)]
    taken, own = cache.get_many(keys), secrets.token_hex(8)
    for key in keys:
        # add() is atomic: another request may have been faster
        if key not in taken and cache.add(key, own, seconds):
            return f"{key} {own}"
    return None


def keep(slot: str, seconds: int) -> None:
    """Keep a slot for so many seconds from now, where it is still the same holder's."""
    key, _, own = slot.partition(" ")
    if slot and cache.get(key) == own:
        cache.touch(key, seconds)


def free(slot: str) -> None:
    """Free a slot, where it is still the same holder's."""
    key, _, own = slot.partition(" ")
    if slot and cache.get(key) == own:
        cache.delete(key)
