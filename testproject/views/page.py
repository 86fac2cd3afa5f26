"""What all pages share: the navigation, and the count of what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import messages
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views import View

from ..measuring import counted

PAGES = (
    ("files", "Files"),
    ("documents", "Documents"),
    ("albums", "Albums"),
    ("overview", "Overview"),
    ("admin:index", "Admin"),
)
# pictures come from wherever a storage's URLs lead, and uploads go there
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {}; "
    "img-src * data:; media-src *; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class PageView(View):
    """A view whose page says, at its foot, what it cost."""

    #: the name of its URL, among `PAGES`
    here: ClassVar[str]
    template: ClassVar[str]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with counted() as self.cost:
            return super().dispatch(request, *args, **kwargs)

    def show(self, context: Mapping[str, Any], status: int = HTTPStatus.OK) -> HttpResponse:
        """Return the page."""
        around = {"pages": PAGES, "here": self.here, "cost": self.cost}
        page = render(self.request, self.template, {**around, **context}, status=status)
        page["Content-Security-Policy"] = POLICY.format(_endpoints())
        return page


def _endpoints() -> str:
    """Return where browsers may send files past this site."""
    given = [one.get("OPTIONS", {}).get("fs_options", {}) for one in settings.STORAGES.values()]
    return " ".join(one["endpoint_url"] for one in given if "endpoint_url" in one)


def complain(request: HttpRequest, form: BaseForm) -> None:
    """Have the next page show what a form refused."""
    for error in [str(text) for errors in form.errors.values() for text in errors]:
        messages.error(request, error)
