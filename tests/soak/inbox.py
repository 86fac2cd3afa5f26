"""A site of one form past which files go, as gunicorn or uvicorn load it. No database: no rows."""

from __future__ import annotations

import json
import os

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.staticfiles", "django_fsspec"],
        MIDDLEWARE=[
            "django.middleware.csrf.CsrfViewMiddleware",
            "django_fsspec.middleware.UploadsMiddleware",
        ],
        ROOT_URLCONF="tests.soak.inbox",
        SECRET_KEY=os.environ["SITE_SECRET"],
        STATIC_URL="/static/",
        STORAGES={
            **json.loads(os.environ["SITE_STORAGES"]),
            "staticfiles": {
                "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage",
            },
        },
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        USE_TZ=True,
    )
    django.setup()

from django import forms
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandler
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path

from django_fsspec import uploads
from django_fsspec.forms import StoredObjectFormField
from django_fsspec.uploads.asgi import UploadGuard
from tests.soak.site import alive

PAGE = """<!doctype html>
<html lang="en"><head><title>Inbox</title><link rel="icon" href="data:,">{{ form.media }}</head>
<body><p id="came">{{ came }}</p>
<form method="post" enctype="multipart/form-data">{% csrf_token %}{{ form.as_div }}
<button>Save</button></form></body></html>"""


class InboxForm(forms.Form):
    """One file, sent to the storage by the browser."""

    file = StoredObjectFormField(
        direct_upload=uploads.Destination(alias="default", upload_to="inbox")
    )


def inbox(request: HttpRequest) -> HttpResponse:
    """Show the form; tell the name and size of what came."""
    form = InboxForm(request.POST or None, request.FILES or None)
    came = ""
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        came, form = f"{file.original_name}: {file.size} bytes", InboxForm()
    about = {"form": form, "came": came}
    return HttpResponse(engines["django"].from_string(PAGE).render(about, request))


urlpatterns = [
    path("alive", alive),
    path("", inbox),
    path("files/", include("django_fsspec.urls")),
]

application = StaticFilesHandler(WSGIHandler())
asgi = UploadGuard(ASGIStaticFilesHandler(ASGIHandler()))
