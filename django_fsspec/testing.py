"""Storages for tests: ``override_storage`` and pytest fixtures.

pytest loads the fixtures by itself; importing this module needs neither pytest nor a server.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from unittest import TestCase

from django.core.files.storage import Storage, storages
from django.test.utils import override_settings
from fsspec.implementations.memory import MemoryFileSystem

#: files by path, and directories, of the memory filesystem
Contents: TypeAlias = tuple[dict[str, Any], list[str]]

_BACKEND = "django_fsspec.storage.FSSpecStorage"


class override_storage(override_settings):  # noqa: N801 - named as Django's override_settings
    """Replace storages for a test: a decorator of functions and test cases, a context manager.

    Example::

        with override_storage("default", "media"):
            name = default_storage.save("may.txt", ContentFile(b"all is well"))
            assert default_storage.exists(name)

    ``override_storage()`` puts "default" in memory, ``override_storage("media", "other")`` these
    aliases, each empty and out of sight of every other test (fsspec's memory filesystem is one
    for the whole process, so each gets a folder of its own, removed afterwards).
    ``override_storage(media={"fs": "s3", …})`` gives an alias' OPTIONS.
    """

    def __init__(self, *aliases: str, **options: dict[str, Any]) -> None:
        super().__init__()
        self._aliases = aliases if aliases or options else ("default",)
        self._options_by_alias = options
        self._folders: list[str] = []

    def decorate_class(self, cls: type[Any]) -> type[Any]:
        """Replace the storages of a ``unittest`` class, from its ``setUpClass()`` on.

        Each test sees what ``setUpClass()`` and ``setUpTestData()`` stored in memory, and nothing
        of other tests. Raises ``TypeError`` for another class.
        """
        if not issubclass(cls, TestCase):
            raise TypeError("override_storage() decorates subclasses of unittest.TestCase only.")
        set_up_class, set_up = cls.setUpClass.__func__, cls.setUp  # type: ignore[attr-defined]

        def decorated_class(inner: type[TestCase]) -> None:
            inner.enterClassContext(self)
            set_up_class(inner)

        def decorated(test: TestCase) -> None:
            test.addCleanup(self._restore, _contents(self._folders))
            set_up(test)

        cls.setUpClass, cls.setUp = classmethod(decorated_class), decorated  # type: ignore[assignment, method-assign]
        return cls

    def _restore(self, contents: Contents) -> None:
        """Undo what a test did to the memory."""
        for folder in self._folders:
            _forget(folder)
        MemoryFileSystem.store.update(contents[0])
        MemoryFileSystem.pseudo_dirs.extend(contents[1])

    def enable(self) -> None:
        """Put the storages in place."""
        from django.conf import settings

        changed = dict(settings.STORAGES)
        for alias in self._aliases:
            folder = f"override-storage-{uuid.uuid4().hex}"
            self._folders.append(folder)
            changed[alias] = {"BACKEND": _BACKEND, "OPTIONS": {"fs": "memory", "prefix": folder}}
        for alias, options in self._options_by_alias.items():
            changed[alias] = {"BACKEND": _BACKEND, "OPTIONS": options}
        self.options = {"STORAGES": changed}
        super().enable()

    def disable(self) -> None:
        """Put back what was there and drop the memory."""
        super().disable()
        while self._folders:
            _forget(self._folders.pop())


def _contents(folders: Iterable[str]) -> Contents:
    """Return the files and directories of folders of the memory filesystem."""

    def inside(path: str) -> bool:
        return path.split("/")[1] in folders

    store, directories = MemoryFileSystem.store, MemoryFileSystem.pseudo_dirs
    return (
        {path: file for path, file in store.items() if inside(path)},
        [path for path in directories if path and inside(path)],
    )


def _forget(folder: str) -> None:
    """Drop a folder of the memory filesystem."""
    files, directories = _contents([folder])
    for path in files:
        del MemoryFileSystem.store[path]
    for path in directories:
        MemoryFileSystem.pseudo_dirs.remove(path)


@contextmanager
def _storage(alias: str, override: override_storage) -> Iterator[Storage]:
    with override:
        yield storages[alias]


try:
    import pytest
except ImportError:  # the fixtures are for those who have it
    pass
else:

    @pytest.fixture
    def memory_storage() -> Iterator[Storage]:
        """The default storage, in memory: empty, and gone after the test."""
        with _storage("default", override_storage("default")) as storage:
            yield storage

    @pytest.fixture(scope="session")
    def _s3_server() -> Iterator[str]:
        """A moto server's address; it accepts any key. Needs the extra `testing`."""
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()

    @pytest.fixture
    def s3_storage(_s3_server: str) -> Iterator[Storage]:
        """The default storage, on an S3 server in this process: empty, a bucket of its own."""
        import boto3

        keys = {"key": "testing", "secret": "testing", "endpoint_url": _s3_server}
        bucket = f"test-{uuid.uuid4().hex}"
        client = boto3.client(
            "s3",
            endpoint_url=_s3_server,
            aws_access_key_id=keys["key"],
            aws_secret_access_key=keys["secret"],
            region_name="us-east-1",
        )
        client.create_bucket(Bucket=bucket)
        client.close()
        options = {
            "fs": "s3",
            "prefix": bucket,
            "fs_options": {**keys, "client_kwargs": {"region_name": "us-east-1"}},
        }
        with _storage("default", override_storage(default=options)) as storage:
            yield storage
