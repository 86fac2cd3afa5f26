"""Settings of django-storages that are left over after a move, which nothing reads. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Warning  # noqa: A004
from django.db.models import FileField

_NOTHING = "not needed"
#: packages whose storages read none of them
_SILENT = frozenset({"django", "django_fsspec"})
#: settings that other packages and a project's own code read, too
SHARED = frozenset(
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"}
)
#: setting -> where its value goes; docs/coming-from/django-storages.md has the differences
PLACES: dict[str, str] = {
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_S3_ACCESS_KEY_ID"), "fs_options['key']"),
    **dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "AWS_S3_SECRET_ACCESS_KEY"), "fs_options['secret']"),
    **dict.fromkeys(("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"), "fs_options['token']"),
    "AWS_S3_SESSION_PROFILE": "fs_options['profile']",
    "AWS_S3_ENDPOINT_URL": "fs_options['endpoint_url']",
    "AWS_S3_REGION_NAME": "fs_options['client_kwargs']['region_name']",
    "AWS_S3_USE_SSL": "fs_options['use_ssl']",
    "AWS_S3_VERIFY": "fs_options['client_kwargs']['verify']",
    "AWS_S3_SIGNATURE_VERSION": "fs_options['config_kwargs']['signature_version']",
    "AWS_S3_ADDRESSING_STYLE": "fs_options['config_kwargs']['s3']['addressing_style']",
    "AWS_S3_PROXIES": "fs_options['config_kwargs']['proxies']",
    "AWS_S3_CLIENT_CONFIG": "fs_options['config_kwargs']",
    "AWS_S3_TRANSFER_CONFIG": "'chunk_size' and 'max_concurrency'",
    **dict.fromkeys(("AWS_S3_USE_THREADS", "AZURE_UPLOAD_MAX_CONN"), "'max_concurrency'"),
    **dict.fromkeys(
        ("AWS_CLOUDFRONT_KEY", "AWS_CLOUDFRONT_KEY_ID"), "'url_signer': a CloudFrontSigner"
    ),
    "GS_CREDENTIALS": "fs_options['token']",
    "GS_PROJECT_ID": "fs_options['project']",
    "GS_BLOB_CHUNK_SIZE": "'chunk_size'",
    "AZURE_ACCOUNT_KEY": "fs_options['account_key']",
    "AZURE_ACCOUNT_NAME": "fs_options['account_name']",
    "AZURE_CONNECTION_STRING": "fs_options['connection_string']",
    "AZURE_SAS_TOKEN": "fs_options['sas_token']",
    "AZURE_TOKEN_CREDENTIAL": "fs_options['credential']",
    "AZURE_ENDPOINT_SUFFIX": "fs_options['account_host']",
    "AZURE_CLIENT_OPTIONS": "'fs_options'",
    "AZURE_CACHE_CONTROL": "object_options['cache_control']",
    "AZURE_CONNECTION_TIMEOUT_SECS": "'timeout'",
    **dict.fromkeys(
        ("AWS_STORAGE_BUCKET_NAME", "GS_BUCKET_NAME", "AZURE_CONTAINER"),
        "the first part of 'prefix'",
    ),
    **dict.fromkeys(("AWS_LOCATION", "GS_LOCATION", "AZURE_LOCATION"), "the rest of 'prefix'"),
    **dict.fromkeys(
        ("AWS_S3_FILE_OVERWRITE", "GS_FILE_OVERWRITE", "AZURE_OVERWRITE_FILES"),
        "'allow_overwrite'",
    ),
    **dict.fromkeys(
        ("AWS_S3_OBJECT_PARAMETERS", "GS_OBJECT_PARAMETERS", "AZURE_OBJECT_PARAMETERS"),
        "'object_options'",
    ),
    **dict.fromkeys(("AWS_DEFAULT_ACL", "GS_DEFAULT_ACL"), "object_options['acl']"),
    **dict.fromkeys(
        ("AWS_QUERYSTRING_EXPIRE", "GS_EXPIRATION", "AZURE_URL_EXPIRATION_SECS"),
        "'url_expires_in'",
    ),
    **dict.fromkeys(
        (
            *("AWS_QUERYSTRING_AUTH", "AWS_S3_CUSTOM_DOMAIN", "AWS_S3_URL_PROTOCOL"),
            *("GS_CUSTOM_ENDPOINT", "GS_QUERYSTRING_AUTH", "AZURE_CUSTOM_DOMAIN"),
        ),
        "'base_url'",
    ),
    **dict.fromkeys(("AWS_IS_GZIPPED", "GS_IS_GZIPPED"), "'gzip'"),
    **dict.fromkeys(
        (
            *("AWS_S3_FILE_BUFFER_SIZE", "AWS_S3_FILE_NAME_CHARSET", "AWS_S3_MAX_MEMORY_SIZE"),
            *("GS_IAM_SIGN_BLOB", "GS_MAX_MEMORY_SIZE", "GS_SA_EMAIL"),
            *("AZURE_API_VERSION", "AZURE_BLOB_MAX_MEMORY_SIZE", "AZURE_SSL"),
        ),
        _NOTHING,
    ),
}


def former_settings() -> Iterator[CheckMessage]:
    """Yield a warning for settings of django-storages where nothing can read them."""
    left = [name for name in sorted(PLACES) if hasattr(settings, name)]
    if not set(left) - SHARED or _has_reader():
        return
    nodes = [node for entry in settings.STORAGES.values() for node in _nodes(entry)]
    left = [name for name in left if not _is_among(getattr(settings, name), nodes)]
    if not set(left) - SHARED:
        return
    places = ", ".join(f"{name} is {PLACES[name]}" for name in left)
    yield Warning(
        f"Nothing reads these settings of django-storages: {', '.join(left)}.",
        hint=f"Write OPTIONS in STORAGES and remove them: {places}.",
        id="django_fsspec.W011",
    )


def _has_reader() -> bool:
    """Return whether django-storages, or code of the project, may read the settings."""
    fields = (field for model in apps.get_models() for field in model._meta.local_fields)
    classes = [type(field.storage).__module__ for field in fields if isinstance(field, FileField)]
    for entry in settings.STORAGES.values():
        classes.append(str(entry.get("BACKEND", "")))
        fs = entry.get("OPTIONS", {}).get("fs", "")
        # a function that makes the filesystem
        if not isinstance(fs, str) or ("." in fs and "://" not in fs):
            return True
        if any(map(callable, _nodes(entry))):
            return True
    packages = {name.partition(".")[0] for name in classes}
    is_ours = "django_fsspec" in packages
    return apps.is_installed("storages") or not is_ours or not packages <= _SILENT


def _nodes(value: Any) -> Iterator[Any]:
    """Yield all that an entry of STORAGES consists of."""
    yield value
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _nodes(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _nodes(item)


def _is_among(value: Any, nodes: list[Any]) -> bool:
    """Return whether the settings file has made options of a value."""
    if isinstance(value, str) and value:
        return any(isinstance(node, str) and value in node for node in nodes)
    if isinstance(value, bool | int | float):
        return any(type(node) is type(value) and node == value for node in nodes)
    return any(node is value for node in nodes)
