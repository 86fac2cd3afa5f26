"""Storages that do not delete, and files that wait to be saved together."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, storages

from django_fsspec import FileObject, asave_files, save_files
from tests.helpers import third_party

LATENCY = 0.05


class Stubborn(FileSystemStorage):
    """Does not delete."""

    def delete(self, name: str) -> None:
        raise PermissionError(f"{name}: no, whatever the secret")


class StickyFileSystem(third_party.ShelfFileSystem):
    """Does not delete what is called so."""

    protocol = "sticky"

    def rm_file(self, path: str) -> None:
        if "sticky" in path:
            raise PermissionError("no")
        super().rm_file(path)


KINDS = ["local", "memory", "s3", "disk", "ram"]
ALL = [*KINDS, "shelf", "cloud"]


def _awaited(files: Any, **options: Any) -> Any:
    return asyncio.run(asave_files(files, **options))


BOTH: dict[str, Callable[..., list[FileObject]]] = {"sync": save_files, "async": _awaited}
both = pytest.mark.parametrize("save", BOTH.values(), ids=BOTH)


def waiting(alias: str, count: int, name: str = "{}/{}.txt") -> list[FileObject]:
    return [
        FileObject(alias, name.format(number % 3, number), content=f"{alias} {number}")
        for number in range(count)
    ]


def stored(alias: str) -> list[str]:
    """Return the names of all files of an alias."""
    storage = storages[alias]
    names: list[str] = []
    directories = [""]
    while directories:
        here = directories.pop()
        try:
            below, files = storage.listdir(here)
        except FileNotFoundError:
            continue
        directories += [f"{here}/{name}".lstrip("/") for name in below]
        names += [f"{here}/{name}".lstrip("/") for name in files]
    return sorted(names)


class Unchanged:
    """Holds files against what they were."""

    def __init__(self, files: list[FileObject]) -> None:
        self._files = files
        self._before = [self._all(file) for file in files]

    def _all(self, file: FileObject) -> Any:
        return {**vars(file), "metadata": copy.deepcopy(file.metadata)}

    def check(self) -> None:
        for file, before in zip(self._files, self._before, strict=True):
            assert self._all(file) == before


def broken(error: BaseException) -> Iterator[bytes]:
    yield b"some"
    raise error
