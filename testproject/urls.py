"""URLs of the demo."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from .views.albums import AlbumsView, AlbumView, ArrangeView, DeleteAlbumView
from .views.documents import DeleteDocumentView, DocumentsView, DocumentView
from .views.files import CopyView, DeleteView, FilesView
from .views.overview import OverviewView

urlpatterns = [
    path("", FilesView.as_view(), name="files"),
    path("delete/", DeleteView.as_view(), name="delete"),
    path("copy/", CopyView.as_view(), name="copy"),
    path("documents/", DocumentsView.as_view(), name="documents"),
    path("documents/<int:pk>/", DocumentView.as_view(), name="document"),
    path("documents/<int:pk>/delete/", DeleteDocumentView.as_view(), name="delete-document"),
    path("albums/", AlbumsView.as_view(), name="albums"),
    path("albums/<int:pk>/", AlbumView.as_view(), name="album"),
    path("albums/<int:pk>/arrange/", ArrangeView.as_view(), name="arrange"),
    path("albums/<int:pk>/delete/", DeleteAlbumView.as_view(), name="delete-album"),
    path("overview/", OverviewView.as_view(), name="overview"),
    path("admin/", admin.site.urls),
    path("files/", include("django_fsspec.urls")),
]
