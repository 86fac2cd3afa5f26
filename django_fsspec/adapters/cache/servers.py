"""Tell the servers and accounts apart that a cache folder holds files of."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.crypto import salted_hmac

from django_fsspec.core.secret_names import SECRET_NAME, SIGNED

#: options that say nothing of where files are
_TUNING = re.compile(
    r"attempt|asynchronous|block_?size|cache|concurren|expiry|keepalive|loop|max_|retr|timeout"
)
#: a connection string of Azure has a signature in it
_SECRET = re.compile(f"{SECRET_NAME.pattern}|signature", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=//)([^/\s:@]*):[^/\s@]+(?=@)")
#: variables of the environment that name a server or an account, by protocol
_ENVIRONMENT = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"),
    "gs": ("STORAGE_EMULATOR_HOST",),
    "abfs": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING"),
}


def server_of(fs: Any) -> str:
    """Return a digest of the server and the account that a filesystem reads from.

    It is of what the options say, but for secrets, and time limits and the like. So options that
    only we don't know make two servers of one, which costs a second copy; never one of two. A
    secret in headers or cookies may be all that tells two accounts of one URL apart: it counts by
    a digest that is keyed with SECRET_KEY, so that names of files don't help to guess it.
    """
    said = sorted(set(_said(fs)))
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _said(fs: Any) -> Iterator[tuple[str, str]]:
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    yield "protocol", repr(sorted(protocols))
    parameters = [*inspect.signature(type(fs).__init__).parameters][1:]
    positional = zip(parameters, getattr(fs, "storage_args", ()), strict=False)
    for name, value in {**dict(positional), **getattr(fs, "storage_options", {})}.items():
        if name == "key" and "s3" in protocols:
            # no secret: the name of one, which stands in each signed URL
            yield name, str(value)
        yield from _leaves(name, value)
    for protocol in protocols:
        for name in _ENVIRONMENT.get(protocol, ()):
            yield from _leaves(name.lower(), os.environ.get(name))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield what an option says, without what is secret in it."""
    if _TUNING.search(name):
        return
    if name in ("headers", "cookies") and isinstance(value, list | tuple):
        value = dict(value)  # pairs
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(str(key), inner)
            if name in ("headers", "cookies"):
                yield from _secret_of_account(str(key), inner)
    elif hasattr(value, "storage_options"):
        yield from _said(value)
    elif hasattr(value, "fs") and hasattr(value, "path"):
        # an open archive
        yield name, str(value.path)
        yield from _said(value.fs)
    elif name.endswith("connection_string") and isinstance(value, str):
        for part in value.split(";"):
            key, _, inner = part.partition("=")
            yield from _leaves(key, inner)
    elif name in ("auth", "middlewares"):
        yield from _signing(name, value)
    elif name.lower() == "authorization" and _is_basic(value):
        yield from _user_of_basic(name, value)
    elif isinstance(value, str | int | os.PathLike) and not _SECRET.search(name):
        yield name, SIGNED.sub(r"\1", _PASSWORD.sub(r"\1", str(value)))


def _signing(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield what tells whose account signs requests: a user, or an object of a client library."""
    if isinstance(value, list | tuple):
        is_pair = bool(value) and isinstance(value[0], str)
        for one in value[:1] if is_pair else value:
            yield from _signing(name, one)
    elif isinstance(value, str):
        yield name, value
    else:
        for key, text in getattr(value, "__dict__", {}).items():
            if _is_basic(text):
                yield from _user_of_basic(name, text)
            elif isinstance(text, str | bytes) and "pass" not in key:
                # whatever it is: it may be a token
                yield name, _digest(text)


def _is_basic(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("Basic ")


def _user_of_basic(name: str, value: str) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(ValueError):
        yield name, base64.b64decode(value[6:]).decode("latin-1").partition(":")[0]


def _secret_of_account(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield a keyed digest of a header or cookie whose value is a secret, but for a password."""
    if _SECRET.search(name) and not _is_basic(value):
        yield name, _digest(value)


def _digest(value: object) -> str:
    return salted_hmac("django_fsspec.cache", str(value), algorithm="sha256").hexdigest()
