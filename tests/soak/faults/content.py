"""Content that tells whether it is whole."""

from __future__ import annotations

from tests.soak.jobs import unique_bytes


def named(label: str, size: int) -> tuple[str, bytes]:
    """Return a name and the content that belongs to it."""
    return f"{label}~{size}.bin", unique_bytes(label, size) if size else b""


def content_of(name: str) -> bytes:
    """Return the content that belongs to a name of `named()`."""
    label, _, size = name.removesuffix(".bin").partition("~")
    return named(label, int(size))[1]
