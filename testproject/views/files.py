"""The files of a storage as they lie there, and what the buttons beside them do."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views import View

from django_fsspec.storage.aliases import label_of

from ..forms.files import CopyForm, DeleteForm, UploadForm
from ..listing import Listing, aliases
from .page import PageView, complain


def page_url(alias: str, folder: str = "") -> str:
    """Return where a folder of a storage is shown."""
    query = {"storage": alias, "folder": folder} if folder else {"storage": alias}
    return f"{reverse('files')}?{urlencode(query)}"


def chosen(alias: str) -> str:
    """Return `alias` when there is such a storage, else the first."""
    return alias if alias in aliases() else aliases()[0]


class FilesView(PageView):
    """Lists a folder of a storage, and takes uploads into it."""

    here, template = "files", "testproject/files.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        listing = self.listing(request, request.GET.get("storage", ""))
        initial = {"storage": listing.alias, "folder": listing.folder}
        return self.listed(listing, UploadForm(initial=initial))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = UploadForm(request.POST, request.FILES)
        stored = form.save() if form.is_valid() else []
        if stored:
            count = "1 file" if len(stored) == 1 else f"{len(stored)} files"
            messages.success(request, f"Stored {count} on {form.title}: {', '.join(stored)}.")
        if form.is_valid():
            return redirect(page_url(form.alias, form.cleaned_data["folder"]))
        return self.listed(self.listing(request, request.POST.get("storage", "")), form)

    def listing(self, request: HttpRequest, alias: str) -> Listing:
        folder = request.GET.get("folder", "").removesuffix("/")
        return Listing(chosen(alias), folder, request.GET.get("page", "1"))

    def listed(self, listing: Listing, form: UploadForm) -> HttpResponse:
        context = {
            "listing": listing,
            "form": form,
            "tabs": [(alias, label_of(alias), page_url(alias)) for alias in aliases()],
        }
        return self.show(context, 400 if form.errors else listing.status)


class ChangeView(View):
    """Does what a button beside a file says, then goes back to the list."""

    form_class: ClassVar[type[DeleteForm | CopyForm]]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = self.form_class(request.POST)
        if form.is_valid():
            try:
                messages.success(request, form.save())
            except OSError as failure:
                messages.error(request, f"The action failed. {failure}")
        else:
            complain(request, form)
        return redirect(page_url(chosen(request.POST.get("storage", "")), form.folder))


class DeleteView(ChangeView):
    """Deletes a file."""

    form_class = DeleteForm


class CopyView(ChangeView):
    """Copies a file to another storage."""

    form_class = CopyForm
