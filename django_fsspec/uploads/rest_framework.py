"""Views of direct uploads for clients of an API, who have no page with a ticket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ImproperlyConfigured

from django_fsspec import uploads
from django_fsspec.core.extras import load
from django_fsspec.uploads import Destination, UploadRefused
from django_fsspec.uploads.refusals import refusing_storage_errors
from django_fsspec.uploads.tokens import field_of_label

if TYPE_CHECKING:
    from rest_framework import exceptions, serializers, viewsets
    from rest_framework.decorators import action
    from rest_framework.response import Response
else:
    exceptions = load("rest_framework.exceptions", "drf", "django_fsspec.rest_framework")
    serializers = load("rest_framework.serializers", "drf", "django_fsspec.rest_framework")
    viewsets = load("rest_framework.viewsets", "drf", "django_fsspec.rest_framework")
    action = load("rest_framework.decorators", "drf", "django_fsspec.rest_framework").action
    Response = load("rest_framework.response", "drf", "django_fsspec.rest_framework").Response


class StartSerializer(serializers.Serializer):  # type: ignore[misc]
    """What a client wants to upload; `size` is in bytes."""

    name = serializers.CharField(trim_whitespace=False)
    size = serializers.IntegerField(min_value=0)
    type = serializers.CharField(allow_blank=True, default="")
    sha256 = serializers.CharField(allow_blank=True, default="")


class PartSerializer(serializers.Serializer):  # type: ignore[misc]
    """Where to send a part; `size` and `offset` are in bytes."""

    number = serializers.IntegerField()
    url = serializers.CharField()
    size = serializers.IntegerField()
    offset = serializers.IntegerField(required=False)
    headers = serializers.DictField(child=serializers.CharField(), required=False)


class InstructionsSerializer(serializers.Serializer):  # type: ignore[misc]
    """Where to send the bytes, and the token of the upload; see ``uploads.start()``."""

    upload = serializers.CharField()
    method = serializers.CharField()
    url = serializers.CharField(allow_null=True)
    headers = serializers.DictField(child=serializers.CharField())
    part_size = serializers.IntegerField(allow_null=True)
    parts = PartSerializer(many=True)
    #: how many parts may be sent at a time; without it, any number
    parallel = serializers.IntegerField(required=False)


class UploadSerializer(serializers.Serializer):  # type: ignore[misc]
    """The token of an upload."""

    upload = serializers.CharField()


class FinishSerializer(UploadSerializer):
    """The token of an upload, and what the client computed while it sent."""

    sha256 = serializers.CharField(allow_blank=True, default="")


class FinishedPartSerializer(serializers.Serializer):  # type: ignore[misc]
    """A part that arrived; `size` is in bytes."""

    number = serializers.IntegerField()
    size = serializers.IntegerField()
    etag = serializers.CharField(allow_null=True, required=False)


class StatusSerializer(serializers.Serializer):  # type: ignore[misc]
    """Parts that arrived, and new URLs for the others."""

    finished = FinishedPartSerializer(many=True)
    parts = PartSerializer(many=True)


class ReceiptSerializer(serializers.Serializer):  # type: ignore[misc]
    """The receipt, which a serializer field takes in place of a file."""

    receipt = serializers.CharField()


class AbortedSerializer(serializers.Serializer):  # type: ignore[misc]
    """Whether parts were removed."""

    aborted = serializers.BooleanField()


class DirectUploadViewSet(viewsets.ViewSet):  # type: ignore[misc]
    """Direct uploads by clients of an API, with the authentication of the API and no cookie.

    Example::

        from rest_framework import permissions, routers

        class DocumentUploads(DirectUploadViewSet):
            field = "documents.Document.file"
            permission_classes = [permissions.IsAuthenticated]

        router = routers.SimpleRouter()
        router.register("document-uploads", DocumentUploads, basename="document-upload")

    ``POST`` to the list starts an upload, and `status/`, `finish/` and `abort/` take its token:
    see docs/how-to/rest-and-schemas.md. Needs ``UploadsMiddleware``. Responds with 400 and the
    statuses of ``uploads.start()`` and its like; 502 where the storage fails.
    """

    #: the label of a ``StoredObjectField``, whose path and limits count
    field: ClassVar[str] = ""
    #: where files go and which are allowed, without a field
    destination: ClassVar[Destination | None] = None

    def get_destination(self) -> Destination:
        """Return where this request uploads to. Raises ``ImproperlyConfigured`` without one."""
        if self.destination is not None:
            return self.destination
        try:
            return Destination.of(field_of_label(self.field))
        except LookupError as error:
            raise ImproperlyConfigured(
                f"{type(self).__name__}.field: {error.args[0]} Set it, or `destination`."
            ) from None

    def create(self, request: Any) -> Response:
        """Start an upload: see ``uploads.start()``."""
        file = _valid(StartSerializer, request)

        def start() -> dict[str, Any]:
            ticket = uploads.ticket(self.get_destination())
            return uploads.start(
                ticket, file["name"], file["size"], file["type"], sha256=file["sha256"]
            )

        return self._respond(start)

    @action(detail=False, methods=["post"])  # type: ignore[untyped-decorator]
    def status(self, request: Any) -> Response:
        """Return which parts arrived, and URLs for the others: see ``uploads.status()``."""
        token = _valid(UploadSerializer, request)["upload"]
        return self._respond(lambda: uploads.status(token))

    @action(detail=False, methods=["post"])  # type: ignore[untyped-decorator]
    def finish(self, request: Any) -> Response:
        """Check what arrived and return its receipt: see ``uploads.finish()``."""
        given = _valid(FinishSerializer, request)
        return self._respond(lambda: {"receipt": uploads.finish(given["upload"], given["sha256"])})

    @action(detail=False, methods=["post"])  # type: ignore[untyped-decorator]
    def abort(self, request: Any) -> Response:
        """Remove the parts of an upload: see ``uploads.abort()``."""
        token = _valid(UploadSerializer, request)["upload"]
        return self._respond(lambda: {"aborted": uploads.abort(token)})

    def _respond(self, step: Callable[[], dict[str, Any]]) -> Response:
        try:
            with refusing_storage_errors():
                return Response(step())
        except UploadRefused as refusal:
            error = exceptions.APIException(refusal.message)
            error.status_code = refusal.status
        raise error


def _valid(serializer_class: Any, request: Any) -> dict[str, Any]:
    """Return the checked data of a request. Raises ``ValidationError`` (400)."""
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
