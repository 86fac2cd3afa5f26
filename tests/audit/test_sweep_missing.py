"""sweep_files --missing: rows whose object is gone."""

from __future__ import annotations

import pytest

from django_fsspec.audit.findings import MissingFile
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.helpers import audit
from tests.helpers.audit import failing, hold, in_memory, put, run, said, summary, sweep
from tests.library.models import Attachment, Shelf

pytestmark = pytest.mark.django_db(databases=["default", "other"])

place, default = audit.place, audit.default


def test_missing_objects(place: str) -> None:
    put("a.txt", "b.txt", "c.txt", "sub/d.txt")
    hold("a.txt", "gone.txt", "sub/gone too.txt")
    shelf = Shelf.objects.create(files=[said("b.txt"), said("gone.txt")])
    attached = Attachment.objects.create(file="c.txt")
    Attachment.objects.update(picture="no.png")  # else it is looked at for its size
    hold("elsewhere.txt", alias="other")
    found = [one for one in sweep(missing=True) if isinstance(one, MissingFile)]
    told = sorted((one.model, one.field, one.name, one.alias) for one in found)
    assert told == [
        ("library.Attachment", "picture", "no.png", "default"),
        ("library.Paper", "file", "gone.txt", "default"),
        ("library.Paper", "file", "sub/gone too.txt", "default"),
        ("library.Shelf", "files", "gone.txt", "default"),
    ]
    assert {attached.pk, shelf.pk} <= {one.pk for one in found}
    inside = sweep(missing=True, prefix="sub")
    assert [one.name for one in inside if isinstance(one, MissingFile)] == ["sub/gone too.txt"]
    text, status = failing("default", "--missing")
    assert status == 1
    assert f"default  missing  library.Shelf {shelf.pk} files  gone.txt" in text
    assert "rows whose file is missing: 4" in text


def test_missing_through_an_alias_inside_another(default: FSSpecStorage) -> None:
    prefix = default.options.prefix
    with override_storage(default=in_memory(prefix), inner=in_memory(f"{prefix}/inner")):
        hold("inner/gone.txt")
        hold("gone.txt", alias="inner")
        found = [one.alias for one in sweep("default", "inner", missing=True)]
        assert found == ["default", "inner"]
        assert sweep("default", missing=True) == []


def test_nothing_is_missing(place: str) -> None:
    put("a.txt")
    hold("a.txt", "a.txt")
    assert sweep(missing=True) == []
    assert summary(run("default", "--missing", "--json"))["missing_rows"] == 0
    assert summary(run("default", "--json"))["missing_rows"] is None
