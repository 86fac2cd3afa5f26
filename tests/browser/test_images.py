"""Width and height of pictures as the browser shows them."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import pytest

from django_fsspec.objects import images
from tests.helpers.samples import turned

if TYPE_CHECKING:
    from playwright.sync_api import Page

DECODE = """async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
}"""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_picture_has_the_size_that_it_is_shown_in(page: Page, kind: str) -> None:
    for orientation in range(10):
        content = turned(kind, orientation)
        data = base64.b64encode(content).decode()
        shown = page.evaluate(DECODE, f"data:image/{kind.lower()};base64,{data}")
        assert tuple(shown) == images.header(io.BytesIO(content))[:2], orientation
