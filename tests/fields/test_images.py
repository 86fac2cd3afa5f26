"""Pictures with a name of another type: forms refuse them, ``save()`` corrects their path."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.forms import modelform_factory
from django.test.utils import isolate_apps
from django.utils.datastructures import MultiValueDict

from django_fsspec import FileObject
from django_fsspec.fields import StoredObjectField
from django_fsspec.testing import override_storage
from tests.helpers.samples import GIF, HTML, JPEG, PNG, image
from tests.helpers.served_names import SERVED
from tests.library.models import Parcel, Photo

EVIL = GIF + HTML
NAMES = [*SERVED, "x.html", "x.svg", "x.php", "x.png", "x.unknown"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("memory")]


@pytest.fixture
def memory() -> Any:
    with override_storage("default"):
        yield


def there() -> list[str]:
    storage: Any = storages["default"]
    return [stat.name for stat in storage.walk()]


@pytest.mark.parametrize("model", [Parcel, Photo])
def test_a_form_refuses_it(model: Any) -> None:
    name = "picture" if model is Parcel else "image"
    form_class = modelform_factory(model, fields=[name])
    for given in NAMES:
        upload = SimpleUploadedFile("x", EVIL, "image/gif")
        upload.name = given
        form = form_class({}, MultiValueDict({name: [upload]}))
        assert not form.is_valid()
        (error,) = form.errors.as_data()[name]
        assert error.code == "misnamed"
        assert "its content is image/gif" in str(form.errors[name])
    assert there() == []


def test_validation_of_a_row_refuses_it() -> None:
    for given in NAMES:
        for value in (ContentFile(EVIL, given), FileObject("default", given, content=EVIL)):
            with pytest.raises(ValidationError) as caught:
                Parcel(picture=value).full_clean()
            assert [error.code for error in caught.value.error_dict["picture"]] == ["misnamed"]
    Parcel(picture=ContentFile(EVIL, "x.gif")).full_clean()
    assert there() == []


def test_a_field_with_several_files_refuses_it() -> None:
    field: Any = StoredObjectField(multiple=True, image=True)
    field.set_attributes_from_name("files")
    good = FileObject("default", "a.gif", content=EVIL)
    for given in NAMES:
        with pytest.raises(ValidationError, match="not a valid"):
            field.run_validators([good, FileObject("default", given, content=EVIL)])
    field.run_validators([good, good])


def test_the_path_of_what_nobody_validated_has_an_extension_of_the_format() -> None:
    """As in ``save()``, which validates nothing; the type is that of the format, too."""
    for given in NAMES:
        row = Parcel.objects.create(picture=ContentFile(EVIL, given))
        assert row.picture.name.endswith(".gif"), given
        assert "." not in row.picture.name[:-4].lstrip("/.")[len("parcels/.") :]
        assert row.picture.content_type == "image/gif"
        assert row.picture.original_name
    rows = [Parcel(picture=ContentFile(EVIL, given)) for given in NAMES]
    Parcel.objects.bulk_create(rows)
    async_to_sync(Parcel(picture=ContentFile(EVIL, "x.html")).asave)()
    assert {name[-4:] for name in there()} == {".gif"}
    assert {row.picture.content_type for row in Parcel.objects.all()} == {"image/gif"}


@pytest.mark.parametrize(
    ("content", "given", "ending", "content_type"),
    [
        (PNG, "a.png", ".png", "image/png"),
        (PNG, "a.PNG", ".PNG", "image/png"),
        (JPEG, "a.jpeg", ".jpeg", "image/jpeg"),
        (PNG, "a.jpg", ".png", "image/png"),
        (PNG, "a", "", "image/png"),
        (image("TIFF"), "a.dng", ".dng", "image/tiff"),
        (HTML, "a.html", ".html", "text/html"),
    ],
)
def test_the_type_comes_from_the_format(
    content: bytes, given: str, ending: str, content_type: str
) -> None:
    row = Parcel.objects.create(picture=ContentFile(content, given))
    assert row.picture.name.rpartition("/")[2].endswith(ending)
    assert ending or "." not in row.picture.name
    assert row.picture.content_type == content_type


@isolate_apps("tests.library")
def test_options_of_the_field() -> None:
    class Small(models.Model):
        file = StoredObjectField(image=True, formats=["PNG"], max_pixels=35)

        class Meta:
            app_label = "library"

    def codes(content: bytes) -> list[str | None]:
        try:
            Small(file=ContentFile(content, "a")).full_clean()
        except ValidationError as error:
            return [each.code for each in error.error_dict["file"]]
        return []

    assert codes(PNG) == []
    assert codes(GIF) == ["invalid_image"]
    assert codes(image("PNG", (7, 6))) == ["max_pixels"]
