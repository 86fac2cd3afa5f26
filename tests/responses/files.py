"""Files to send, and what a client gets of a response."""

from __future__ import annotations

from typing import Any

from django.test import RequestFactory

from django_fsspec import FileObject

DATA = bytes(range(256)) * 1000
get = RequestFactory().get


def leave(response: Any) -> None:
    """Do what close() does, but for the signal that closes the database's connection."""
    for close in response._resource_closers:
        close()


def body(response: Any) -> bytes:
    try:
        return b"".join(response.streaming_content)
    finally:
        leave(response)


def stored(name: str = "a.bin", data: bytes = DATA, **more: Any) -> FileObject:
    return FileObject("media", name, content=data, **more).save()
