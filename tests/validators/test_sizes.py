"""Validators: how large a file may be."""

from __future__ import annotations

import io

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.translation import override

from django_fsspec import FileObject
from django_fsspec.validators import MaxSizeValidator
from tests.helpers.validators import refusal


def test_max_size() -> None:
    validator = MaxSizeValidator(5)
    for content in (
        b"123456",
        "12345é",
        io.BytesIO(b"123456"),
        SimpleUploadedFile("a", b"123456"),
    ):
        assert refusal(validator, FileObject("memory", "a", content=content)) == "max_size"
    assert refusal(validator, FileObject("memory", "a", content=b"123456", size=1)) == "max_size"
    assert refusal(validator, FileObject("memory", "a", content=b"12345")) is None
    assert refusal(validator, SimpleUploadedFile("a", b"123456")) == "max_size"
    assert refusal(validator, ContentFile(b"123456")) == "max_size"
    assert refusal(validator, FileObject("nowhere", "a", size=6)) == "max_size"
    assert refusal(validator, FileObject("nowhere", "a", size=5)) is None
    assert refusal(validator, FileObject("nowhere", "a")) is None
    taken = iter([b"123456"])
    assert refusal(validator, FileObject("memory", "a", content=taken)) is None
    assert next(taken) == b"123456"
    for wrong in ("5 MB", True, None, 1.5):
        with pytest.raises(TypeError, match="a number of bytes"):
            MaxSizeValidator(wrong)  # type: ignore[arg-type]


def test_max_size_names_both_sizes() -> None:
    with pytest.raises(ValidationError) as caught:
        MaxSizeValidator(1 << 20)(FileObject("nowhere", "a", size=5 << 20))
    assert caught.value.messages == ["The file has 5.0\xa0MB; at most 1.0\xa0MB are allowed."]
    with pytest.raises(ValidationError, match="1048577 bytes; at most 1048576 bytes"):
        MaxSizeValidator(1 << 20)(FileObject("nowhere", "a", size=(1 << 20) + 1))
    with override("de"), pytest.raises(ValidationError, match=r"5,0.+1,0"):
        MaxSizeValidator(1 << 20)(FileObject("nowhere", "a", size=5 << 20))
