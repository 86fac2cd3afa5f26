"""The forms of the browser tests as crispy-forms renders them, in Bootstrap's light and dark."""

from __future__ import annotations

from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template import engines
from django.urls import include, path

from tests.browser.pages import ShelfForm
from tests.library.models import Shelf

PAGE = """{% load crispy_forms_tags %}<!doctype html>
<html lang="en" data-bs-theme="{{ theme }}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <link rel="stylesheet" href="/bootstrap.css">
  <title>Shelf</title>
  {{ form.media }}
</head>
<body>
<main class="container">
  <h1>Shelf</h1>
  <form method="post" enctype="multipart/form-data">{% csrf_token %}
    {{ form|crispy }}
    <button class="btn btn-primary" name="save">Save</button>
  </form>
</main>
</body>
</html>"""
CSS = Path(__file__).resolve().parents[3] / "node_modules/bootstrap/dist/css/bootstrap.min.css"


def shelf(request: HttpRequest, theme: str, pk: int) -> HttpResponse:
    row = get_object_or_404(Shelf, pk=pk)
    form = ShelfForm(request.POST or None, request.FILES or None, instance=row)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect(request.path)
    about = {"form": form, "theme": theme}
    return HttpResponse(engines["django"].from_string(PAGE).render(about, request))


def bootstrap(request: HttpRequest) -> HttpResponse:
    return HttpResponse(CSS.read_bytes(), content_type="text/css")


urlpatterns = [
    path("shelf/<str:theme>/<int:pk>/", shelf),
    path("bootstrap.css", bootstrap),
    path("files/", include("django_fsspec.urls")),
]
