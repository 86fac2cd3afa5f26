"""Files through django-ninja: uploads come in, a reduced schema or the nine keys go out."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from ninja import File, Form, NinjaAPI, Schema, UploadedFile

from django_fsspec import FileObject
from tests.helpers.file_objects import NINE
from tests.helpers.samples import png
from tests.library.models import Paper, Photo, Shelf

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__), pytest.mark.usefixtures("memory")]

api = NinjaAPI(urls_namespace="test_ninja")


class PublicFile(Schema):
    """What everybody may know of a file: not the path, not the alias."""

    name: str
    size: int | None
    content_type: str
    url: str

    @staticmethod
    def resolve_name(file: FileObject) -> str:
        return file.original_name

    @staticmethod
    def resolve_url(file: FileObject, context: Any) -> str:
        return str(context["request"].build_absolute_uri(file.url))


class PublicPaper(Schema):
    id: int
    title: str
    file: PublicFile | None


class PublicShelf(Schema):
    files: list[PublicFile]


class InternalPaper(Schema):
    file: FileObject | None


class Claim(Schema):
    token: str


@api.exception_handler(ValidationError)
def refused(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return api.create_response(request, {"detail": error.messages}, status=400)


@api.get("/papers", response=list[PublicPaper])
def papers(request: HttpRequest) -> Any:
    return Paper.objects.order_by("pk")


@api.get("/internal", response=list[InternalPaper])
def internal(request: HttpRequest) -> Any:
    return Paper.objects.order_by("pk")


@api.post("/papers", response=PublicPaper)
def add_paper(request: HttpRequest, title: Form[str], file: File[UploadedFile]) -> Paper:
    return Paper.objects.create(title=title, file=file)


@api.post("/shelves", response=PublicShelf)
def add_shelf(request: HttpRequest, files: File[list[UploadedFile]]) -> Shelf:
    return Shelf.objects.create(files=files)


@api.post("/photos", response=PublicFile)
def add_photo(request: HttpRequest, image: File[UploadedFile]) -> Any:
    photo = Photo(image=image)
    photo.full_clean()
    photo.save()
    return photo.image


@api.post("/claims", response=PublicPaper)
def claim(request: HttpRequest, given: Claim) -> Paper:
    """Take a file that this site described, and signed, before."""
    try:
        known = signing.loads(given.token, salt="claim", max_age=3600)
    except signing.BadSignature:
        raise ValidationError("No such file.") from None
    return Paper.objects.create(title="claimed", file=FileObject.from_dict(known))


# once all is in it: an API takes nothing more after this
urlpatterns = [
    path("api/", api.urls),
    path("files/", include("django_fsspec.urls")),
]


@pytest.fixture
def client() -> Client:
    return Client()


def upload(data: bytes = b"one", name: str = "May.txt") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "application/x-lie")


def test_an_upload_comes_in_and_a_reduced_schema_goes_out(client: Client) -> None:
    made = client.post("/api/papers", {"title": "t", "file": upload()}).json()
    paper = Paper.objects.get()
    assert paper.file.get_content() == b"one"
    url = made["file"].pop("url")
    assert url.startswith("http://testserver/files/")
    assert made == {
        "id": paper.pk,
        "title": "t",
        "file": {"name": "May.txt", "size": 3, "content_type": "text/plain"},
    }
    response: Any = client.get(url)
    assert b"".join(response.streaming_content) == b"one"


def test_several_uploads_come_in(client: Client) -> None:
    sent = {"files": [upload(name="1.txt"), upload(name="2.txt")]}
    made = client.post("/api/shelves", sent).json()
    assert [file["name"] for file in made["files"]] == ["1.txt", "2.txt"]


def test_a_page_costs_one_query(client: Client) -> None:
    Paper.objects.bulk_create(
        Paper(title=str(n), file=FileObject("default", f"{n}.txt", size=n)) for n in range(100)
    )
    Paper.objects.create(title="none")
    with CaptureQueriesContext(connection) as queries:
        rows = client.get("/api/papers").json()
    assert len(queries) == 1
    assert [row["file"] and row["file"]["size"] for row in rows] == [*range(100), None]


def test_the_nine_keys_go_out_where_they_are_asked_for(client: Client) -> None:
    paper = Paper.objects.create(file=upload())
    [row] = client.get("/api/internal").json()
    assert row["file"] == paper.file.to_dict()
    schema = api.get_openapi_schema()["components"]["schemas"]["InternalPaper"]
    assert list(schema["properties"]["file"]["anyOf"][0]["properties"]) == NINE


def test_the_rules_of_the_model_are_checked(client: Client) -> None:
    response = client.post("/api/photos", {"image": upload(b"text", "t.txt")})
    assert response.status_code == 400
    assert "text/plain" in response.content.decode()
    response = client.post("/api/photos", {"image": upload(png(2, 2), "p.png")})
    assert response.json()["content_type"] == "image/png"
    assert Photo.objects.count() == 1


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
def test_what_is_no_upload_is_refused(client: Client, kind: str) -> None:
    known = {"filename": "secret.txt", "backend": "second"}
    form = '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nsecret.txt\r\n--b--\r\n'
    sent: Any = {"title": "t", "file": known} if "json" in kind else form
    assert client.post("/api/papers", sent, content_type=kind).status_code == 422
    storage: Any = storages["default"]
    assert (list(storage.walk()), Paper.objects.count()) == ([], 0)


def test_a_file_is_taken_from_a_client_only_signed(client: Client) -> None:
    file = FileObject("default", "drafts/a.txt", content=b"draft").save()
    token = signing.dumps(file.to_dict(), salt="claim")
    response = client.post("/api/claims", {"token": token}, content_type="application/json")
    assert response.json()["title"] == "claimed"
    assert Paper.objects.get().file.to_dict() == file.to_dict()
    forged = signing.dumps({**file.to_dict(), "filename": "secret.txt"}, salt="another")
    for wrong in (forged, token[:-1] + "!"):
        response = client.post("/api/claims", {"token": wrong}, content_type="application/json")
        assert response.status_code == 400
    assert Paper.objects.count() == 1
