"""What the tests of validators share: what is refused and why, all that looks at content."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from typing import Any

from django.core.exceptions import ValidationError

from django_fsspec.validators import (
    ContentTypeValidator,
    ImageValidator,
    MaxSizeValidator,
    content_type_of,
    measure,
)
from tests.helpers.samples import PNG

ANY = ["*/*"]
LIES, OTHER = "misnamed", "content_type"


def refusal(validator: Callable[[Any], None], file: Any) -> str | None:
    try:
        validator(file)
    except ValidationError as error:
        refused = error
    else:
        return None
    assert isinstance(refused.params, dict)
    assert refused.params["value"] is file
    assert refused.messages
    return refused.code


LOOKS: list[Callable[[Any], Any]] = [
    ContentTypeValidator(["image/png"]),
    MaxSizeValidator(1 << 20),
    ImageValidator(),
    content_type_of,
    measure,
]


async def items() -> AsyncIterator[bytes]:
    yield PNG


class Pipe(io.RawIOBase):
    """A file that cannot seek."""

    def __init__(self) -> None:
        self._left = io.BytesIO(PNG)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._left.readinto(buffer)
