"""The input in forms that crispy-forms renders: its template packs have one of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.middleware.csrf import get_token
from django.test import RequestFactory

from testproject.browser import Page
from tests.forms.submissions import form_of, upload
from tests.library.models import Box, Shelf

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory"), pytest.mark.once]


@pytest.fixture(autouse=True)
def installed(settings: Settings) -> None:
    apps = ["crispy_forms", "crispy_bootstrap5"]
    settings.INSTALLED_APPS = [*django_settings.INSTALLED_APPS, *apps]
    settings.CRISPY_ALLOWED_TEMPLATE_PACKS = settings.CRISPY_TEMPLATE_PACK = "bootstrap5"


def rendered(form: Any) -> str:
    from crispy_forms.utils import render_crispy_form

    return str(render_crispy_form(form))


def test_stored_files_are_shown_and_removable() -> None:
    shelf = Shelf.objects.create(files=[ContentFile(b"1", name="a.txt")])
    html = rendered(form_of(Shelf, instance=shelf))
    assert "a.txt" in html
    assert 'name="files-remove"' in html
    assert "<stored-object-input" in html
    assert Page(html).inline == []


def test_kept_uploads_stay_in_the_form() -> None:
    token = get_token(RequestFactory().get("/"))
    form = form_of(Shelf, {"files-place-x": "no", "csrfmiddlewaretoken": token}, upload())
    form.add_error(None, "Something else is wrong.")
    html = rendered(form)
    assert 'name="files-retained"' in html
    assert "up.txt" in html


def test_an_error_is_seen_beside_the_input() -> None:
    _, _, html = rendered(form_of(Box, {})).partition("<stored-object-input")
    tag, _, after = html.partition(">")
    # Bootstrap shows a message where an element before it has this class
    assert "is-invalid" in tag
    assert "invalid-feedback" in after
