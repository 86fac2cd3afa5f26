"""URLs of a site with one of the packages: files, a page of rows, a page that fails."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.files.storage import storages
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.urls import include, path

from django_fsspec import FileObject

PAGE = """<html><body>{% for row in rows %}
<a href="{{ row.photo.url }}">{{ row.photo.original_name }} {{ row.photo.size }}</a>
{% for other in row.others %}{{ other.url }}{% endfor %}{% endfor %}</body></html>"""


def page(request: HttpRequest) -> HttpResponse:
    from .gallery.models import Print

    rows = list(Print._default_manager.order_by("pk"))
    context: dict[str, Any] = {"rows": rows, "storage": storages["default"], "file": rows[0].photo}
    return HttpResponse(Template(PAGE).render(Context(context)))


def broken(request: HttpRequest, alias: str) -> HttpResponse:
    storage: Any = storages[alias]
    return HttpResponse(storage.get_content("may.txt"))


def failing(request: HttpRequest) -> HttpResponse:
    """Fail with all in variables that reporters of errors look at."""
    from .gallery.models import Print

    rows = list(Print._default_manager.order_by("pk"))
    storage = storages["default"]
    file, others, field = rows[0].photo, rows[0].others, Print._meta.get_field("photo")
    upload = FileObject("default", "new.txt", content=b"-".join([b"un", b"saved"]))
    raise ValueError(len([rows, storage, file, others, field, upload]))


urlpatterns = [
    path("files/", include("django_fsspec.urls")),
    path("page/", page),
    path("failing/", failing),
    path("broken/<alias>/", broken),
]
if apps.is_installed("debug_toolbar"):
    urlpatterns.append(path("__debug__/", include("debug_toolbar.urls")))
