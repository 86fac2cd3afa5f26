"""StoredObjectField: migrations and checks."""

from __future__ import annotations

import random
import sys

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
    field = StoredObjectField(
        backend="media", upload_to="a/%Y", max_size=5, content_types=["image/*"], null=True
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


def test_a_field_with_overwriting_storage_is_warned_of() -> None:
    options = {"fs": "memory", "prefix": str(random.random()), "allow_overwrite": True}
    with override_storage(default=options):
        warned = [
            message.obj for message in checks.run_checks() if str(message.id).endswith("W002")
        ]
    assert Paper._meta.get_field("file") in warned
    assert Magazine._meta.get_field("cover") in warned
