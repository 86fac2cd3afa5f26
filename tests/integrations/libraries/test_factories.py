"""model_bakery and factory_boy make rows with files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import factory as factory_boy
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from model_bakery import baker

from tests.helpers.samples import png
from tests.library.models import Box, Dossier, Photo, Shelf

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory"), pytest.mark.twin]
#: its types don't tell what a factory makes
factory: Any = factory_boy


def file_for_baker(image: bool) -> ContentFile[bytes]:
    """Return a file that a field accepts."""
    return ContentFile(png(1, 1), "fake.png") if image else ContentFile(b"fake", "fake.txt")


file_for_baker.required = ["image"]  # type: ignore[attr-defined]


@pytest.fixture
def generator(settings: Settings) -> None:
    field = "django_fsspec.fields.StoredObjectField"
    settings.BAKER_CUSTOM_FIELDS_GEN = {field: f"{__name__}.file_for_baker"}


def stored() -> int:
    storage: Any = storages["default"]
    return len(list(storage.walk()))


@pytest.mark.parametrize("files", [False, True])
def test_baker_leaves_optional_files_empty(files: bool) -> None:
    dossier: Any = baker.make(Dossier, _create_files=files)
    assert (dossier.file, dossier.files, stored()) == (None, [], 0)


def test_baker_takes_files(generator: None) -> None:
    dossier: Any = baker.make(
        Dossier,
        file=ContentFile(b"1", name="a.txt"),
        files=[ContentFile(b"2", name="b.txt")],
    )
    dossier.refresh_from_db()
    assert (dossier.file.read(), dossier.files[0].read()) == (b"1", b"2")


def test_baker_needs_a_generator_for_required_files() -> None:
    with pytest.raises(TypeError, match="StoredObjectField'> is not supported by baker"):
        baker.make(Box)


@pytest.mark.parametrize("files", [False, True])
def test_baker_with_a_generator(generator: None, files: bool) -> None:
    box: Any = baker.make(Box, _create_files=files)
    assert box.file.read() == b"fake"
    photo: Any = baker.make(Photo, _full_clean=True)
    assert (photo.image.width, photo.image.content_type) == (1, "image/png")
    dossier: Any = baker.make(Dossier, _fill_optional=True)
    assert dossier.file.read() == b"fake"
    shelves: Any = baker.make(Shelf, 3)
    assert [shelf.files for shelf in shelves] == [[], [], []]


def test_baker_prepares_without_a_request(generator: None) -> None:
    photo: Any = baker.prepare(Photo)
    assert (photo.image.has_pending_data, stored()) == (True, 0)


def test_baker_in_bulk(generator: None) -> None:
    baker.make(Photo, 3, _bulk_create=True)
    assert (Photo.objects.filter(image__content_type="image/png").count(), stored()) == (3, 3)


class PhotoFactory(factory.django.DjangoModelFactory):  # type: ignore[misc]
    image = factory.django.ImageField(width=5, height=4, format="PNG")

    class Meta:
        model = Photo


class DossierFactory(factory.django.DjangoModelFactory):  # type: ignore[misc]
    file = factory.django.FileField(data=b"1", filename="a.txt")
    files = factory.LazyFunction(lambda: [ContentFile(b"2", name="b.txt")])
    code = factory.Sequence(str)

    class Meta:
        model = Dossier


def test_factory_boy() -> None:
    photo = PhotoFactory()
    assert (photo.image.width, photo.image.height) == (5, 4)
    first, second = DossierFactory.create_batch(2)
    assert (first.file.read(), first.file.original_name) == (b"1", "a.txt")
    assert first.file != second.file
    assert [file.read() for file in first.files] == [b"2"]
    assert DossierFactory(file__data=b"3").file.read() == b"3"
    assert DossierFactory(file=None).file is None
    assert stored() == 1 + 2 * 2 + 2 + 1


def test_factory_boy_builds_without_a_request() -> None:
    assert DossierFactory.build().file.has_pending_data
    assert stored() == 0
