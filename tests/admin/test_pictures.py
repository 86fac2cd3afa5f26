"""Pictures whose extension is of another type, sent to the admin: refused, nothing stored."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.helpers.samples import GIF, HTML
from tests.library.models import Photo

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site")]


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.phar", "x.shtml", ".htaccess", "x.png"])
def test_a_picture_of_another_name_is_refused(admin_client: Client, name: str) -> None:
    upload = SimpleUploadedFile(name, GIF + HTML, "image/gif")
    response = admin_client.post("/admin/library/photo/add/", {"image": upload})
    assert response.status_code == 200
    assert "its content is image/gif" in response.content.decode()
    storage: Any = storages["default"]
    assert list(storage.walk()) == []
    assert not Photo.objects.exists()


def test_a_picture_of_an_honest_name_is_stored(admin_client: Client) -> None:
    upload = SimpleUploadedFile("x.gif", GIF, "text/html")
    response = admin_client.post("/admin/library/photo/add/", {"image": upload})
    assert response.status_code == 302
    image: Any = Photo.objects.get().image
    assert image.content_type == "image/gif"
