"""URLs of signed links and of direct uploads; the namespace is ``django_fsspec``.

Include them in the URLconf for storages that can't sign URLs. How a storage chooses a URL is in
``django_fsspec.storage.signing``.
"""

from __future__ import annotations

from django.urls import path

from . import views
from .uploads import tus
from .uploads import views as upload_views

app_name = "django_fsspec"

urlpatterns = [
    path("file/<str:token>", views.file, name="file"),
    path("upload/<str:token>", views.upload, name="upload"),
    path("uploads/start", upload_views.start_upload, name="start_upload"),
    path("uploads/status", upload_views.upload_status, name="upload_status"),
    path("uploads/finish", upload_views.finish_upload, name="finish_upload"),
    path("uploads/abort", upload_views.abort_upload, name="abort_upload"),
    path("uploads/tus", tus.tus_uploads, name="tus_uploads"),
    path("uploads/tus/<str:token>", tus.tus_upload, name="tus_upload"),
]
