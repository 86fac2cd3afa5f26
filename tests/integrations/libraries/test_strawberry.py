"""strawberry-django: a file is a type of a GraphQL schema."""

from __future__ import annotations

from typing import Any, cast

import pytest
import strawberry
import strawberry_django
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from strawberry import auto
from strawberry.file_uploads import Upload
from strawberry_django import DjangoFileType, DjangoImageType

from tests.helpers.samples import png
from tests.library.models import Dossier, Paper, Photo

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory"), pytest.mark.twin]


@strawberry.type
class File:
    """What a client may know of a file."""

    original_name: str
    content_type: str
    size: int | None
    url: str
    width: int | None


@strawberry_django.type(Dossier, name="Dossier")
class DossierType:
    file: File | None
    files: list[File]


@strawberry_django.type(Photo, name="Photo")
class PhotoType:
    image: DjangoImageType


@strawberry_django.type(Paper, name="Paper")
class PaperType:
    title: auto
    file: DjangoFileType | None


@strawberry.type
class Query:
    dossiers: list[DossierType] = strawberry_django.field()
    photos: list[PhotoType] = strawberry_django.field()
    papers: list[PaperType] = strawberry_django.field()


@strawberry.type
class Mutation:
    @strawberry_django.mutation(handle_django_errors=True)  # type: ignore[untyped-decorator]
    def add_photo(self, image: Upload) -> PhotoType:
        photo = Photo(image=cast("Any", image))
        photo.full_clean()
        photo.save()
        return cast("PhotoType", photo)


schema = strawberry.Schema(Query, Mutation)


@strawberry_django.type(Paper, name="Paper")
class AutomaticType:
    file: auto


@strawberry.type
class AutomaticQuery:
    papers: list[AutomaticType] = strawberry_django.field()


def answer(query: str, **variables: Any) -> Any:
    result = schema.execute_sync(query, variable_values=variables)
    assert result.errors is None
    return result.data


def test_a_type_of_ones_own() -> None:
    pages = [ContentFile(png(2, 3), name="1.png"), ContentFile(b"2", name="2.txt")]
    Dossier.objects.create(file=ContentFile(b"1", name="May.txt"), files=pages, code="a")
    Dossier.objects.create(code="b")
    query = "{dossiers {file {originalName contentType size width} files {originalName url}}}"
    full, empty = answer(query)["dossiers"]
    assert full["file"] == {
        "originalName": "May.txt",
        "contentType": "text/plain",
        "size": 1,
        "width": None,
    }
    assert [file["originalName"] for file in full["files"]] == ["1.png", "2.txt"]
    assert all(file["url"].startswith("/files/") for file in full["files"])
    assert empty == {"file": None, "files": []}


def test_the_types_of_strawberry_django() -> None:
    photo = Photo.objects.create(image=ContentFile(png(2, 3), name="1.png"))
    paper = Paper.objects.create(title="May", file=ContentFile(b"1", name="May.txt"))
    data = answer("{photos {image {name size width height}} papers {title file {name url}}}")
    assert data["photos"][0]["image"] == {
        "name": photo.image.name,
        "size": photo.image.size,
        "width": 2,
        "height": 3,
    }
    assert data["papers"][0]["file"]["name"] == paper.file.name


def test_auto_is_refused() -> None:
    """It can't be told one type for a field, which may be of one file or of several."""
    with pytest.raises(TypeError, match=r"'Paper\.file' has not been implemented"):
        strawberry.Schema(AutomaticQuery)


def test_an_upload_is_checked_and_stored() -> None:
    mutation = """mutation ($image: Upload!) {
        addPhoto(image: $image) {
            ... on Photo {image {width}} ... on OperationInfo {messages {field message}}
        }
    }"""
    image = SimpleUploadedFile("1.png", png(2, 3))
    assert answer(mutation, image=image)["addPhoto"] == {"image": {"width": 2}}
    lie = SimpleUploadedFile("1.png", b"no image")
    [message] = answer(mutation, image=lie)["addPhoto"]["messages"]
    assert message["field"] == "image"
    assert Photo.objects.count() == 1
