"""What a browser makes of rows with a malformed content type: no page, and no script runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from playwright.sync_api import Error

from django_fsspec import FileObject
from tests.browser.conftest import LIGHT, Look
from tests.library.models import Paper

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext
    from pytest_django import Settings

SCRIPT = b"<!doctype html><script>fetch('/ran')</script>"
#: those of which Chromium makes a page of HTML, and one that is a page
KINDS = ["image/png;,text/html", "image/png,text/html", "image/png;a=b,text/html", "text/html"]


@pytest.mark.parametrize("look", [LIGHT], ids=str)
@pytest.mark.parametrize("name", ["x", "x.html"])
def test_no_type_of_a_row_makes_a_page(
    site: Path, settings: Settings, context: BrowserContext, look: Look, name: str
) -> None:
    # its own policy would forbid the script
    settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
    stored: Any = FileObject("default", name, content=ContentFile(SCRIPT)).save()
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    for kind in KINDS:
        row = Paper.objects.create(file=FileObject("default", stored.name))
        Paper.objects.filter(pk=row.pk).update(file={**row.file.to_dict(), "content_type": kind})
        file: Any = Paper.objects.get(pk=row.pk).file
        assert file._content_type == kind
        for url in (file.url, file.sign(content_type=kind)):
            try:
                page.goto(url)
            except Error as error:
                downloaded = str(error)
            else:
                downloaded = page.content()
            assert "Download is starting" in downloaded, (name, kind)
            assert not [request for request in asked if request.endswith("/ran")], (name, kind)
