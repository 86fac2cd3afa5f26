"""The OPTIONS of a storage, and their validation as far as it needs no filesystem."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from django.utils.functional import Promise

from django_fsspec.core.content_types import UNKNOWN_TYPE, safe_type

#: names of object options, the same for every service; `extra` holds arguments of its own
OBJECT_OPTIONS = (
    "content_type",
    "cache_control",
    "content_disposition",
    "content_encoding",
    "acl",
    "storage_class",
    "metadata",
    "extra",
)

ObjectOptions = Mapping[str, Any] | Callable[[str], Mapping[str, Any]]


class Arguments:
    """Options as they were passed, which an equal dict is equal to; values may be secret.

    No mapping, and a repr of the names only: reporters of errors read what frames hold, and take
    mappings apart.
    """

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self.values)}>"

    def __eq__(self, other: object) -> bool:
        return self.values == (other.values if isinstance(other, Arguments) else other)

    __hash__ = None  # type: ignore[assignment]


class OptionError(ValueError):
    """A storage option is wrong: which one, and what to write instead."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StorageOptions:
    """One alias' OPTIONS. Sizes are in bytes, times in seconds; see the design's table.

    They have no repr, because half of them may hold secrets.
    """

    fs: Any
    fs_options: Mapping[str, Any]
    #: a str, or a callable that returns one
    prefix: Any
    base_url: str | None
    url_expires_in: int
    url_signer: Any
    allow_overwrite: bool
    object_options: ObjectOptions
    gzip: bool | Collection[str]
    checksum: str | None
    chunk_size: int
    max_concurrency: int
    max_connections: int
    timeout: float
    retries: int
    file_permissions_mode: int | None
    directory_permissions_mode: int | None
    label: Any

    def __post_init__(self) -> None:
        for name in ("url_expires_in", "chunk_size", "max_concurrency", "max_connections"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
                raise OptionError(name, f"must be a whole number above zero, not {value!r}.")
        seconds = self.timeout
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
            raise OptionError("timeout", f"must be seconds above zero, not {seconds!r}.")
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            raise OptionError("retries", f"must be zero or a whole number, not {self.retries!r}.")
        if not isinstance(self.fs_options, Mapping):
            cls = type(self.fs_options).__name__
            raise OptionError("fs_options", f"must be a dict of keyword arguments, not a {cls}.")
        if not isinstance(self.prefix, str) and not callable(self.prefix):
            raise OptionError("prefix", f"must be a str or a callable, not {self.prefix!r}.")
        if not isinstance(self.label, str | Promise):
            raise OptionError("label", f"must be text for people, not {self.label!r}.")
        if isinstance(self.gzip, str):
            raise OptionError("gzip", f"must be True or a list: write [{self.gzip!r}].")
        if self.checksum is not None and not _digests(self.checksum):
            raise OptionError(
                "checksum", f"{self.checksum!r} is no algorithm of hashlib; use 'sha256' or None."
            )
        if isinstance(self.object_options, Mapping):
            check_object_options(self.object_options)
        elif not callable(self.object_options):
            raise OptionError("object_options", "must be a dict or a callable (name) -> dict.")


def _digests(algorithm: str) -> bool:
    """Return whether hashlib has an algorithm of this name with a digest of fixed length."""
    try:
        return hashlib.new(algorithm).digest_size > 0
    except (ValueError, TypeError):
        return False


#: words of other libraries for where the files of a storage are
WORDS_FOR_PREFIX = frozenset(
    {"azure_container", "bucket", "bucket_name", "container", "location", "path", "root_path"}
)
#: options of FileSystemStorage, django-storages and fsspec, and where this package takes them
_FOREIGN: dict[str, str] = {
    **dict.fromkeys(WORDS_FOR_PREFIX, "write it in 'prefix'."),
    **{
        name: f"write it in 'fs_options' as {name!r}."
        for name in (
            *("account_key", "account_name", "connection_string", "sas_token"),
            *("client_kwargs", "config_kwargs", "endpoint_url", "key", "secret", "token"),
            *("host", "password", "port", "project", "username"),
        )
    },
    "access_key": "write it in 'fs_options' as 'key'.",
    "secret_key": "write it in 'fs_options' as 'secret'.",
    "security_token": "write it in 'fs_options' as 'token'.",
    "project_id": "write it in 'fs_options' as 'project'.",
    "region_name": "write it in 'fs_options' as 'client_kwargs': {'region_name': …}.",
    "default_acl": "write it in 'object_options' as 'acl'.",
    "custom_domain": "write 'base_url', with scheme and folder.",
    "querystring_auth": "for URLs without a signature write 'base_url'.",
    **dict.fromkeys(("file_overwrite", "overwrite_files"), "write 'allow_overwrite'."),
    **dict.fromkeys(
        ("expiration", "expiration_secs", "querystring_expire"), "write 'url_expires_in'."
    ),
}


def check_names(options: Collection[str]) -> None:
    """Raise ``OptionError`` for an unknown option, or when `fs` is missing."""
    valid = StorageOptions.__slots__
    for name in options:
        if name not in valid:
            hint = _FOREIGN.get(name) or nearest(name, valid)
            raise OptionError(name, f"is unknown; {hint}")
    if "fs" not in options:
        raise OptionError("fs", "is missing; write a protocol such as 's3' or 'file'.")


def check_object_options(options: Mapping[str, Any]) -> None:
    """Raise ``OptionError`` for a name not in ``OBJECT_OPTIONS``, and for a malformed type."""
    for name in options:
        if name not in OBJECT_OPTIONS:
            raise OptionError(
                "object_options",
                f"has an unknown name {name!r}; {nearest(name, OBJECT_OPTIONS)} "
                "Arguments of the service's own go into 'extra'.",
            )
    content_type = options.get("content_type")
    if content_type and content_type != safe_type(content_type) == UNKNOWN_TYPE:
        raise OptionError(
            "object_options",
            f"has a malformed 'content_type' {content_type!r}: write a type such as 'text/css' or "
            "'text/css; charset=utf-8'.",
        )


def nearest(name: str, valid: Collection[str]) -> str:
    """Return a sentence that points from a wrong name to the right one."""
    close = get_close_matches(name, valid, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known are " + ", ".join(repr(option) for option in sorted(valid)) + "."
