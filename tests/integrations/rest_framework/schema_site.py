"""Views whose OpenAPI schema is compared with what they answer."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.openapi import AutoSchema
from rest_framework import routers, serializers, viewsets

from django_fsspec.rest_framework import StoredObjectSerializerMixin
from tests.library.models import Paper, Photo, Shelf

CHOSEN = ("name", "size", "content_type", "checksum", "width", "height", "metadata")


class PaperSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
    """A paper."""

    class Meta:
        model = Paper
        fields = ("file",)


class ShelfSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
    class Meta:
        model = Shelf
        fields = ("files",)


class PhotoSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
    class Meta:
        model = Photo
        fields = ("image",)
        extra_kwargs = {"image": {"fields": (*CHOSEN, "url"), "use_url": False}}  # noqa: RUF012


class Views(viewsets.ModelViewSet):  # type: ignore[misc]
    schema = AutoSchema()


class PaperViews(Views):
    queryset = Paper.objects.order_by("pk")
    serializer_class = PaperSerializer


class ShelfViews(Views):
    queryset = Shelf.objects.order_by("pk")
    serializer_class = ShelfSerializer


class PhotoViews(Views):
    queryset = Photo.objects.order_by("pk")
    serializer_class = PhotoSerializer


router = routers.SimpleRouter()
router.register("papers", PaperViews)
router.register("shelves", ShelfViews)
router.register("photos", PhotoViews)

urlpatterns = [
    path("", include(router.urls)),
    path("files/", include("django_fsspec.urls")),
]
