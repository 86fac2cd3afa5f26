"""Aliases and content types as people read them: on cards, in lists, filters, totals and moves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.test import Client
from django.utils.translation import gettext_lazy

from django_fsspec.admin.move_action import TargetForm
from django_fsspec.forms.type_names import name_of_type
from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.aliases import label_of
from tests.forms.submissions import form_of
from tests.library.models import Paper

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory")]


@pytest.fixture
def labelled(settings: Settings) -> None:
    given = settings.STORAGES
    options = {**given["default"]["OPTIONS"], "label": gettext_lazy("Photo archive")}
    settings.STORAGES = {**given, "default": {**given["default"], "OPTIONS": options}}


@pytest.fixture
def paper(labelled: None) -> Paper:
    return Paper.objects.create(title="t", file=ContentFile(b"%PDF-1.7", name="a.pdf"))


def test_the_label_of_an_alias(labelled: None) -> None:
    assert [label_of(alias) for alias in ("default", "second", "gone")] == [
        "Photo archive",
        "second",
        "gone",
    ]


def test_a_label_must_be_text() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"label.* must be text for people"):
        FSSpecStorage(fs="memory", label=3)


def test_on_a_card(paper: Paper) -> None:
    html = str(form_of(Paper, instance=paper)["file"])
    assert "<span data-backend>Photo archive</span>" in html
    assert '<span data-type title="application/pdf">PDF document</span>' in html


@pytest.mark.urls("tests.browser.pages")
def test_in_the_admin(admin_client: Client, paper: Paper) -> None:
    Paper.objects.create(file=ContentFile(b"text", name="a.txt"))
    Paper.objects.create(file={**paper.file.to_dict(), "backend": "second"})
    pages: list[Any] = [admin_client.get(f"/admin/library/paper/{p}") for p in ("", "storage/")]
    html = [page.content.decode() for page in pages]
    cells = re.findall(r'<td class="field-file_(?:type|storage)[^>]*>([^<]*)<', html[0])
    assert sorted(set(cells)) == ["PDF document", "Photo archive", "Text", "second"]
    choices = re.findall(r'<a href="\?file-[^"]*">([^<]*)</a>', html[0])
    assert {"PDF document", "Photo archive", "Text", "second"} <= set(choices)
    assert "Photo archive" in re.findall(r'stored-object-bar-label">([^<]*)<', html[1])
    assert "PDF document" in re.findall(r'<th scope="row"[^>]*>([^<]*)<', html[1])
    labels = dict(TargetForm().fields["target"].choices)  # type: ignore[attr-defined]
    assert labels["default"] == "Photo archive"


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("image/jpeg", "JPEG image"),
        ("image/svg+xml", "SVG image"),
        ("image/x-canon-cr3", "CANON-CR3 image"),
        ("audio/mpeg", "MP3 audio"),
        ("video/quicktime", "QuickTime video"),
        ("text/plain; charset=utf-8", "Text"),
        ("application/zip", "ZIP archive"),
        (
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "Word document",
        ),
        ("application/octet-stream", "Unknown type"),
        ("application/x-of-somebody", "application/x-of-somebody"),
        ("", "Unknown type"),
    ],
)
def test_names_of_types(content_type: str, name: str) -> None:
    assert name_of_type(content_type) == name
