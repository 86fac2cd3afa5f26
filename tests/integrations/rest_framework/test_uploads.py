"""Direct uploads by clients with a token: no page, no cookie."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from django_fsspec.testing import override_storage
from tests.library.models import Parcel

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.integrations.rest_framework.uploads_site"),
    pytest.mark.usefixtures("memory"),
    pytest.mark.once,
]
TEXT = b"a line of text\n"


class ApiClient:
    """A client that keeps no cookies."""

    def __init__(self, name: str) -> None:
        User.objects.get_or_create(username=name)
        self.authorization = f"Bearer {name}"

    def send(self, method: str, path: str, body: Any = b"", **headers: str) -> Any:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = headers.pop("Content-Type", "application/json")
        if path.startswith("/") and not path.startswith("/files/"):
            headers["Authorization"] = self.authorization
        return Client().generic(method, path, text, content_type=kind, headers=headers)

    def started(self, uploads: str = "file-uploads", **about: Any) -> Any:
        known = {"name": "a.txt", "size": len(TEXT), "type": "text/plain", **about}
        return self.send("POST", f"/{uploads}/", known)

    def receipt(self, uploads: str = "file-uploads", name: str = "a.txt") -> str:
        response = self.started(uploads, name=name)
        assert response.status_code == 200, response.content
        assert not response.cookies
        plan = response.json()
        sent = self.send(plan["method"], plan["url"], TEXT, **plan["headers"])
        assert sent.status_code == 201
        done = self.send("POST", f"/{uploads}/finish/", {"upload": plan["upload"]})
        assert not done.cookies
        return str(done.json()["receipt"])


@pytest.fixture(autouse=True)
def schema_class(settings: Settings) -> None:
    # views take it when they are imported
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}


@pytest.fixture
def ada() -> ApiClient:
    return ApiClient("ada")


def test_a_file_arrives_without_a_cookie(ada: ApiClient) -> None:
    response = ada.send("POST", "/parcels/", {"file": ada.receipt(), "files": []})
    assert response.status_code == 201, response.content
    assert response.json()["file"]["name"] == "a.txt"
    parcel = Parcel.objects.get()
    assert parcel.file.get_content() == TEXT
    assert parcel.file.content_type == "text/plain"


def test_a_large_file_arrives_in_parts_without_a_cookie(ada: ApiClient) -> None:
    with override_storage(default={"fs": "memory", "prefix": "parts", "chunk_size": 6}):
        plan = ada.started().json()
        assert (plan["parallel"], len(plan["parts"])) == (1, 3)
        for part in plan["parts"]:
            body = TEXT[part["offset"] :][: part["size"]]
            headers = {**plan["headers"], **part["headers"]}
            assert ada.send(plan["method"], part["url"], body, **headers).status_code == 204
        asked = {"upload": plan["upload"]}
        eve = ApiClient("eve")
        assert eve.send("POST", "/file-uploads/finish/", asked).status_code == 403
        done = ada.send("POST", "/file-uploads/finish/", asked).json()
        assert eve.send("POST", "/parcels/", {"file": done["receipt"]}).status_code == 403
        made = ada.send("POST", "/parcels/", {"file": done["receipt"], "files": []})
        assert made.status_code == 201
        assert Parcel.objects.get().file.get_content() == TEXT


def test_a_checksum_is_checked(ada: ApiClient) -> None:
    digest = hashlib.sha256(TEXT).hexdigest()
    assert ada.started(sha256="x").status_code == 400
    plan = ada.started(sha256=digest).json()
    flipped = ada.send("PUT", plan["url"], b"A" + TEXT[1:], **plan["headers"])
    assert flipped.status_code == 400
    assert ada.send("PUT", plan["url"], TEXT, **plan["headers"]).status_code == 201
    asked = {"upload": plan["upload"], "sha256": digest}
    assert ada.send("POST", "/file-uploads/finish/", asked).status_code == 200


def test_several_files_in_the_order_of_their_receipts(ada: ApiClient) -> None:
    receipts = [ada.receipt("page-uploads", name) for name in ("b.txt", "a.txt")]
    response = ada.send("POST", "/parcels/", {"files": receipts})
    assert response.status_code == 201, response.content
    assert [file.original_name for file in Parcel.objects.get().files] == ["b.txt", "a.txt"]


@pytest.mark.parametrize("several", [False, True])
def test_the_receipt_of_another_user_is_forbidden(ada: ApiClient, several: bool) -> None:
    uploads = "page-uploads" if several else "file-uploads"
    receipt = ApiClient("eve").receipt(uploads)
    sent = {"files": [receipt]} if several else {"file": receipt, "files": []}
    response = ada.send("POST", "/parcels/", sent)
    assert response.status_code == 403
    assert not Parcel.objects.exists()


def test_other_receipts_are_refused(ada: ApiClient) -> None:
    receipt = ada.receipt()
    pages = ada.receipt("page-uploads")
    assert ada.send("POST", "/parcels/", {"file": receipt, "files": []}).status_code == 201
    refused: list[tuple[Any, int]] = [
        ({"file": receipt, "files": []}, 403),  # used already
        ({"file": pages, "files": []}, 403),  # of another field
        ({"file": "parcels/secret.txt", "files": []}, 403),  # none at all
        ({"files": [pages, pages]}, 400),
        ({"file": {"filename": "secret.txt", "backend": "default"}, "files": []}, 400),
    ]
    for sent, status in refused:
        assert ada.send("POST", "/parcels/", sent).status_code == status, sent
    assert Parcel.objects.count() == 1


def test_what_must_not_be_uploaded_is_refused_at_the_start(ada: ApiClient) -> None:
    assert ada.started(size=50_000_000).status_code == 413
    assert ada.started(name="a.html", type="text/html").status_code == 415
    assert ada.started(name="").status_code == 400
    assert ada.started(size="many").status_code == 400
    assert Client().post("/file-uploads/", {}).status_code == 401


def test_tokens_of_another_user_are_refused(ada: ApiClient) -> None:
    token = ApiClient("eve").started().json()["upload"]
    for step in ("finish", "status", "abort"):
        response = ada.send("POST", f"/file-uploads/{step}/", {"upload": token})
        assert response.status_code == 403, step
    assert ada.send("POST", "/file-uploads/status/", {}).status_code == 400


@pytest.mark.parametrize("label", ["library.Parcel.none", "library.Parcel.id", "file", ""])
def test_a_view_without_a_field(
    ada: ApiClient, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    monkeypatch.setattr("tests.integrations.rest_framework.uploads_site.Nowhere.field", label)
    with pytest.raises(ImproperlyConfigured, match=f"Nowhere.field: '{label}' is not the label"):
        ada.started("nowhere")


def test_the_schema_tells_the_flow(client: Client, settings: Settings) -> None:
    settings.INSTALLED_APPS = [
        *django_settings.INSTALLED_APPS,
        *("rest_framework", "drf_spectacular"),
    ]
    schema = client.get("/schema/?format=json").json()
    steps = {path for path in schema["paths"] if path.startswith("/file-uploads/")}
    assert steps == {f"/file-uploads/{step}" for step in ("", "status/", "finish/", "abort/")}
    start = schema["paths"]["/file-uploads/"]["post"]
    assert set(start["responses"]) == {"200", "403", "410", "413", "415"}
    parts = schema["components"]["schemas"]
    assert set(parts["Instructions"]["properties"]) == {
        *("upload", "method", "url", "headers", "part_size", "parts", "parallel")
    }
    assert list(parts["Receipt"]["properties"]) == ["receipt"]
    facts = parts["Parcel"]["properties"]["file"]["properties"]
    assert set(facts) == {"name", "size", "content_type", "url", "last_modified"}
    taken = parts["ParcelRequest"]["properties"]
    assert [kind.get("format") for kind in taken["file"]["oneOf"]] == ["binary", None]
    assert taken["files"]["items"] == {key: taken["file"][key] for key in ["oneOf"]}
