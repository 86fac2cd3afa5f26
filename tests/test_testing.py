"""What we offer to the tests of others: isolated, and gone afterwards."""

from __future__ import annotations

import unittest
from typing import ClassVar

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage, storages
from django.test import SimpleTestCase, TestCase
from fsspec.implementations.memory import MemoryFileSystem

from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage


@pytest.mark.parametrize("time", ["first", "second"])
def test_memory_storage_is_empty_each_time(memory_storage: Storage, time: str) -> None:
    assert memory_storage.listdir("") == ([], [])
    assert default_storage.save("a.txt", ContentFile(time)) == "a.txt"
    assert memory_storage.open("a.txt").read() == time.encode()


@pytest.mark.slow
@pytest.mark.parametrize("time", ["first", "second"])
def test_s3_storage_is_empty_each_time(s3_storage: Storage, time: str) -> None:
    assert s3_storage.listdir("") == ([], [])
    assert default_storage.save("a.txt", ContentFile(time)) == "a.txt"
    assert s3_storage.url("a.txt").startswith("http://127.0.0.1:")


def test_both_fixtures_are_isolated_from_each_other(s3_storage: Storage) -> None:
    s3_storage.save("a.txt", ContentFile(b"s3"))
    with override_storage("default", "other"):
        for alias in ("default", "other"):
            assert storages[alias].listdir("") == ([], [])
        storages["other"].save("a.txt", ContentFile(b"memory"))
        assert not storages["default"].exists("a.txt")
    assert default_storage.open("a.txt").read() == b"s3"


def test_memory_is_given_back() -> None:
    before = dict(MemoryFileSystem.store)
    with override_storage():
        default_storage.save("deep/er/a.txt", ContentFile(b"x"))
        assert dict(MemoryFileSystem.store) != before
    assert dict(MemoryFileSystem.store) == before


def test_nested_overrides() -> None:
    with override_storage():
        default_storage.save("a.txt", ContentFile(b"outer"))
        with override_storage():
            assert not default_storage.exists("a.txt")
        assert default_storage.exists("a.txt")


@override_storage("media", default={"fs": "memory", "prefix": "decorated"})
def test_decorates_functions() -> None:
    assert isinstance(storages["media"], FSSpecStorage)
    assert isinstance(storages["default"], FSSpecStorage)
    assert storages["default"].options.prefix == "decorated"


class _Memory:
    """What each stage of a test case stores: the memory is empty and its own."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()  # type: ignore[misc]
        default_storage.save("class.txt", ContentFile(b"x"))

    @classmethod
    def tearDownClass(cls) -> None:
        assert sorted(default_storage.listdir("")[1]) == cls.stored  # type: ignore[attr-defined]
        super().tearDownClass()  # type: ignore[misc]


@override_storage()
class WholeClassTests(_Memory, TestCase):
    stored: ClassVar = ["class.txt", "data.txt"]

    @classmethod
    def setUpTestData(cls) -> None:
        default_storage.save("data.txt", ContentFile(b"x"))

    def setUp(self) -> None:
        default_storage.save("test.txt", ContentFile(b"x"))

    def test_one(self) -> None:
        assert sorted(default_storage.listdir("")[1]) == ["class.txt", "data.txt", "test.txt"]

    def test_other(self) -> None:
        assert sorted(default_storage.listdir("")[1]) == ["class.txt", "data.txt", "test.txt"]


def test_a_class_is_covered_from_its_setup_on() -> None:
    store = dict(MemoryFileSystem.store)
    for decorate in (override_storage(), override_storage("default", "other")):

        @decorate
        class Inner(SimpleTestCase):
            @classmethod
            def setUpClass(cls) -> None:
                super().setUpClass()
                cls.seen.append(default_storage.save("class.txt", ContentFile(b"x")))

            seen: ClassVar[list[str]] = []

            def test_one(self) -> None:
                self.seen.append(default_storage.save("class.txt", ContentFile(b"y")))

            def test_two(self) -> None:
                self.seen.append(default_storage.save("class.txt", ContentFile(b"y")))

        result = unittest.defaultTestLoader.loadTestsFromTestCase(Inner).run(unittest.TestResult())
        assert (result.errors, result.failures) == ([], [])
        assert Inner.seen[0] == "class.txt"
        assert dict(MemoryFileSystem.store) == store


@override_storage()
class DecoratedTests(SimpleTestCase):
    def test_one(self) -> None:
        assert default_storage.save("a.txt", ContentFile(b"x")) == "a.txt"
        assert default_storage.listdir("")[1] == ["a.txt"]
