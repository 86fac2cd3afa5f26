"""Serializers and views of rows with files."""

from __future__ import annotations

from typing import Any

from django.urls import include, path
from rest_framework import exceptions, routers, serializers, viewsets

from django_fsspec.rest_framework import StoredObjectSerializerField, StoredObjectSerializerMixin
from tests.library.models import Paper, Photo, Shelf


class PaperSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
    class Meta:
        model = Paper
        fields = ("id", "title", "file")


class ShelfSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
    class Meta:
        model = Shelf
        fields = ("id", "files")


class PhotoSerializer(serializers.ModelSerializer):  # type: ignore[misc]
    """A field that is declared, not made from the model."""

    image = StoredObjectSerializerField(fields=("name", "width", "height"))

    class Meta:
        model = Photo
        fields = ("id", "image")


class PaperViews(viewsets.ModelViewSet):  # type: ignore[misc]
    queryset = Paper.objects.order_by("pk")
    serializer_class = PaperSerializer


class ShelfViews(viewsets.ModelViewSet):  # type: ignore[misc]
    queryset = Shelf.objects.order_by("pk")
    serializer_class = ShelfSerializer


class PhotoViews(viewsets.ModelViewSet):  # type: ignore[misc]
    queryset = Photo.objects.order_by("pk")
    serializer_class = PhotoSerializer


class LateRefusal(PaperViews):
    def perform_create(self, serializer: Any) -> None:
        super().perform_create(serializer)
        raise exceptions.PermissionDenied


router = routers.SimpleRouter()


router.register("papers", PaperViews)


router.register("shelves", ShelfViews)


router.register("photos", PhotoViews)


router.register("late", LateRefusal, basename="late")


urlpatterns = [
    path("", include(router.urls)),
    path("files/", include("django_fsspec.urls")),
]
