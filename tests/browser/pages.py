"""A small site under a strict policy: forms of the tests' models, and an admin of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template import engines
from django.urls import include, path
from django.utils.safestring import mark_safe

from django_fsspec import uploads
from django_fsspec.admin import StoredObjectAdminMixin
from tests.library.models import Box, Paper, Photo, Shelf

POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"
CONNECT = "; connect-src 'self' {}"
PAGE = """<!doctype html>
<html lang="{{ language }}" dir="{{ direction }}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <link rel="icon" href="/static/admin/img/icon-yes.svg">
  <link rel="stylesheet" href="{% url "style" %}">
  <title>{{ title }}</title>
  {{ form.media }}
  {{ head }}
</head>
<body>
<main>
  <h1>{{ title }}</h1>
  {% for message in messages %}<p class="message" role="status">{{ message }}</p>{% endfor %}
  <form method="post" enctype="multipart/form-data"{{ attributes }}>{% csrf_token %}
    {{ form.as_div }}
    <button name="save">Save</button>
  </form>
</main>
</body>
</html>"""


STYLE = """
body { margin: 1rem; background: Canvas; color: CanvasText; font: 16px/1.5 sans-serif; }
main { max-width: 42rem; margin: 0 auto; }
form > div { margin-block: 1rem; }
"""


def style(request: HttpRequest) -> HttpResponse:
    return HttpResponse(STYLE, content_type="text/css")


class StrictPolicy:
    """Middleware: nothing inline, nothing from elsewhere; uploads to ``UPLOAD_HOST`` only."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if "Content-Security-Policy" in response:
            return response
        host = getattr(settings, "UPLOAD_HOST", None)
        response["Content-Security-Policy"] = POLICY + (CONNECT.format(host) if host else "")
        return response


class WordForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that can fail beside its file."""

    word = forms.CharField(initial="right", help_text="The right one.")

    def clean_word(self) -> str:
        if self.cleaned_data["word"] != "right":
            raise ValidationError("That is not the right word.")
        return "right"


class PaperForm(WordForm):
    class Meta:
        model = Paper
        fields = ("file",)
        help_texts: ClassVar = {"file": "One file."}


class PhotoForm(WordForm):
    class Meta:
        model = Photo
        fields = ("image",)


class ShelfForm(WordForm):
    class Meta:
        model = Shelf
        fields = ("files",)


class DirectForm(PaperForm):
    """A form past which files go."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["file"]
        field.direct_upload = uploads.Destination.of(field.model_field)


class ChoosyForm(PaperForm):
    """A form whose other input says where files go; nowhere but with the form for one value."""

    storage = forms.ChoiceField(choices=[(one, one) for one in ("form", "default", "second")])

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["file"]
        places = {
            alias: uploads.Destination.of(field.model_field, alias)
            for alias in ("default", "second")
        }
        field.direct_upload = uploads.Choice("storage", places)


class DirectShelfForm(ShelfForm):
    """A form past which several files go."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["files"]
        field.direct_upload = uploads.Destination.of(field.model_field)


class OutsideForm(DirectForm):
    """A form whose inputs are outside of its element."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.widget.attrs["form"] = "elsewhere"


class CheckboxForm(ChoosyForm):
    """A form of which a checkbox says where files go."""

    storage = forms.BooleanField(required=False)  # type: ignore[assignment]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["file"]
        second = uploads.Destination.of(field.model_field, "second")
        field.direct_upload = uploads.Choice("storage", {"on": second})


class DirectPhotoForm(PhotoForm):
    """A form past which an image goes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["image"]
        field.direct_upload = uploads.Destination.of(field.model_field)


FORMS: dict[str, type[WordForm]] = {
    "direct photo": DirectPhotoForm,
    "direct shelf": DirectShelfForm,
    "outside": OutsideForm,
    "checkbox": CheckboxForm,
    "paper": PaperForm,
    "photo": PhotoForm,
    "shelf": ShelfForm,
    "direct": DirectForm,
    "choosy": ChoosyForm,
}


def edit(request: HttpRequest, kind: str, pk: int | None = None) -> HttpResponse:
    """Show a form, or store what it was sent with."""
    made = FORMS[kind]
    row = None if pk is None else get_object_or_404(made._meta.model, pk=pk)
    form = made(request.POST or None, request.FILES or None, instance=row)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        messages.success(request, "Saved.")
        return redirect("edit", kind, saved.pk)
    direction = "rtl" if "rtl" in request.GET else "ltr"
    language = request.GET.get("language", "en")
    about = {"form": form, "title": kind, "direction": direction, "language": language}
    text = engines["django"].from_string(PAGE).render(about, request)
    if kind == "outside":
        text = text.replace("<form ", "<form id='elsewhere' ").replace("</form>", "")
        text = text.replace("{% csrf_token %}", "").replace(
            "<button ", "<button form='elsewhere' "
        )
        text = re.sub(r"(<input[^>]*csrfmiddlewaretoken[^>]*>)", r"\1</form>", text)
    if "without-token" in request.GET:
        text = re.sub(r"<input[^>]*csrfmiddlewaretoken[^>]*>", "", text)
    return HttpResponse(text)


# forms that something else than the browser sends, and pages with other policies

NODE = Path(__file__).resolve().parents[2] / "node_modules"
FETCH = """
document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new FormData(event.target, event.submitter);
  const answer = await fetch(event.target.action, { method: "POST", body });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  event.target.before(page.querySelector(".message"));
});
"""
INSERT = """
document.querySelector("main").innerHTML = "<p>Wait</p>";
fetch("/forms/direct/").then((answer) => answer.text()).then((text) => {
  const page = new DOMParser().parseFromString(text, "text/html");
  document.querySelector("main").innerHTML = page.querySelector("main").innerHTML;
  document.querySelector("form").action = "/forms/direct/";
});
"""
HTMX = """<meta name="htmx-config" content='{"includeIndicatorStyles": false, "allowEval": false}'>
<script src="/script/htmx.js"></script>"""
NONCE = "<script nonce='n0nce'>document.documentElement.dataset.ran = 'yes';</script>"
#: kind -> what is in the head, attributes of the form, Content-Security-Policy
PAGES: dict[str, tuple[str, str, str]] = {
    "plain": ("", "", POLICY),
    "htmx": (
        HTMX,
        " hx-post='' hx-encoding='multipart/form-data' hx-select='.message' hx-swap='beforebegin'",
        POLICY,
    ),
    # it has a style sheet of its own
    "turbo": (
        "<script src='/script/turbo.js' defer></script>",
        "",
        f"{POLICY}; style-src 'self' 'unsafe-inline'",
    ),
    "fetch": ("<script src='/script/fetch.js' defer></script>", "", POLICY),
    "insert": ("<script src='/script/insert.js' defer></script>", "", POLICY),
    "nonce": (NONCE, "", f"{POLICY}; script-src 'nonce-n0nce' 'strict-dynamic' 'self'"),
    "trusted types": ("", "", f"{POLICY}; require-trusted-types-for 'script'; trusted-types"),
}


def script(request: HttpRequest, name: str) -> HttpResponse:
    libraries = {
        "htmx.js": NODE / "htmx.org/dist/htmx.min.js",
        "turbo.js": NODE / "@hotwired/turbo/dist/turbo.es2017-umd.js",
    }
    own = {"fetch.js": FETCH, "insert.js": INSERT}
    text = own[name] if name in own else libraries[name].read_text()
    return HttpResponse(text, content_type="text/javascript")


def page(request: HttpRequest, kind: str) -> HttpResponse:
    """Show a form with a direct upload on a page of a kind, or store what it was sent with."""
    head, attributes, policy = PAGES[kind]
    form = DirectForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        response: HttpResponse = redirect("page", kind)
    else:
        about = {"form": form, "title": kind, "direction": "ltr", "language": "en"}
        about |= {"head": mark_safe(head), "attributes": mark_safe(attributes)}
        text = engines["django"].from_string(PAGE).render(about, request)
        if kind == "nonce":
            text = text.replace("<script src", "<script nonce='n0nce' src")
        response = HttpResponse(text)
    response["Content-Security-Policy"] = policy
    return response


# an admin with all defaults, and one with the mixin

site = admin.AdminSite()


class BoxInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Box
    extra = 1


@admin.register(Shelf, site=site)
class ShelfAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    inlines = (BoxInline,)


@admin.register(Paper, site=site)
class PaperAdmin(StoredObjectAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    pass


@admin.register(Photo, site=site)
class PhotoAdmin(StoredObjectAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    pass


urlpatterns = [
    path("forms/<str:kind>/", edit, name="edit"),
    path("forms/<str:kind>/<int:pk>/", edit, name="edit"),
    path("pages/<str:kind>/", page, name="page"),
    path("script/<str:name>", script),
    path("style.css", style, name="style"),
    path("admin/", site.urls),
    path("files/", include("django_fsspec.urls")),
]
