"""ConvertFileField: what it refuses, before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, models
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.fields import StoredObjectField
from django_fsspec.operations import ConvertFileField
from tests.helpers import conversions
from tests.helpers.conversions import OPTIONAL, TABLE, Past, columns, convert, document

pytestmark = pytest.mark.django_db(transaction=True)

past = conversions.past


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"field": models.FileField()}, "field must be a StoredObjectField, not FileField"),
        ({"field": StoredObjectField(multiple=True)}, "can't convert to multiple"),
        ({"field": StoredObjectField(), "batch_size": 0}, "batch_size must be 1 or more"),
    ],
    ids=str,
)
def test_wrong_arguments(given: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        ConvertFileField("document", "file", **given)


def test_only_file_fields_are_converted(memory: None, past: Past) -> None:
    past.start(("file", models.CharField(max_length=10)))
    with pytest.raises(TypeError, match=r"Document\.file is a CharField before ConvertFileField"):
        past.migrate(convert())


def test_the_way_back_is_refused_before_anything_is_changed(memory: None, past: Past) -> None:
    past.start(document(max_length=20))
    past.migrate(convert(OPTIONAL))
    kept = [
        FileObject("default", "x" * 21),
        FileObject("second", "b.txt"),
        {"backend": "default"},
        FileObject("default", "x" * 20),
    ]
    past.add(None, *kept)
    with pytest.raises(ValueError, match=r"Document\.file can't become a path again\.") as caught:
        past.back(atomic=False)
    text = str(caught.value)
    assert f"The path is longer than max_length=20: pk=2 '{'x' * 21}'." in text
    assert "The FileField's storage is 'default'" in text
    assert "pk=3 'b.txt' on 'second'." in text
    assert "The JSON describes no file: pk=4." in text
    assert columns() == {"id", "file"}
    past.model.objects.filter(pk__in=[2, 3, 4]).delete()
    past.back(atomic=False)
    assert past.held() == ["", "x" * 20]


def test_a_router_has_its_say(memory: None, past: Past) -> None:
    class Nowhere:
        def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
            return False

    past.start(document())
    past.add("a.txt")
    with override_settings(DATABASE_ROUTERS=[Nowhere()]):
        past.migrate(convert())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT file FROM {TABLE}")
        assert list(cursor.fetchall()) == [("a.txt",)]
