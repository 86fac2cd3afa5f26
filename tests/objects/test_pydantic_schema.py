"""FileObject in pydantic's models and their schemas."""

from __future__ import annotations

import pydantic
import pytest

from django_fsspec import FileObject
from tests.helpers import file_objects
from tests.helpers.file_objects import NINE, stored

aliases = file_objects.aliases


class Letter(pydantic.BaseModel):
    file: FileObject
    other: FileObject | None = None


def test_pydantic() -> None:
    file = stored("s3")
    letter = Letter(file=file)
    assert letter.file is file
    assert letter.model_dump()["file"] == file.to_dict()
    again = Letter.model_validate_json(letter.model_dump_json())
    assert again.file.to_dict() == file.to_dict()
    assert Letter.model_validate({"file": file.to_dict()}).file == file
    for schema in (
        Letter.model_json_schema(mode="validation"),
        Letter.model_json_schema(mode="serialization"),
    ):
        assert sorted(schema["properties"]["file"]["properties"]) == sorted(NINE)
    for bad in ({"filename": "a"}, {"filename": "", "backend": "s3"}, "a.txt", 5):
        with pytest.raises(pydantic.ValidationError):
            Letter.model_validate({"file": bad})
