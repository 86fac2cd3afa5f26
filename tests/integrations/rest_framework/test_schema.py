"""drf-spectacular: what the API answers is what its OpenAPI schema says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from openapi_schema_validator import OAS30Validator, OAS31Validator

from django_fsspec import FileObject
from tests.helpers.samples import png
from tests.library.models import Paper, Photo, Shelf

from . import schema_site

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.integrations.rest_framework.schema_site"),
    pytest.mark.usefixtures("memory"),
    pytest.mark.twin,
]

VERSIONS = {"3.0.3": OAS30Validator, "3.1.0": OAS31Validator}


@pytest.fixture(autouse=True)
def installed(settings: Settings) -> None:
    settings.INSTALLED_APPS = [
        *django_settings.INSTALLED_APPS,
        *("rest_framework", "drf_spectacular"),
    ]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Iterator[str]:
    with patched_settings({"OAS_VERSION": request.param, "COMPONENT_SPLIT_REQUEST": True}):
        yield request.param


def schema_of(name: str) -> dict[str, Any]:
    generator: Any = SchemaGenerator
    document = generator(patterns=schema_site.urlpatterns).get_schema(request=None, public=True)
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def check(version: str, name: str, path: str) -> dict[str, Any]:
    """Have each row that the API answers validated; return the schema of a row."""
    schema = schema_of(name)
    rows = Client().get(path).json()
    assert rows
    for row in rows:
        VERSIONS[version]({**schema, "additionalProperties": False}).validate(row)
    return schema


def test_one_file(version: str) -> None:
    Paper.objects.create(file=ContentFile(b"1", name="a.txt"))
    Paper.objects.create(file=FileObject("default", "of another service"))  # nothing is known
    Paper.objects.create()
    schema = check(version, "Paper", "/papers/")
    file = schema["properties"]["file"]
    assert list(file["properties"]) == ["name", "size", "content_type", "url", "last_modified"]
    assert file["required"] == list(file["properties"])
    assert file["type"] == ("object" if version == "3.0.3" else ["object", "null"])
    assert schema_of("PaperRequest")["properties"]["file"]["format"] == "binary"


def test_a_list_of_files(version: str) -> None:
    Shelf.objects.create(files=[ContentFile(b"1", name="a.txt"), ContentFile(b"2", name="b.txt")])
    Shelf.objects.create()
    files = check(version, "Shelf", "/shelves/")["properties"]["files"]
    assert (files["type"], files["items"]["type"]) == ("array", "object")


def test_chosen_keys_and_no_url(version: str) -> None:
    Photo.objects.create(image=ContentFile(png(3, 2), name="a.png"))
    Photo.objects.create(image=FileObject("default", "of another service"))
    image = check(version, "Photo", "/photos/")["properties"]["image"]
    assert list(image["properties"]) == list(schema_site.CHOSEN)


def test_serializers_are_described_by_their_own_words(version: str) -> None:
    assert "description" not in schema_of("Shelf")
    assert schema_of("Paper")["description"] == "A paper."
