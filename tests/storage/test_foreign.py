"""Storages of other packages whose client raises what is no ``OSError``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, storages
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.storage.foreign import ForeignStorage

PLACE = "tests.storage.test_foreign.Silent"


class Silent(InMemoryStorage):
    """Stores files, and then is away, as S3 may be for django-storages."""

    def size(self, name: str) -> int:
        raise EndpointConnectionError(endpoint_url="http://s3.example")

    def get_modified_time(self, name: str) -> datetime:
        raise EndpointConnectionError(endpoint_url="http://s3.example")


class Renaming(Silent):
    """Stores files under names of its own; whether another one exists can't be asked after."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return f"own-{name}"

    def exists(self, name: str) -> bool:
        self.asked += 1
        if self.asked > 1:
            raise EndpointConnectionError(endpoint_url="http://s3.example")
        return super().exists(name)


def test_a_file_that_is_stored_is_saved() -> None:
    with override_settings(STORAGES={"default": {"BACKEND": PLACE}}):
        file = FileObject("default", "a.txt", content=b"abc")
        file.save()
        assert (file.filename, file.size, file.last_modified) == ("a.txt", 3, None)
        assert storages["default"].exists("a.txt")
        other = FileObject("default", "b.txt", content=ContentFile(b"abc"))
        other.save()
        assert other.checksum is not None


def test_nothing_is_left_where_a_name_can_not_be_told() -> None:
    place: Any = Renaming()
    with pytest.raises(EndpointConnectionError):
        ForeignStorage(place).store("a.txt", ContentFile(b"x"), exact=True)
    assert place.listdir("") == ([], [])


def test_nothing_is_left_where_what_was_stored_can_not_be_checked() -> None:
    place: Any = Silent()
    with pytest.raises(EndpointConnectionError):
        ForeignStorage(place).store("a.txt", ContentFile(b"x"), as_sent=True)
    assert place.listdir("") == ([], [])
