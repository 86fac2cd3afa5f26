"""An API with tokens, to which files are uploaded directly."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework import authentication, exceptions, permissions, routers, serializers, viewsets

from django_fsspec.rest_framework import DirectUploadViewSet, StoredObjectSerializerMixin
from tests.library.models import Parcel


class Bearer(authentication.BaseAuthentication):  # type: ignore[misc]
    """The name of a user is the user's token."""

    def authenticate(self, request: Any) -> Any:
        scheme, _, name = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return None
        try:
            return User.objects.get(username=name), name
        except User.DoesNotExist:
            raise exceptions.AuthenticationFailed from None

    def authenticate_header(self, request: Any) -> str:
        return "Bearer"


class ParcelSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
    class Meta:
        model = Parcel
        fields = ("id", "file", "files")


class ParcelViews(viewsets.ModelViewSet):  # type: ignore[misc]
    queryset = Parcel.objects.order_by("pk")
    serializer_class = ParcelSerializer
    authentication_classes = (Bearer,)
    permission_classes = (permissions.IsAuthenticated,)


class FileUploads(DirectUploadViewSet):
    field = "library.Parcel.file"
    authentication_classes = (Bearer,)
    permission_classes = (permissions.IsAuthenticated,)


class PageUploads(FileUploads):
    field = "library.Parcel.files"


class Nowhere(FileUploads):
    field = "library.Parcel.none"


router = routers.SimpleRouter()
router.register("parcels", ParcelViews)
router.register("file-uploads", FileUploads, basename="file-upload")
router.register("page-uploads", PageUploads, basename="page-upload")
router.register("nowhere", Nowhere, basename="nowhere")

urlpatterns = [
    path("", include(router.urls)),
    path("schema/", SpectacularAPIView.as_view(custom_settings={"COMPONENT_SPLIT_REQUEST": True})),
    path("files/", include("django_fsspec.urls")),
]
