"""Files through Django REST framework: uploads come in, descriptions go out, nothing else."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, models
from django.test import modify_settings
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.urls import include, path
from rest_framework import exceptions, routers, serializers, viewsets
from rest_framework.settings import api_settings
from rest_framework.test import APIClient

from django_fsspec import FileObject
from django_fsspec.fields import StoredObjectField
from django_fsspec.rest_framework import (
    SHOWN,
    MultipleStoredObjectSerializerField,
    StoredObjectSerializerField,
    StoredObjectSerializerMixin,
)
from django_fsspec.testing import override_storage
from django_fsspec.validators import MaxSizeValidator
from tests.library.models import Ledger, Magazine, Paper, Photo, Shelf
from tests.test_filefield import png

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class PaperSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
    class Meta:
        model = Paper
        fields = ("id", "title", "file")


class ShelfSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
    class Meta:
        model = Shelf
        fields = ("id", "files")


class PhotoSerializer(serializers.ModelSerializer):  # type: ignore[misc]
    """A field that is declared, not made from the model."""

    image = StoredObjectSerializerField(fields=("name", "width", "height"))

    class Meta:
        model = Photo
        fields = ("id", "image")


class PaperViews(viewsets.ModelViewSet):  # type: ignore[misc]
    queryset = Paper.objects.order_by("pk")
    serializer_class = PaperSerializer


class ShelfViews(viewsets.ModelViewSet):  # type: ignore[misc]
    queryset = Shelf.objects.order_by("pk")
    serializer_class = ShelfSerializer


class PhotoViews(viewsets.ModelViewSet):  # type: ignore[misc]
    queryset = Photo.objects.order_by("pk")
    serializer_class = PhotoSerializer


class LateRefusal(PaperViews):
    def perform_create(self, serializer: Any) -> None:
        super().perform_create(serializer)
        raise exceptions.PermissionDenied


router = routers.SimpleRouter()
router.register("papers", PaperViews)
router.register("shelves", ShelfViews)
router.register("photos", PhotoViews)
router.register("late", LateRefusal, basename="late")
urlpatterns = [
    path("", include(router.urls)),
    path("files/", include("django_fsspec.urls")),
]


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    with override_storage("default", "second"):
        yield


@pytest.fixture
def client() -> Any:
    return APIClient()


def upload(data: str | bytes = "one", name: str = "May.txt") -> SimpleUploadedFile:
    content = data.encode() if isinstance(data, str) else data
    return SimpleUploadedFile(name, content, "application/x-lie")


def there() -> list[str]:
    """Return the content of all that is stored."""
    storage: Any = storages["default"]
    return sorted(storage.get_content(stat.name).decode() for stat in storage.walk())


# what comes in, and what goes out


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


# what is refused

DESCRIPTION = {"filename": "secret.txt", "backend": "second", "metadata": {"a": 1}}
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


def self_made(model: Any, name: str) -> str:
    return f"/{name}/{model.objects.create().pk}/"


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


def refusal(serializer: Any) -> Any:
    assert not serializer.is_valid()
    return serializer.errors


def test_facts_of_a_form_beside_the_upload_are_not_taken(client: Any) -> None:
    told = {"file.filename": "x", "file.backend": "second", "backend": "second", "filename": "x"}
    response = client.post("/papers/", {"title": "t", "file": upload(), **told})
    assert response.status_code == 201
    file = Paper.objects.get().file
    assert (file.backend, file.metadata) == ("default", {"original_name": "May.txt"})
    assert file.name.startswith("papers/May_")


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


# nothing is stored


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


# what is shown


def test_odd_json_of_one_row_spoils_no_page(client: Any) -> None:
    odd = [5, "text", {"backend": "default"}, {"filename": "a.txt", "backend": "nowhere"}]
    odd += [{"filename": "../a.txt", "backend": "default", "last_modified": 1e300}]
    for value in odd:
        made = Paper.objects.create()
        with connection.cursor() as cursor:
            sql = "UPDATE library_paper SET file = %s WHERE id = %s"
            cursor.execute(sql, [json.dumps(value), made.pk])
    client.post("/papers/", {"file": upload()})
    files = [row["file"] for row in client.get("/papers/").data]
    assert files[:3] == [None] * 3
    assert [(file["name"], file["url"]) for file in files[3:5]] == [("a.txt", None)] * 2
    assert files[5]["url"]


def test_what_is_shown_can_be_chosen() -> None:
    file = FileObject("default", "a.txt", metadata={"camera": "Leica", "_extra": {"secret": 1}})
    field = StoredObjectSerializerField(fields=("url", "metadata"), use_url=False)
    assert field.to_representation(file) == {"metadata": {"camera": "Leica"}}
    assert "metadata" not in SHOWN
    several = MultipleStoredObjectSerializerField(fields="checksum")
    assert several.to_representation([file]) == [{"checksum": None}]
    with pytest.raises(ValueError, match=r"\['backend'\] can't be shown .* 'checksum', "):
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


# the fields of a serializer


def test_fields_are_made_from_the_model() -> None:
    class MagazineSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Magazine
            fields = ("title", "file", "cover")
            read_only_fields = ("cover",)
            extra_kwargs = {"file": {"fields": ("name",), "required": True}}  # noqa: RUF012

    made = MagazineSerializer().fields
    assert made["cover"].read_only
    assert (made["file"].fields, made["file"].required, made["file"].allow_null) == (
        ("name",),
        True,
        True,
    )
    files = ShelfSerializer().fields["files"]
    assert (files.required, files.allow_empty) == (False, True)


@isolate_apps("tests.library")
def test_rules_of_the_model_for_several_files() -> None:
    class Pile(models.Model):
        files = StoredObjectField(multiple=True, validators=[MaxSizeValidator(3)])

        class Meta:
            app_label = "library"

    class Made(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Pile
            fields = ("files",)

    assert Made(data={"files": [upload("123")]}).is_valid()
    [error] = refusal(Made(data={"files": [upload("123"), upload("1234")]}))["files"][1]
    assert error.code == "max_size"
    assert refusal(Made(data={"files": []}))["files"][0].code == "empty"
    assert refusal(Made(data={}))["files"][0].code == "required"


@isolate_apps("tests.library")
def test_rules_of_the_model_are_told_once() -> None:
    class Pile(models.Model):
        file = StoredObjectField(validators=[MaxSizeValidator(3)])

        class Meta:
            app_label = "library"

    class Registered(serializers.ModelSerializer):  # type: ignore[misc]
        serializer_field_mapping = PaperSerializer.serializer_field_mapping

        class Meta:
            model = Pile
            fields = ("file",)

    assert len(refusal(Registered(data={"file": upload("1234")}))["file"]) == 1


def test_a_field_for_one_file_is_not_for_several() -> None:
    class Wrong(serializers.ModelSerializer):  # type: ignore[misc]
        files = StoredObjectSerializerField()

        class Meta:
            model = Shelf
            fields = ("files",)

    with pytest.raises(TypeError, match=r"Shelf\.files holds several .* MultipleStoredObject"):
        assert Wrong().fields


def test_the_field_can_be_registered_for_every_serializer(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = serializers.ModelSerializer.serializer_field_mapping
    monkeypatch.setitem(registry, StoredObjectField, StoredObjectSerializerField)

    class Plain(serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Photo
            fields = ("image",)

    hostile = Plain(data={"image": DESCRIPTION})
    assert not hostile.is_valid()
    assert "not an upload" in str(hostile.errors)
    made = Plain(data={"image": upload(png(2, 2), "p.png")})
    assert made.is_valid(), made.errors
    assert made.save().image.width == 2
    assert "textarea" not in str(made["image"].style)
    late = Plain(data={"image": upload(b"text", "t.txt")})
    assert not late.is_valid()
    assert [error.code for error in late.errors["image"]] == ["content_type"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "django_fsspec.rest_framework")
    monkeypatch.setitem(sys.modules, "rest_framework.serializers", None)
    with pytest.raises(ImproperlyConfigured, match=r"rest_framework needs .*storage\[drf\]"):
        importlib.import_module("django_fsspec.rest_framework")


def test_the_model_has_the_same_rules() -> None:
    photo = Photo(image=upload(b"text", "t.txt"))
    with pytest.raises(ValidationError, match="text/plain"):
        photo.full_clean()


def test_serializers_without_the_mixin_take_no_paths_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = dict(serializers.ModelSerializer.serializer_field_mapping)
    monkeypatch.setattr(serializers.ModelSerializer, "serializer_field_mapping", known)
    # as ready() does where rest_framework is installed
    apps.get_app_config("django_fsspec")._teach_rest_framework()  # type: ignore[attr-defined]

    class Plain(serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Paper
            fields = ("title", "file")

    forged = Plain(data={"title": "t", "file": {"backend": "default", "filename": "x.txt"}})
    assert not forged.is_valid()
    assert "not an upload" in str(forged.errors["file"])
    upload = SimpleUploadedFile("a.txt", b"1")
    assert Plain(data={"title": "t", "file": upload}).is_valid()
