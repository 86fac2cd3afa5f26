"""What services are told of a file's content type: built anew, whoever gave it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from json import dumps
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile

from django_fsspec import FileObject
from django_fsspec.core.content_types import UNKNOWN_TYPE
from django_fsspec.core.flows import call
from django_fsspec.core.source import Source
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.helpers import hostile_rows
from tests.helpers.backends import Backend, backends_named, folder
from tests.helpers.curl import curl
from tests.helpers.hostile_types import MALFORMED
from tests.helpers.moved_files import move
from tests.library.models import Paper

KEEPING = backends_named("s3 (SeaweedFS)", "gcs (fake-gcs-server)", "azure (azurite)")
#: the kinds of faults: a second type, a line break, no type, no ASCII
FEW = [MALFORMED[0], MALFORMED[10], MALFORMED[15], "im\xe4ge/png"]


@pytest.fixture(params=KEEPING, ids=str)
def keeping(request: pytest.FixtureRequest) -> Iterator[FSSpecStorage]:
    backend: Backend = request.param
    with override_storage(default=backend.options(folder()), second=backend.options(folder())):
        yield own("default")


def own(alias: str) -> FSSpecStorage:
    storage = storages[alias]
    assert isinstance(storage, FSSpecStorage)
    return storage


def kept(storage: FSSpecStorage, name: str) -> str | None:
    return storage.stat(name).content_type


def leave(storage: FSSpecStorage, name: str) -> None:
    """Store an object with a malformed type, as an earlier release did."""
    source = Source(ContentFile(b"<script>"), limit=99)
    source.load()
    told = {"content_type": MALFORMED[0]}
    flows = storage.flows
    flows.run(call(flows.adapter.write, flows.path(name), source, told))


@pytest.mark.parametrize("kind", FEW)
def test_a_service_keeps_no_malformed_type(keeping: FSSpecStorage, kind: str) -> None:
    upload = SimpleUploadedFile("a", b"x", kind)
    saved = keeping.save("upload", upload)
    assert kept(keeping, saved) == UNKNOWN_TYPE
    stat = keeping.store("stored", ContentFile(b"x"), content_type=kind)
    assert stat.content_type == kept(keeping, stat.name) == UNKNOWN_TYPE
    file = FileObject("default", "object", content=b"x", content_type=kind).save()
    assert file.to_dict()["content_type"] == kept(keeping, file.name) == UNKNOWN_TYPE
    file = FileObject("default", "later", content=io.BytesIO(b"x"))
    file.content_type = kind
    assert file.save().content_type == kept(keeping, file.name) == UNKNOWN_TYPE


@pytest.mark.parametrize("kind", FEW)
def test_a_presigned_url_has_no_malformed_type(keeping: FSSpecStorage, kind: str) -> None:
    name = keeping.save("a", ContentFile(b"x"))
    url = keeping.sign(name, content_type=kind)
    told = curl(url).headers["content-type"]
    assert told == UNKNOWN_TYPE
    assert "html" not in str(parse_qs(urlsplit(url).query))
    put = keeping.sign("b", for_upload=True, content_type=kind)
    headers = {"Content-Type": UNKNOWN_TYPE, "x-ms-blob-type": "BlockBlob"}
    assert curl(put, "PUT", headers, body=b"x").status in (200, 201)
    assert kept(keeping, "b") == UNKNOWN_TYPE


def test_a_copy_does_not_take_a_malformed_type_along(keeping: FSSpecStorage) -> None:
    name = "evil"
    leave(keeping, name)
    assert kept(keeping, name) == MALFORMED[0]
    row = FileObject("default", name, content_type=MALFORMED[0], size=8)
    for alias in ("default", "second"):
        copied = row.copy_to(alias, "copy")
        assert copied.to_dict()["content_type"] == kept(own(alias), copied.name) == UNKNOWN_TYPE


@pytest.mark.django_db(transaction=True)
def test_a_move_does_not_take_a_malformed_type_along(keeping: FSSpecStorage) -> None:
    leave(keeping, "evil")
    file = FileObject("default", "evil", size=8)
    about = {**file.to_dict(), "content_type": MALFORMED[0]}
    paper = Paper.objects.create(title="evil")
    hostile_rows.write(paper, dumps(about))
    move("library.Paper")
    moved: Any = Paper.objects.get().file
    assert moved.backend == "second"
    assert moved.to_dict()["content_type"] == kept(own("second"), moved.name) == UNKNOWN_TYPE


@pytest.mark.parametrize("kind", [kind for kind in MALFORMED if kind])
def test_options_with_a_malformed_type_are_refused(kind: str) -> None:
    wrong: Any
    for wrong in ({"content_type": kind}, lambda name: {"content_type": kind}):
        options = {"fs": "memory", "object_options": wrong}
        with (
            override_storage(default=options),
            pytest.raises(ImproperlyConfigured, match="malformed"),
        ):
            storages["default"].save("a", ContentFile(b"x"))
