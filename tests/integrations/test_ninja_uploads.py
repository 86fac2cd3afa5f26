"""Direct uploads through django-ninja, by clients with a token: no page, no cookie."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from django.urls import include, path
from ninja import NinjaAPI, Schema
from ninja.security import HttpBearer

from django_fsspec.testing import override_storage
from django_fsspec.uploads.ninja import receipt_of, upload_router
from tests.library.models import Parcel

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__), pytest.mark.usefixtures("memory")]
TEXT = b"a line of text\n"


class Bearer(HttpBearer):
    """The name of a user is the user's token."""

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        return User.objects.filter(username=token).first()


api = NinjaAPI(urls_namespace="test_ninja_uploads", auth=Bearer())


class ParcelIn(Schema):
    file: receipt_of("library.Parcel.file")  # type: ignore[valid-type]
    files: receipt_of("library.Parcel.files") = []  # type: ignore[valid-type] # noqa: RUF012


class ParcelOut(Schema):
    id: int


@api.post("/parcels", response=ParcelOut)
def add_parcel(request: HttpRequest, given: ParcelIn) -> Any:
    return Parcel.objects.create(file=given.file, files=given.files)


api.add_router("/file-uploads", upload_router("library.Parcel.file"))
api.add_router("/page-uploads", upload_router("library.Parcel.files"))
urlpatterns = [path("api/", api.urls), path("files/", include("django_fsspec.urls"))]


def send(user: str, path: str, **body: Any) -> Any:
    User.objects.get_or_create(username=user)
    client = Client()
    headers = {"Authorization": f"Bearer {user}"}
    response: Any = client.post(
        f"/api{path}", json.dumps(body), content_type="application/json", headers=headers
    )
    assert not response.cookies
    return response


def started(user: str, uploads: str = "file-uploads", **about: Any) -> Any:
    return send(user, f"/{uploads}/", **{"name": "a.txt", "size": len(TEXT), **about})


def receipt(user: str, uploads: str = "file-uploads") -> str:
    response = started(user, uploads)
    assert response.status_code == 200, response.content
    plan = response.json()
    headers = dict(plan["headers"])
    kind = headers.pop("Content-Type")
    sent: Any = Client().generic(
        plan["method"], plan["url"], TEXT, content_type=kind, headers=headers
    )
    assert sent.status_code == 201, sent.content
    return str(send(user, f"/{uploads}/finish", upload=plan["upload"]).json()["receipt"])


def test_files_arrive_without_a_cookie() -> None:
    pages = [receipt("ada", "page-uploads") for _ in range(2)]
    response = send("ada", "/parcels", file=receipt("ada"), files=pages)
    assert response.status_code == 200, response.content
    parcel = Parcel.objects.get()
    assert parcel.file.get_content() == TEXT
    assert len(parcel.files) == 2


def test_a_large_file_arrives_in_parts_without_a_cookie() -> None:
    with override_storage(default={"fs": "memory", "prefix": "parts", "chunk_size": 6}):
        plan = started("ada").json()
        assert (plan["parallel"], len(plan["parts"])) == (1, 3)
        for part in plan["parts"]:
            headers = {**plan["headers"], **part["headers"]}
            body, kind = TEXT[part["offset"] :][: part["size"]], headers.pop("Content-Type")
            sent: Any = Client().generic(
                plan["method"], part["url"], body, content_type=kind, headers=headers
            )
            assert (sent.status_code, "Upload-Receipt" in sent) == (204, False), sent.content
        asked = {"upload": plan["upload"]}
        assert send("eve", "/file-uploads/finish", **asked).status_code == 403
        done = send("ada", "/file-uploads/finish", **asked).json()
        assert send("eve", "/parcels", file=done["receipt"]).status_code == 403
        assert send("ada", "/parcels", file=done["receipt"]).status_code == 200
        assert Parcel.objects.get().file.get_content() == TEXT


def test_a_checksum_is_checked() -> None:
    digest = hashlib.sha256(TEXT).hexdigest()
    assert started("ada", sha256="x").status_code == 400
    plan = started("ada", sha256=digest).json()
    kind = plan["headers"]["Content-Type"]
    flipped: Any = Client().generic("PUT", plan["url"], b"A" + TEXT[1:], content_type=kind)
    assert flipped.status_code == 400
    assert Client().generic("PUT", plan["url"], TEXT, content_type=kind).status_code == 201
    token = plan["upload"]
    assert send("ada", "/file-uploads/finish", upload=token, sha256=digest).status_code == 200


def test_receipts_that_are_not_for_this_user_field_or_row() -> None:
    own, pages = receipt("ada"), receipt("ada", "page-uploads")
    assert send("ada", "/parcels", file=own).status_code == 200
    refused: list[tuple[dict[str, Any], int]] = [
        ({"file": receipt("eve")}, 403),
        ({"file": receipt("ada"), "files": [receipt("eve", "page-uploads")]}, 403),
        ({"file": own}, 403),  # used already
        ({"file": pages}, 403),  # of another field
        ({"file": "parcels/secret.txt"}, 403),
        ({"file": receipt("ada"), "files": [pages, pages]}, 422),
        ({"file": {"filename": "secret.txt", "backend": "default"}}, 422),
        ({"file": receipt("ada"), "files": pages}, 422),
    ]
    for sent, status in refused:
        assert send("ada", "/parcels", **sent).status_code == status, sent
    assert Parcel.objects.count() == 1


def test_what_is_refused_at_the_start_and_tokens_of_others() -> None:
    assert started("ada", size=50_000_000).status_code == 413
    assert started("ada", name="a.html", type="text/html").status_code == 415
    assert started("ada", size="many").status_code == 422
    token = started("eve").json()["upload"]
    for step in ("finish", "status", "abort"):
        assert send("ada", f"/file-uploads/{step}", upload=token).status_code == 403, step
    assert send("eve", "/file-uploads/abort", upload=token).json() == {"aborted": False}


def test_the_flow_is_in_the_schema() -> None:
    schema = api.get_openapi_schema()
    assert {"/api/file-uploads/", "/api/file-uploads/finish"} <= set(schema["paths"])
    taken = schema["components"]["schemas"]["ParcelIn"]["properties"]
    assert taken["file"]["description"] == "The receipt of a direct upload."
    assert taken["files"]["items"]["type"] == "string"


@pytest.mark.parametrize(
    "label",
    ["library.Parcel.none", "library.None.file", "library.Parcel.id", "file", "a.b.c.d", ""],
)
def test_a_label_of_no_field(label: str) -> None:
    for make in (receipt_of, upload_router):
        with pytest.raises(LookupError, match=f"^'{label}' is not the label of a StoredObjectF"):
            make(label)
