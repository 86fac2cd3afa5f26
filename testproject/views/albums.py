"""Albums: a row each, with photos in an order."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views import View

from ..forms.albums import AddPhotosForm, AlbumForm, ArrangeForm
from ..models import Album
from ..paging import Rows
from .page import PageView, complain

ALBUMS_A_PAGE = 24


class AlbumsView(PageView):
    """Lists albums, and takes new ones."""

    here, template = "albums", "testproject/albums.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.listed(AlbumForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = AlbumForm(request.POST, request.FILES)
        album = form.stored()
        if album is None:
            return self.listed(form)
        messages.success(request, f"Created {album} with {_photos(len(album.photos))}.")
        return redirect("album", album.pk)

    def listed(self, form: AlbumForm) -> HttpResponse:
        albums = Album.objects.order_by("-created", "-pk")
        page = Rows(albums, self.request.GET.get("page", "1"), ALBUMS_A_PAGE)
        return self.show({"form": form, "albums": page}, 400 if form.errors else 200)


class AlbumView(PageView):
    """Shows the photos of an album, and takes more."""

    here, template = "albums", "testproject/album.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        album = get_object_or_404(Album, pk=pk)
        return self.shown(album, AddPhotosForm(instance=album))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        with transaction.atomic():
            album = get_object_or_404(Album.objects.select_for_update(), pk=pk)
            before = len(album.photos)
            form = AddPhotosForm(request.POST, request.FILES, instance=album)
            added = form.stored()
        if added is None:
            # what the form has put into its row is not stored, so it has no URL
            return self.shown(get_object_or_404(Album, pk=pk), form)
        more = len(album.photos) - before
        done = f"Added {_photos(more)}." if more > 0 else "Saved the album."
        messages.success(request, done)
        return redirect("album", pk)

    def shown(self, album: Album, form: AddPhotosForm) -> HttpResponse:
        return self.show({"album": album, "form": form}, 400 if form.errors else 200)


class ArrangeView(View):
    """Moves a photo to the left or the right, or out of its album."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        with transaction.atomic():
            album = get_object_or_404(Album.objects.select_for_update(), pk=pk)
            form = ArrangeForm(request.POST, album)
            place = form.save() if form.is_valid() else 0
        complain(request, form)
        return redirect(f"{reverse('album', args=[pk])}#photo-{place + 1}")


class DeleteAlbumView(View):
    """Deletes an album; its photos go when that is committed."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        album = get_object_or_404(Album, pk=pk)
        album.delete()
        messages.success(request, f"Deleted {album}, and {_photos(len(album.photos))} with it.")
        return redirect("albums")


def _photos(number: int) -> str:
    return "1 photo" if number == 1 else f"{number} photos"
