"""The signals that were sent, as tests of them hear them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.storage import storages
from django.dispatch import Signal

from django_fsspec import signals
from django_fsspec.testing import override_storage

NAMES = ("file_stored", "file_deleted", "file_moved", "file_served")


class Heard(list[tuple[str, dict[str, Any]]]):
    """The signals that were sent, in their order."""

    def listen(self, name: str) -> Callable[..., None]:
        def receiver(signal: Signal, sender: Any, **arguments: Any) -> None:
            self.append((name, {"sender": sender, **arguments}))

        return receiver

    @property
    def counted(self) -> list[str]:
        """What was sent, sorted: "stored default:a.txt"."""
        return sorted(f"{name[5:]} {told['alias']}:{told['name']}" for name, told in self)


# modules take it by assignment; of an import ruff would say that parameters redefine it
@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    receivers = {name: heard.listen(name) for name in NAMES}
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver)
    yield heard
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)


def numbers(heard: Heard) -> tuple[int, int]:
    """Return how many signals told of stored and of deleted files."""
    names = [name for name, _ in heard]
    return names.count("file_stored"), names.count("file_deleted")


@pytest.fixture
def memory() -> Iterator[None]:
    with override_storage("default", "second"):
        yield


def storage() -> Any:
    return storages["default"]
