"""Django REST framework: uploads come in, descriptions go out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import modify_settings
from django.test.utils import CaptureQueriesContext
from rest_framework.settings import api_settings

from django_fsspec import FileObject
from django_fsspec.rest_framework import (
    SHOWN,
    MultipleStoredObjectSerializerField,
    StoredObjectSerializerField,
)
from django_fsspec.testing import override_storage
from tests.helpers import hostile_rows
from tests.integrations.rest_framework.client import there, upload
from tests.integrations.rest_framework.site import PaperSerializer
from tests.library.models import Paper, Shelf

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.integrations.rest_framework.site"),
    pytest.mark.usefixtures("memory"),
]


def test_create_and_retrieve(client: Any) -> None:
    response = client.post("/papers/", {"title": "t", "file": upload()})
    assert response.status_code == 201
    paper = Paper.objects.get()
    assert paper.file.get_content() == b"one"
    assert client.get(f"/papers/{paper.pk}/").data == response.data
    shown = response.data["file"]
    assert list(shown) == list(SHOWN)
    assert (shown["name"], shown["size"], shown["content_type"]) == ("May.txt", 3, "text/plain")
    modified = datetime.fromisoformat(shown["last_modified"])
    assert abs((datetime.now(UTC) - modified).total_seconds()) < 60
    assert shown["url"].startswith("http://testserver/files/")
    assert b"".join(client.get(shown["url"]).streaming_content) == b"one"


@pytest.mark.django_db(transaction=True)
def test_an_update_replaces_the_file(client: Any) -> None:
    client.post("/papers/", {"title": "t", "file": upload()})
    at = f"/papers/{Paper.objects.get().pk}/"
    assert client.put(at, {"title": "u", "file": upload("two")}).data["file"]["size"] == 3
    assert there() == ["two"]
    assert client.patch(at, {"file": upload("three", "3.txt")}).data["file"]["name"] == "3.txt"
    assert (there(), Paper.objects.get().title) == (["three"], "u")


def test_an_update_of_other_fields_leaves_the_file(client: Any) -> None:
    file = client.post("/papers/", {"title": "t", "file": upload()}).data["file"]
    at = f"/papers/{Paper.objects.get().pk}/"
    for send in (client.patch, client.put):
        for kind in ("json", "multipart"):
            response = send(at, {"title": kind}, format=kind)
            assert (response.data["title"], response.data["file"]) == (kind, file)
    assert there() == ["one"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("kind", "nothing"), [("json", None), ("multipart", "")])
def test_none_clears(client: Any, kind: str, nothing: str | None) -> None:
    client.post("/papers/", {"title": "t", "file": upload()})
    at = f"/papers/{Paper.objects.get().pk}/"
    response = client.patch(at, {"file": nothing}, format=kind)
    assert (response.status_code, response.data["file"]) == (200, None)
    assert (there(), Paper.objects.get().file) == ([], None)


@pytest.mark.django_db(transaction=True)
def test_several_files_take_the_place_of_those_that_were_there(client: Any) -> None:
    response = client.post("/shelves/", {"files": [upload("1", "1.txt"), upload("2", "2.txt")]})
    assert [file["name"] for file in response.data["files"]] == ["1.txt", "2.txt"]
    at = f"/shelves/{Shelf.objects.get().pk}/"
    assert client.get(at).data == response.data
    assert client.patch(at, {}).data == client.put(at, {}).data == response.data
    response = client.patch(at, {"files": upload("3", "3.txt")})
    assert [file["name"] for file in response.data["files"]] == ["3.txt"]
    assert there() == ["3"]
    response = client.put(at, {"files": [upload("4"), upload("5")]})
    assert (len(response.data["files"]), there()) == (2, ["4", "5"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("kind", "nothing"), [("json", []), ("multipart", "")])
def test_an_empty_list_clears(client: Any, kind: str, nothing: Any) -> None:
    client.post("/shelves/", {"files": [upload("1"), upload("2")]})
    at = f"/shelves/{Shelf.objects.get().pk}/"
    assert client.patch(at, {"files": nothing}, format=kind).data["files"] == []
    assert (there(), Shelf.objects.get().files) == ([], [])


def test_a_page_of_rows_costs_one_query_and_no_request(client: Any) -> None:
    Paper.objects.bulk_create(
        Paper(file=FileObject("default", f"papers/{n}.txt", size=n, last_modified=1e9))
        for n in range(100)
    )
    nobody = {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:9"}
    with (
        override_storage(default={"fs": "s3", "prefix": "bucket", "fs_options": nobody}),
        CaptureQueriesContext(connection) as queries,
    ):
        rows = client.get("/papers/").data
    assert len(queries) == 1
    assert [row["file"]["size"] for row in rows] == list(range(100))
    assert all(row["file"]["url"].startswith("http://127.0.0.1:9/bucket/") for row in rows)


def test_the_browsable_api_shows_rows_and_forms(client: Any) -> None:
    client.post("/papers/", {"title": "t", "file": upload()})
    client.post("/shelves/", {"files": [upload("1"), upload("2")]})
    User.objects.create_user("u")
    with modify_settings(INSTALLED_APPS={"append": "rest_framework"}):
        for at in ("/papers/", f"/papers/{Paper.objects.get().pk}/", "/shelves/"):
            page = client.get(at, HTTP_ACCEPT="text/html").content.decode()
            assert "May.txt" in page
            assert 'type="file"' in page or "shelves" in at


def test_a_hostile_row_spoils_no_page(client: Any) -> None:
    invalid = hostile_rows.invalid()
    odd = [*hostile_rows.ODD.values(), hostile_rows.STATIC]
    for text in [*(value.text for value in invalid.values()), *odd]:
        hostile_rows.paper("hostile", text)
    client.post("/papers/", {"file": upload()})
    response = client.get("/papers/")
    assert response.status_code == 200
    files = [row["file"] for row in json.loads(response.content)]
    for title, file in zip(invalid, files, strict=False):
        assert (file or {}).get("name") == hostile_rows.REFUSED.get(title)
        assert (file or {}).get("url") is None
    assert len(files) == len([*invalid, *odd]) + 1
    assert all(file["url"] for file in files[len(invalid) :])
    row = hostile_rows.shelf(*(value.text for value in invalid.values()), *odd)
    assert json.loads(client.get(f"/shelves/{row.pk}/").content)["files"] == files[:-1]


def test_what_is_shown_can_be_chosen() -> None:
    file = FileObject("default", "a.txt", metadata={"camera": "Leica", "_extra": {"secret": 1}})
    field = StoredObjectSerializerField(fields=("url", "metadata"), use_url=False)
    assert field.to_representation(file) == {"metadata": {"camera": "Leica"}}
    assert "metadata" not in SHOWN
    several = MultipleStoredObjectSerializerField(fields="checksum")
    assert several.to_representation([file]) == [{"checksum": None}]
    with pytest.raises(ValueError, match=r"\['backend'\] are unknown; there are 'checksum', "):
        StoredObjectSerializerField(fields=("name", "backend"))


def test_urls_are_relative_without_a_request_and_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = FileObject("default", "a.txt")
    shown = StoredObjectSerializerField().to_representation(file)
    assert shown is not None
    assert shown["url"].startswith("/files/")
    monkeypatch.setattr(api_settings, "UPLOADED_FILES_USE_URL", False)
    assert "url" not in (StoredObjectSerializerField().to_representation(file) or {})


def test_what_was_validated_is_shown_before_it_is_saved() -> None:
    serializer = PaperSerializer(data={"title": "t", "file": upload()})
    assert serializer.is_valid()
    shown = serializer.data["file"]
    assert (shown["name"], shown["size"], shown["url"]) == ("May.txt", 3, None)
    assert there() == []
    waiting = FileObject("default", "a.txt", content=b"1")
    assert StoredObjectSerializerField(fields=["url"]).to_representation(waiting) == {"url": None}
