"""Validators as values: compared, pickled, written into migrations."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from django.db.migrations.writer import MigrationWriter

from django_fsspec.validators import ContentTypeValidator, ImageValidator, MaxSizeValidator

VALUES: list[Any] = [
    MaxSizeValidator(5),
    MaxSizeValidator(6),
    ContentTypeValidator(["image/*", "text/csv"]),
    ContentTypeValidator(["image/*"]),
    ImageValidator(),
    ImageValidator(["PNG", "gif"]),
    ImageValidator(max_pixels=5),
    ImageValidator(formats=["PNG"], max_pixels=5),
]


@pytest.mark.parametrize("validator", VALUES)
def test_values(validator: Any) -> None:
    path, args, kwargs = validator.deconstruct()
    assert path == f"django_fsspec.validators.{type(validator).__name__}"
    code, imports = MigrationWriter.serialize(validator)
    namespace: dict[str, Any] = {}
    exec("\n".join([*imports, f"made = {code}"]), namespace)
    again = type(validator)(*args, **kwargs)
    for made in (namespace["made"], again, pickle.loads(pickle.dumps(validator))):
        assert made == validator
        assert hash(made) == hash(validator)
    assert [other for other in VALUES if other == validator] == [validator]
    assert validator != "else"


def test_what_a_migration_holds_has_an_order() -> None:
    given = ["text/csv", "image/*", "IMAGE/*"]
    kinds: list[Any] = [iter(given), set(given), tuple(given), dict.fromkeys(given)]
    for allowed in kinds:
        validator = ContentTypeValidator(allowed)
        assert validator == ContentTypeValidator(given)
        code, _ = MigrationWriter.serialize(validator)
        assert code.endswith("ContentTypeValidator(['image/*', 'text/csv'])")


class Pictures(ContentTypeValidator):
    def __init__(self) -> None:
        super().__init__(["image/*"])


def test_a_subclass_has_arguments_of_its_own() -> None:
    path, args, kwargs = Pictures().deconstruct()  # type: ignore[attr-defined]
    assert (path, args, kwargs) == ("tests.validators.test_values.Pictures", (), {})
    assert Pictures() == Pictures()
    assert Pictures() != ContentTypeValidator(["image/*"])
