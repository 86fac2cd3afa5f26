"""Downloads of rows with invalid JSON: 404, whatever is asked for; odd values do no harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection
from django.http import Http404, HttpResponseBase
from django.test import AsyncRequestFactory, Client, RequestFactory
from django.utils.html import escape

from django_fsspec.responses.file_response import afile_response, file_response
from django_fsspec.testing import override_storage
from django_fsspec.views import StoredObjectDownloadView
from tests.helpers.hostile_rows import GOOD, ODD, STATIC, invalid, paper, shelf, write
from tests.helpers.hostile_types import MALFORMED
from tests.library.models import Paper, Shelf
from tests.responses.files import body

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


def by_view(row: Paper) -> HttpResponseBase:
    view = StoredObjectDownloadView.as_view(model=Paper)
    return view(RequestFactory().get("/", headers={"Range": "bytes=0-1"}), pk=row.pk)


def by_function(row: Paper, **options: Any) -> HttpResponseBase:
    file: Any = Paper.objects.get(pk=row.pk).file
    return file_response(RequestFactory().get("/"), file, **options)


def by_async_function(row: Paper) -> HttpResponseBase:
    file: Any = Paper.objects.get(pk=row.pk).file
    return asyncio.run(afile_response(AsyncRequestFactory().get("/"), file))


def by_redirect(row: Paper) -> HttpResponseBase:
    return by_function(row, redirect=True)


def by_nginx(row: Paper) -> HttpResponseBase:
    return by_function(row, accel="/internal/")


def by_signed_url(row: Paper) -> HttpResponseBase:
    file: Any = Paper.objects.get(pk=row.pk).file
    return Client().get(file.sign(content_type=file._content_type))


WAYS = [by_view, by_function, by_async_function, by_redirect, by_nginx]


@pytest.mark.parametrize("download", WAYS)
def test_a_row_that_is_invalid_answers_404_and_logs_why(
    download: Callable[[Paper], Any], caplog: pytest.LogCaptureFixture
) -> None:
    row = paper("hostile", GOOD)
    for title, value in invalid().items():
        write(row, value.text)
        caplog.clear()
        with pytest.raises(Http404):
            pytest.fail(f"{title}: {download(row)}")
        assert f"Paper.file of Paper {row.pk} can't be used: " in caplog.text, title
        assert value.error in escape(caplog.text), title


def test_an_item_of_a_list_that_is_invalid_answers_404_and_logs_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    view = StoredObjectDownloadView.as_view(model=Shelf)
    values = list(invalid().values())
    row = shelf(*(value.text for value in values))
    for index in range(len(values)):
        with pytest.raises(Http404):
            view(RequestFactory().get("/"), pk=row.pk, index=index)
        assert f"Shelf.files of Shelf {row.pk} can't be used: " in caplog.messages[index]


def test_odd_values_do_no_harm() -> None:
    storages["default"].save("papers/good.txt", ContentFile(b"good"))
    row = paper("odd", GOOD)
    for title, text in {"good": GOOD, **ODD}.items():
        write(row, text)
        response = by_function(row)
        assert (response.status_code, body(response)) == (200, b"good"), title
        assert response["Content-Type"] == "text/plain"


@pytest.mark.parametrize("download", [*WAYS, by_signed_url])
@pytest.mark.parametrize("name", ["x", "x.html"])
def test_a_malformed_type_is_sent_to_nobody(name: str, download: Callable[[Paper], Any]) -> None:
    storages["default"].save(f"papers/{name}", ContentFile(b"<script>alert(1)</script>"))
    row = paper("evil", GOOD)
    # PostgreSQL holds no NUL in JSON
    kinds = [kind for kind in MALFORMED if "\0" not in kind or connection.vendor != "postgresql"]
    for kind in kinds:
        about = {**json.loads(GOOD), "filename": f"papers/{name}", "content_type": kind}
        write(row, json.dumps(about))
        response = download(row)
        assert response.status_code in (200, 206), kind
        expected = "text/html" if name == "x.html" else "application/octet-stream"
        assert response["Content-Type"] == expected, kind
        assert response["Content-Disposition"].startswith("attachment"), kind
        assert response["Content-Security-Policy"].startswith("sandbox"), kind
        file: Any = Paper.objects.get(pk=row.pk).file
        assert file.content_type == "application/octet-stream" or not kind


@pytest.mark.parametrize("has_root", [False, True])
@pytest.mark.parametrize("download", [by_view, by_function, by_async_function, by_redirect])
def test_a_storage_of_django_without_the_file_answers_404(
    download: Callable[[Paper], Any], has_root: bool, settings: Settings, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = str(tmp_path) if has_root else None
    row = paper("hostile", STATIC)
    for text in (STATIC, STATIC.replace("papers/good", "../../good")):
        write(row, text)
        with pytest.raises(Http404):
            download(row)


def test_a_storage_that_cannot_be_built_is_no_matter_of_the_row() -> None:
    row = paper("good", GOOD)
    with override_storage(default={"fs": "s4"}), pytest.raises(ImproperlyConfigured, match="s4"):
        by_function(row)
