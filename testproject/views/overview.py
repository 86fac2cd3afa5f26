"""The overview: what all files come to, without asking any storage."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from django_fsspec.storage.aliases import label_of

from ..figures import charts, figures
from .page import PageView


class OverviewView(PageView):
    """Shows figures and charts, all from the database."""

    here, template = "overview", "testproject/overview.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show({"figures": figures(), "charts": charts(label_of)})
