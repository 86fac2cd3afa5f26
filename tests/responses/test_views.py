"""StoredObjectDownloadView: the file of a row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.files.base import ContentFile
from django.http import Http404, HttpRequest
from django.test import AsyncRequestFactory, RequestFactory

from django_fsspec import FileObject
from django_fsspec.storage import FSSpecStorage
from django_fsspec.views import StoredObjectDownloadView
from tests.library.models import Paper, Shelf
from tests.responses.files import DATA, body, get


class Guarded(StoredObjectDownloadView):
    model = Paper

    def has_permission(self, request: HttpRequest, file: FileObject) -> bool:
        if "hidden" in request.GET:
            raise Http404
        return "key" in request.GET


class ForMembers(LoginRequiredMixin, StoredObjectDownloadView):
    model = Paper


@pytest.fixture
def paper(media: FSSpecStorage, db: None) -> Paper:
    return Paper.objects.create(title="t", file=ContentFile(DATA, name="été.txt"))


@pytest.mark.django_db
def test_view_sends_the_file_of_a_row(
    paper: Paper, django_assert_num_queries: Callable[..., Any]
) -> None:
    view = StoredObjectDownloadView.as_view(model=Paper)
    with django_assert_num_queries(1):
        response = view(get("/", headers={"Range": "bytes=0-9"}), pk=paper.pk)
        assert (response.status_code, body(response)) == (206, DATA[:10])
    assert "%C3%A9t%C3%A9.txt" in response["Content-Disposition"]
    head = view(RequestFactory().head("/"), pk=paper.pk)
    assert (head.status_code, head["Content-Length"]) == (200, str(len(DATA)))
    assert view(RequestFactory().post("/"), pk=paper.pk).status_code == 405
    by_title = StoredObjectDownloadView.as_view(model=Paper, slug_field="title", field="file")
    assert body(by_title(get("/"), slug="t")) == DATA


@pytest.mark.django_db
def test_view_without_a_row_or_a_file_is_a_404(paper: Paper) -> None:
    view = StoredObjectDownloadView.as_view(model=Paper)
    empty = Paper.objects.create()
    for pk in (empty.pk, paper.pk + 1000):
        with pytest.raises(Http404):
            view(get("/"), pk=pk)


@pytest.mark.django_db
def test_view_asks_for_permission(paper: Paper) -> None:
    view = Guarded.as_view()
    with pytest.raises(PermissionDenied):
        view(get("/"), pk=paper.pk)
    with pytest.raises(Http404):
        view(get("/?hidden"), pk=paper.pk)
    assert body(view(get("/?key"), pk=paper.pk)) == DATA


@pytest.mark.django_db
def test_view_works_with_djangos_mixins(paper: Paper) -> None:
    request = get("/")
    request.user = AnonymousUser()
    assert ForMembers.as_view()(request, pk=paper.pk).status_code == 302
    request.user = User(username="u")
    assert body(ForMembers.as_view()(request, pk=paper.pk)) == DATA


@pytest.mark.django_db
def test_view_of_several_files(media: FSSpecStorage) -> None:
    shelf = Shelf.objects.create(
        files=[ContentFile(bytes([n]), name=f"{n}.bin") for n in range(3)]
    )
    view = StoredObjectDownloadView.as_view(model=Shelf)
    assert body(view(get("/"), pk=shelf.pk, index=2)) == b"\x02"
    for index in (3, -1):
        with pytest.raises(Http404):
            view(get("/"), pk=shelf.pk, index=index)
    with pytest.raises(ImproperlyConfigured, match="holds several files"):
        view(get("/"), pk=shelf.pk)


@pytest.mark.django_db
def test_view_names_the_fields_there_are(paper: Paper) -> None:
    view = StoredObjectDownloadView.as_view(model=Paper, field="fill")
    with pytest.raises(ImproperlyConfigured, match=r"'fill' matches 0 .*library\.Paper .* 'file'"):
        view(get("/"), pk=paper.pk)


@pytest.mark.django_db
def test_view_streams_asynchronously_under_asgi(paper: Paper) -> None:
    view = StoredObjectDownloadView.as_view(model=Paper)
    response: Any = view(AsyncRequestFactory().get("/"), pk=paper.pk)
    assert response.is_async

    async def read() -> bytes:
        return b"".join([piece async for piece in response.streaming_content])

    assert asyncio.run(read()) == DATA
