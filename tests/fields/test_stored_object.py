"""StoredObjectField: migrations and checks."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest
from django.core import checks
from django.db import models
from django.test.utils import isolate_apps

from django_fsspec.fields import StoredObjectField
from django_fsspec.testing import override_storage
from tests.library.models import Magazine, Paper, alias_of_tenant

pytestmark = [
    pytest.mark.django_db(databases=["default", "other"]),
    pytest.mark.usefixtures("memory"),
]


def test_what_a_migration_holds() -> None:
    rules: Any = {"image": True, "formats": ["PNG"], "max_pixels": 5, "max_size": 5}
    field = StoredObjectField(
        backend="media", upload_to="a/%Y", content_types=["image/*"], null=True, **rules
    )
    _, path, args, kwargs = field.deconstruct()
    assert path == "django_fsspec.fields.StoredObjectField"
    assert args == []
    assert kwargs == {"backend": "media", "upload_to": "a/%Y", "null": True}
    _, _, _, kwargs = StoredObjectField(backend=alias_of_tenant, multiple=True).deconstruct()
    assert kwargs == {"backend": alias_of_tenant, "upload_to": "", "multiple": True}
    assert isinstance(field.clone(), StoredObjectField)


@isolate_apps("tests.library")
def test_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(models.Model):
        unknown = StoredObjectField(backend="nowhere")
        absolute = StoredObjectField(upload_to="/etc")
        blank = StoredObjectField(blank=True)
        picture = StoredObjectField(image=True, content_types=["image/*"])

        class Meta:
            app_label = "library"

    # as where the packages are not installed
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "filetype", None)
    found = [message for message in Wrong.check() if message.is_serious(checks.ERROR)]
    assert [message.id for message in found] == [
        "django_fsspec.E010",
        "django_fsspec.E011",
        "django_fsspec.E012",
        "django_fsspec.E013",
        "django_fsspec.E013",
    ]
    assert "django-fsspec-storage[images]" in found[3].msg
    assert "backend='nowhere' is not in STORAGES" in found[0].msg


@isolate_apps("tests.library")
def test_checks_of_image_options() -> None:
    options: list[tuple[dict[str, Any], str]] = [
        ({"formats": ["PNG"]}, "formats without image=True"),
        ({"max_pixels": 5, "formats": ["PNG"]}, "formats and max_pixels without image=True"),
        ({"image": True, "formats": ["PNG", "PGN"]}, "Pillow can't open PGN"),
        ({"image": True, "formats": "PNG"}, "Pillow can't open G, N, P"),
        ({"image": True, "formats": []}, "Pillow can't open nothing"),
        ({"image": True, "formats": [5]}, "int"),
        ({"image": True, "max_pixels": 0}, "must be 1 or more"),
        ({"image": True, "max_pixels": "5"}, "must be an int"),
        ({"image": True, "max_pixels": True}, "must be an int"),
        ({"image": True, "formats": ["png", "EPS"], "max_pixels": 5}, ""),
        ({"image": True}, ""),
    ]
    for number, (given, expected) in enumerate(options):
        attributes = {"__module__": __name__, "file": StoredObjectField(null=True, **given)}
        meta = type("Meta", (), {"app_label": "library"})
        model: Any = type(f"Wrong{number}", (models.Model,), {**attributes, "Meta": meta})
        found = [message for message in model.check() if message.id == "django_fsspec.E016"]
        assert len(found) == bool(expected), given
        assert expected in "".join(message.msg for message in found), given


def test_a_field_with_overwriting_storage_is_warned_of() -> None:
    options = {"fs": "memory", "prefix": str(random.random()), "allow_overwrite": True}
    with override_storage(default=options):
        warned = [
            message.obj for message in checks.run_checks() if str(message.id).endswith("W002")
        ]
    assert Paper._meta.get_field("file") in warned
    assert Magazine._meta.get_field("cover") in warned


def test_what_type_checkers_know_adds_nothing_to_the_class() -> None:
    assert StoredObjectField.__bases__ == (models.JSONField,)
    assert not vars(StoredObjectField).keys() & {
        "__class_getitem__",
        "__get__",
        "__new__",
        "__orig_bases__",
        "__parameters__",
        "__set__",
    }
