"""Read-only fields in django-unfold, which shows JSON fields in a way of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.contrib.admin import helpers
from django.core.files.base import ContentFile
from django.test import Client

from tests.library.models import Paper, Shelf

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory"), pytest.mark.once]


@pytest.fixture(autouse=True)
def installed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from unfold.forms import AdminForm, Fieldline

    # unfold puts them there for good when it makes its first ModelAdmin
    monkeypatch.setattr(helpers, "AdminForm", AdminForm)
    monkeypatch.setattr(helpers, "Fieldline", Fieldline)
    settings.INSTALLED_APPS = ["unfold.apps.BasicAppConfig", *django_settings.INSTALLED_APPS]
    settings.ROOT_URLCONF = "tests.browser.themes.unfold_pages"


def shown(client: Client, path: str) -> str:
    response: Any = client.get(f"/admin/library/{path}")
    assert response.status_code == 200
    return str(response.content.decode())


def test_in_a_list_and_read_only(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.browser.themes import unfold_pages

    paper = Paper.objects.create(title="t", file=ContentFile(b"1", name="Grüße.txt"))
    Paper.objects.create(title="none")
    assert ">Grüße.txt</a>" in shown(admin_client, "paper/")
    owner = unfold_pages.site.get_model_admin(Paper)
    monkeypatch.setattr(owner, "readonly_fields", ("file",))
    assert "Grüße.txt" in shown(admin_client, f"paper/{paper.pk}/change/")
    assert "Grüße.txt" not in shown(admin_client, f"paper/{paper.pk + 1}/change/")


def test_several_read_only(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.browser.themes import unfold_pages

    shelf = Shelf.objects.create(files=[ContentFile(b"1", name=f"{n}.txt") for n in "ab"])
    owner = unfold_pages.site.get_model_admin(Shelf)
    monkeypatch.setattr(owner, "readonly_fields", ("files",))
    html = shown(admin_client, f"shelf/{shelf.pk}/change/")
    assert "a.txt" in html
    assert "b.txt" in html
