"""Validators: content that can't be read, or breaks off."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.files.uploadedfile import SimpleUploadedFile

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from django_fsspec.validators import ContentTypeValidator, ImageValidator, content_type_of, measure
from tests.helpers.samples import PNG, image
from tests.helpers.validators import ANY, Pipe, items, refusal


def broken() -> Iterator[bytes]:
    yield PNG[:9]
    raise KeyError("from the content")


class Failing(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error", "/secret/path")


def unreadable(folder: Path) -> dict[str, tuple[Any, str]]:
    closed, upload = io.BytesIO(PNG), SimpleUploadedFile("a.png", PNG)
    closed.close()
    upload.close()
    return {
        "closed file": (closed, "closed"),
        "closed upload": (upload, "closed"),
        "missing path": (folder / "missing", "No such file or directory"),
        "failing": (Failing(PNG), "Input/output error"),
        "generator": (broken(), "from the content"),
        "not bytes": (iter([PNG[:9], 5]), "bytes or str, not int"),
        "async": (items(), "give bytes or a file"),
    }


@pytest.mark.parametrize("validator", [ContentTypeValidator(ANY), ImageValidator()])
def test_what_cannot_be_read(validator: Callable[[Any], None], tmp_path: Path) -> None:
    for kind, (content, reason) in unreadable(tmp_path).items():
        file = FileObject("memory", "a.png", content=content)
        with pytest.raises(ValidationError, match=reason) as caught:
            validator(file)
        assert caught.value.code == "unreadable", kind
        assert "secret" not in caught.value.messages[0]
        # whoever saves it hears what is wrong
        assert content_type_of(file) == "image/png", kind
        assert measure(file) is None, kind


def test_what_breaks_behind_the_first_bytes() -> None:
    whole = image("PNG", (300, 200))

    def begun(length: int) -> FileObject:
        def pieces() -> Iterator[bytes]:
            yield whole[:length]
            raise KeyError("in the middle")

        return FileObject("memory", "a.png", content=pieces())

    for length in (20, 50_000):
        assert refusal(ImageValidator(), begun(length)) == "unreadable"
    assert refusal(ContentTypeValidator(["image/*"]), begun(50_000)) is None
    assert measure(begun(50_000)) == (300, 200)


def test_a_pipe_in_a_form_is_not_used_up() -> None:
    pipe = File(io.BufferedReader(Pipe()), "a.png")
    assert refusal(ContentTypeValidator(ANY), pipe) == "unreadable"
    assert pipe.read() == PNG


def test_content_that_failed_is_not_stored_by_half() -> None:
    with override_storage("memory"):
        file = FileObject("memory", "a.png", content=broken())
        assert refusal(ContentTypeValidator(ANY), file) == "unreadable"
        assert refusal(ContentTypeValidator(ANY), file) == "unreadable"
        with pytest.raises(KeyError, match="from the content"):
            file.save()
        assert not file.storage.exists("a.png")
        assert refusal(ContentTypeValidator(ANY), file) == "unreadable"
        file.save(content=PNG)
        assert file.get_content() == PNG
