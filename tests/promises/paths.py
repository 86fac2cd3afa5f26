"""Every dotted path that users may write down, and those that our pickles wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

#: what the documents name; nothing is ever taken out
PUBLIC = [
    "django_fsspec.fields.FileList",
    "django_fsspec.uploads.UploadRefused",
    "django_fsspec.uploads.abort",
    "django_fsspec.uploads.check_list",
    "django_fsspec.uploads.current_uploader",
    "django_fsspec.uploads.finish",
    "django_fsspec.uploads.redeemed",
    "django_fsspec.uploads.start",
    "django_fsspec.uploads.status",
    "django_fsspec.validators.content_type_of",
    "django_fsspec.validators.measure",
    "django_fsspec.validators.sniff",
    "django_fsspec.FileObject",
    "django_fsspec.asave_files",
    "django_fsspec.from_url",
    "django_fsspec.save_files",
    "django_fsspec.adapters.register",
    "django_fsspec.adapters.base.Dialect",
    "django_fsspec.adapters.base.exists_already",
    "django_fsspec.adapters.blocking.BlockingAdapter",
    "django_fsspec.adapters.blocking.discard",
    "django_fsspec.admin.AdminStoredObjectWidget",
    "django_fsspec.admin.BackendListFilter",
    "django_fsspec.admin.ContentTypeListFilter",
    "django_fsspec.admin.SizeListFilter",
    "django_fsspec.admin.StoredObjectAdminMixin",
    "django_fsspec.admin.move_files",
    "django_fsspec.uploads.asgi.UploadGuard",
    "django_fsspec.apps.DjangoFSSpecConfig",
    "django_fsspec.exceptions.NotSupported",
    "django_fsspec.exceptions.StorageError",
    "django_fsspec.exceptions.UploadUsed",
    "django_fsspec.core.flows.arun",
    "django_fsspec.core.flows.call",
    "django_fsspec.core.flows.run",
    "django_fsspec.core.stat.Stat",
    "django_fsspec.fields.StoredObjectField",
    "django_fsspec.flows.arun",
    "django_fsspec.flows.call",
    "django_fsspec.flows.run",
    "django_fsspec.forms.MultipleStoredObjectFormField",
    "django_fsspec.forms.StoredObjectFormField",
    "django_fsspec.admin.import_export.StoredObjectResourceField",
    "django_fsspec.admin.import_export.StoredObjectResourceMixin",
    "django_fsspec.middleware.UploadsMiddleware",
    "django_fsspec.moving.move_files",
    "django_fsspec.objects.FileObject",
    "django_fsspec.operations.ConvertFileField",
    "django_fsspec.readthrough.ReadThroughStorage",
    "django_fsspec.responses.afile_response",
    "django_fsspec.responses.file_response",
    "django_fsspec.uploads.ninja.receipt_of",
    "django_fsspec.uploads.ninja.upload_router",
    "django_fsspec.rest_framework.DirectUploadViewSet",
    "django_fsspec.rest_framework.MultipleStoredObjectSerializerField",
    "django_fsspec.rest_framework.StoredObjectSerializerField",
    "django_fsspec.rest_framework.StoredObjectSerializerMixin",
    "django_fsspec.signals.file_deleted",
    "django_fsspec.signals.file_moved",
    "django_fsspec.signals.file_served",
    "django_fsspec.signals.file_stored",
    "django_fsspec.signers.BunnySigner",
    "django_fsspec.signers.CloudFrontSigner",
    "django_fsspec.signers.CloudflareSigner",
    "django_fsspec.staticfiles.FSSpecManifestStaticStorage",
    "django_fsspec.staticfiles.FSSpecStaticStorage",
    "django_fsspec.stat.Stat",
    "django_fsspec.storage.FSSpecStorage",
    "django_fsspec.storage.get_storage",
    "django_fsspec.testing.memory_storage",
    "django_fsspec.testing.override_storage",
    "django_fsspec.testing.s3_storage",
    "django_fsspec.uploads.Choice",
    "django_fsspec.uploads.Destination",
    "django_fsspec.uploads.scanned",
    "django_fsspec.uploads.ticket",
    "django_fsspec.urls.app_name",
    "django_fsspec.urls.urlpatterns",
    "django_fsspec.validators.ContentTypeValidator",
    "django_fsspec.validators.ImageValidator",
    "django_fsspec.validators.MaxSizeValidator",
    "django_fsspec.views.StoredObjectDownloadView",
    "django_fsspec.widgets.StoredObjectInput",
    "django_fsspec.widgets.Ticket",
]

#: what migrations, queues of tasks and new pickles name, and no document does
WRITTEN = [
    "django_fsspec.fields.FileList",
    "django_fsspec.storage.storage_of",
    "django_fsspec.transfer.tasks.migrate_shard",
]

#: what pickles of 0.1.0 name, and new ones do not
OLD = ["django_fsspec.names.RoomyName", "django_fsspec.values.FileList"]

_PATH = re.compile(r"\bdjango_fsspec(?:\.[A-Za-z_]\w*)+")
_CHECK_ID = re.compile(r"django_fsspec\.[EW]\d*")
_IMPORT = re.compile(r"from (django_fsspec[\w.]*) import (\([^)]*\)|[^\n]*)")


def named_in(text: str) -> Iterator[str]:
    """Yield the paths that a document names, those of its imports included."""
    for path in _PATH.findall(text):
        if not _CHECK_ID.fullmatch(path):
            yield path
    for module, names in _IMPORT.findall(text):
        for name in re.findall(r"\w+", names.partition("#")[0]):
            yield f"{module}.{name}"


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
