"""Django REST framework: what is refused, and that nothing of it is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from rest_framework import serializers

from django_fsspec import FileObject
from django_fsspec.rest_framework import (
    MultipleStoredObjectSerializerField,
    StoredObjectSerializerField,
    StoredObjectSerializerMixin,
)
from django_fsspec.validators import MaxSizeValidator
from tests.helpers.samples import GIF, HTML, png
from tests.integrations.rest_framework.client import DESCRIPTION, refusal, self_made, there, upload
from tests.integrations.rest_framework.site import PaperSerializer, ShelfSerializer
from tests.library.models import Ledger, Paper, Photo, Shelf

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.integrations.rest_framework.site"),
    pytest.mark.usefixtures("memory"),
]
HOSTILE: list[Any] = [
    "secret.txt",
    DESCRIPTION,
    json.dumps(DESCRIPTION),
    5,
    True,
    [DESCRIPTION],
    {},
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_what_is_no_upload_is_refused(client: Any, hostile: Any) -> None:
    FileObject("second", "secret.txt", content=b"secret").save()
    for send, at in ((client.post, "/papers/"), (client.patch, self_made(Paper, "papers"))):
        response = send(at, {"title": "x", "file": hostile}, format="json")
        assert response.status_code == 400
        assert "not an upload" in str(response.data["file"])
    for send, at in ((client.post, "/shelves/"), (client.patch, self_made(Shelf, "shelves"))):
        response = send(at, {"files": [hostile]}, format="json")
        assert response.status_code == 400
        assert "not an upload" in str(response.data["files"])
        assert send(at, {"files": hostile}, format="json").status_code == 400
    assert there() == []
    assert [paper.file for paper in Paper.objects.all()] == [None]
    assert [shelf.files for shelf in Shelf.objects.all()] == [[]]


@pytest.mark.parametrize("hostile", ["secret.txt", json.dumps(DESCRIPTION)])
def test_text_of_a_form_is_refused(client: Any, hostile: str) -> None:
    for at, name in (("/papers/", "file"), ("/shelves/", "files"), ("/shelves/", "files[0]")):
        response = client.post(at, {name: hostile})
        assert response.status_code == 400
        assert "not an upload" in str(response.data)
    assert client.post("/shelves/", {"files[0].filename": "secret.txt"}).status_code == 400
    assert (Paper.objects.count(), Shelf.objects.count(), there()) == (0, 0, [])


@pytest.mark.parametrize(
    "file", [FileObject("second", "secret.txt"), ContentFile(b"1", name="a.txt")], ids=type
)
def test_a_file_that_nobody_uploaded_is_refused(file: Any) -> None:
    assert "not an upload" in str(refusal(PaperSerializer(data={"file": file})))
    assert "not an upload" in str(refusal(ShelfSerializer(data={"files": [file]})))


def test_facts_of_a_form_beside_the_upload_are_not_taken(client: Any) -> None:
    told = {"file.filename": "x", "file.backend": "second", "backend": "second", "filename": "x"}
    response = client.post("/papers/", {"title": "t", "file": upload(), **told})
    assert response.status_code == 201
    file = Paper.objects.get().file
    assert (file.backend, file.metadata) == ("default", {"original_name": "May.txt"})
    assert file.name.startswith("papers/May_")


@pytest.mark.parametrize("name", ["a.fsspec-part", "\ud800", "%%%"])
def test_a_name_that_the_save_would_refuse(client: Any, name: str) -> None:
    serializer = PaperSerializer(data={"file": upload(name=name)})
    assert refusal(serializer)["file"][0].code == "invalid_name"
    assert there() == []


def test_a_long_name_is_shortened() -> None:
    serializer = PaperSerializer(data={"file": upload(name="字" * 120 + ".txt")})
    assert serializer.is_valid(), serializer.errors
    assert len(serializer.save().file.name.rpartition("/")[2].encode()) <= 255


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\\..\\b.txt", "/abs.txt", "a\\..", "a\\"])
def test_names_of_uploads_lead_nowhere_else(name: str) -> None:
    serializer = PaperSerializer(data={"file": upload(name=name)})
    assert serializer.is_valid() == (name not in ("a\\..", "a\\"))
    if not serializer.errors:
        file = serializer.save().file
        assert file.name.startswith("papers/")
        assert ".." not in file.name
        assert file.get_content() == b"one"
    else:
        assert serializer.errors["file"][0].code == "no_name"
        assert there() == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "No file was submitted"),
        (upload(b"", "e.png"), "empty"),
        (upload(b"<html></html>", "p.png"), "html"),
        (upload(b"text", "t.txt"), "text/plain"),
        (upload(png(3, 3), "p.pdf"), "pdf"),
        (upload(png(400, 400) + bytes(100_000), "big.png"), "KB"),
        (upload(png(30, 30)[:60], "cut.png"), "image"),
        *((upload(GIF + HTML, name), "image/gif") for name in ("p.html", "p.phar", ".htaccess")),
    ],
)
def test_the_rules_of_the_model_are_checked(client: Any, given: Any, reason: str) -> None:
    response = client.post("/photos/", {} if given is None else {"image": given})
    assert response.status_code == 400
    assert reason in str(response.data["image"])
    assert not Photo.objects.exists()
    assert there() == []


def test_a_file_that_keeps_the_rules_is_taken(client: Any) -> None:
    response = client.post("/photos/", {"image": upload(png(7, 3), "p.png")})
    assert response.data["image"] == {"name": "p.png", "width": 7, "height": 3}


def test_each_of_several_files_is_checked() -> None:
    class Rules(serializers.Serializer):  # type: ignore[misc]
        files = MultipleStoredObjectSerializerField(
            child=StoredObjectSerializerField(validators=[MaxSizeValidator(3)]), max_length=2
        )

    checked = Rules(data={"files": [upload("123"), upload("1234")]})
    assert not checked.is_valid()
    assert list(checked.errors["files"]) == [1]
    assert not Rules(data={"files": [upload()] * 3}).is_valid()
    assert Rules(data={"files": [upload()] * 2}).is_valid()


def test_long_names_are_refused(client: Any) -> None:
    class LedgerSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Ledger
            fields = ("file",)

    serializer = LedgerSerializer(data={"file": upload(name="n" * 41)})
    assert not serializer.is_valid()
    assert serializer.errors["file"][0].code == "max_length"
    response = client.post("/papers/", {"file": upload(name="n" * 5000 + ".txt")})
    assert response.status_code in (201, 400)
    assert len(there()) == Paper.objects.count()


def test_an_error_of_another_field_stores_nothing(client: Any) -> None:
    response = client.post("/papers/", {"title": "t" * 60, "file": upload()})
    assert list(response.data) == ["title"]
    assert (there(), Paper.objects.count()) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_request_leaves_nothing(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    paper = client.post("/papers/", {"file": upload("kept")}).data
    assert client.post("/late/", {"title": "t", "file": upload("lost")}).status_code == 403
    assert (there(), Paper.objects.get().pk) == (["kept"], paper["id"])
