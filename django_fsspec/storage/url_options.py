"""Options that a URL in `fs` holds: ``s3://key:secret@bucket/prefix?endpoint_url=…&timeout=10``.

The URLs of files are made in ``urls``.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from django.core.exceptions import ImproperlyConfigured

from django_fsspec.core.secret_names import KEY_FILES, SECRET_NAME

from .options import OptionError, StorageOptions

#: where the next protocol of a chain begins: not in the address of an IPv6 host
_CHAIN = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.-]*(?:://|::|\?|$))")
#: what stands for a filesystem without being a URL: a protocol, or the path of a class
_WORD = re.compile(r"[\w.+-]+")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: protocol -> names of the options that user and password of a URL stand for
_CREDENTIALS = {
    **dict.fromkeys(("s3", "s3a"), ("key", "secret")),
    **dict.fromkeys(("abfs", "az", "abfss"), ("account_name", "account_key")),
    **dict.fromkeys(("sftp", "ssh", "ftp", "ftps"), ("username", "password")),
    **dict.fromkeys(("webdav", "dav"), ("username", "password")),
}
#: protocols whose account has no name without a password
_PAIRED = frozenset({"s3", "s3a", "abfs", "az", "abfss"})
#: parameters that stand for an entry of an option that is a dict
_NESTED = {
    **dict.fromkeys((("s3", "region"), ("s3a", "region")), ("client_kwargs", "region_name"))
}
#: protocols whose query is part of the address
_OWN_QUERY = frozenset({"http", "https"})
#: a version of an S3 object: of an archive, for example
_VERSION = "versionId"
_FLAGS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


class MaskedURL(str):
    """A URL whose repr hides its secrets: debug pages show the repr of settings."""

    __slots__ = ()

    def __repr__(self) -> str:
        # hide too much rather than too little: all behind a protocol that is no URL, all before an
        # @, all after the name of a secret
        text = re.sub(r"^((?:[\w.+-]++::)*+[\w.+-]*+)(?!://)[^?].*", r"\1********", str(self))
        text = re.sub(r"(?<=[:/]).*@", "********@", text, flags=re.DOTALL)
        secret = rf"([?&][^=&]*(?:sig|{SECRET_NAME.pattern})[^=&]*=).*"
        return repr(re.sub(secret, r"\1********", text, flags=re.IGNORECASE | re.DOTALL))


class URLText(str):
    """The text of a parameter; ``typed_options()`` converts it to what the constructor takes."""

    __slots__ = ()


class ReadURL(NamedTuple):
    """What a URL says. `fs` is the URL without parameters and credentials."""

    fs: str
    #: of a storage, see ``StorageOptions``
    options: dict[str, Any]
    #: of the filesystem, by protocol for a chain
    fs_options: dict[str, Any]


def from_url(url: str, **options: Any) -> dict[str, Any]:
    """Return the entry of ``settings.STORAGES`` for a storage that one URL describes.

    Example::

        STORAGES = {"default": from_url("s3://bucket/media?region=eu-west-1", timeout=10)}

    `options` are further OPTIONS of the storage. The repr of the URL hides its secrets, so that
    debug pages, ``diffsettings`` and logs of the settings show none. Imports no client library:
    what is wrong with the URL is told by ``manage.py check``, and when the storage is used.

    Raises ``ImproperlyConfigured`` for an empty one, as of an environment variable that is not
    set. No request. The parameters are in docs/reference/options.md.
    """
    if not isinstance(url, str) or not url.strip():
        raise ImproperlyConfigured(
            "from_url() got no URL: is the environment variable set? Write, for example, "
            "'s3://bucket/folder' or 'file:///srv/media'."
        )
    return {
        "BACKEND": "django_fsspec.storage.FSSpecStorage",
        "OPTIONS": {"fs": MaskedURL(url.strip()), **options},
    }


def chain_parts(fs: str) -> list[str]:
    """Return the URLs or protocols that a chain consists of, the outermost first."""
    return _CHAIN.split(fs) if "?" in fs or "[" in fs else fs.split("::")


def read_url(fs: str, fs_options: Mapping[str, Any]) -> ReadURL:
    """Return the options in a URL, merged with `fs_options`, those of the filesystem beside it.

    Raises ``OptionError`` for what can't be read and what is set twice; its text has no value.
    """
    for part in chain_parts(fs):
        if "://" not in part and not _WORD.fullmatch(part.partition("?")[0]):
            # it may be a connection string, with a key
            raise OptionError("fs", "is no URL: write '://' after the protocol.")
    if "?" not in fs and "@" not in fs and not fs.startswith(("webdav://", "dav://")):
        return ReadURL(str(fs), {}, dict(fs_options))
    parts = chain_parts(fs)
    options: dict[str, Any] = {}
    by_protocol: dict[str, dict[str, Any]] = {}
    for number, part in enumerate(parts):
        protocol = re.split(r"://|\?", part)[0]
        beside = fs_options if len(parts) == 1 else (fs_options.get(protocol) or {})
        parts[number], said, own = _read_part(part, protocol, beside)
        for name in options.keys() & said.keys():
            raise _twice(name)
        options |= said
        by_protocol[protocol] = {**beside, **own}
    if len(parts) == 1:
        return ReadURL(parts[0], options, by_protocol.popitem()[1])
    merged = {**fs_options, **{k: v for k, v in by_protocol.items() if v or k in fs_options}}
    return ReadURL("::".join(parts), options, merged)


def _read_part(
    part: str, protocol: str, beside: Mapping[str, Any]
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the address of one URL of a chain, options of the storage and of the filesystem.

    `beside` are options of that filesystem which are set outside of the URL.
    """
    if protocol in _OWN_QUERY:
        return _read_http(part, beside)
    address, _, query = part.partition("?")
    parameters = _parameters(query)
    version = parameters.pop(_VERSION, None) if protocol in ("s3", "s3a") else None
    ours = [name for name in parameters if name in StorageOptions.__slots__]
    options = {name: _option(name, parameters.pop(name)) for name in ours}
    address, credentials = _split_credentials(address)
    for name in credentials.keys() & parameters.keys():
        raise _twice(name)
    own: dict[str, Any] = {k: URLText(v) for k, v in (credentials | parameters).items()}
    for name in own.keys() & beside.keys():
        raise _twice(name)
    _nest(protocol, own, beside)
    if protocol in ("webdav", "dav") and "base_url" not in beside:
        address = _webdav(address, own)
    return address if version is None else f"{address}?{_VERSION}={version}", options, own


def holds_secret(read: ReadURL, fs_options: Mapping[str, Any]) -> bool:
    """Return whether a URL said a secret that is not among the options beside it."""

    def named(options: Mapping[str, Any]) -> set[str]:
        inner = (named(value) for value in options.values() if isinstance(value, Mapping))
        secrets = {str(name) for name in options if SECRET_NAME.search(str(name))}
        return (secrets - KEY_FILES).union(*inner)

    return bool(named(read.fs_options) - named(fs_options))


def flag(text: str) -> bool:
    """Return the boolean that a text stands for. Raises ``ValueError``: its text is the type."""
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise ValueError("true or false") from None


def whole_number(text: str) -> int:
    """Return the whole number that a text stands for. Raises as ``flag()``."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError("a whole number")
    return int(text)


def number(text: str) -> float:
    """Return the number that a text stands for. Raises as ``flag()``."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        raise ValueError("a number")
    return float(text)


def _mode(text: str) -> int:
    if not re.fullmatch(r"(0o?)?[0-7]{3,4}", text):
        raise ValueError("permissions such as 640")
    return int(text.removeprefix("0o"), 8)


def _gzip(text: str) -> bool | list[str]:
    return text.split(",") if "/" in text else flag(text)


def _checksum(text: str) -> str | None:
    return None if text.lower() == "none" else text


#: option -> reads its text; the others are no text, and stand beside the URL
_OPTIONS: dict[str, Callable[[str], Any]] = {
    "prefix": str,
    "base_url": str,
    "url_expires_in": whole_number,
    "allow_overwrite": flag,
    "gzip": _gzip,
    "checksum": _checksum,
    "chunk_size": whole_number,
    "max_concurrency": whole_number,
    "max_connections": whole_number,
    "timeout": number,
    "retries": whole_number,
    "file_permissions_mode": _mode,
    "directory_permissions_mode": _mode,
    "label": str,
}


def parameter_names(protocols: Collection[str]) -> list[str]:
    """Return the parameters of a URL that the filesystem's constructor does not take."""
    return [*_OPTIONS, *{name for protocol, name in _NESTED if protocol in protocols}]


def _option(name: str, text: str) -> Any:
    if name not in _OPTIONS:
        raise OptionError("fs", f"can't have the parameter {name!r}: write it beside 'fs'.")
    return typed(name, text, _OPTIONS[name])


def typed(name: str, text: str, read: Callable[[str], Any]) -> Any:
    """Return the value of the parameter `name`. Raises ``OptionError``, which tells no value."""
    problem = ""
    try:
        return read(text)
    except ValueError as error:
        problem = str(error)
    # outside of the handler: the text may be a secret
    raise OptionError("fs", f"has the parameter {name!r}, which must be {problem}.")


def _twice(name: str) -> OptionError:
    return OptionError("fs", f"has {name!r}, which is set twice: leave one out.")


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters by name. A ``+`` is a plus: these are no forms of a browser."""
    parameters: dict[str, str] = {}
    for item in filter(None, query.split("&")):
        name, mark, value = item.partition("=")
        if not mark or not _PARAMETER.fullmatch(name):
            # it may be the rest of a secret
            raise OptionError(
                "fs",
                "has a parameter that is no 'name=value': in values write & as %26, and in a "
                "password ? as %3F.",
            )
        if name in parameters:
            raise _twice(name)
        if not value:
            raise OptionError("fs", f"has the parameter {name!r} without a value: leave it out.")
        parameters[name] = _decoded(value, f"the parameter {name!r}")
    return parameters


def _decoded(text: str, what: str) -> str:
    if _BAD_PERCENT.search(text):
        raise OptionError("fs", f"has a % in {what} that begins no %XX: write it as %25.")
    decoded = unquote(text)
    if "\ufffd" in decoded or _CONTROL.search(decoded):
        raise OptionError("fs", f"has bytes in {what} that are no UTF-8, or control characters.")
    return decoded


def _split_credentials(address: str) -> tuple[str, dict[str, str]]:
    """Return the URL without user and password, and these by the names of their options."""
    protocol, mark, rest = address.partition("://")
    names = _CREDENTIALS.get(protocol)
    authority, slash, path = rest.partition("/")
    if not names or not mark or not _has_credentials(protocol, authority, path):
        return address, {}
    user_info, _, host = authority.rpartition("@")
    user, colon, password = user_info.partition(":")
    if (protocol in _PAIRED and not (user and password)) or not user or not host:
        raise OptionError(
            "fs",
            f"has credentials that are not complete: write '{protocol}://{names[0]}:{names[1]}@…'"
            ", or leave them out.",
        )
    credentials = {names[0]: _decoded(user, "the user name")}
    if colon:
        credentials[names[1]] = _decoded(password, "the password")
    return f"{protocol}://{host}{slash}{path}", credentials


def _has_credentials(protocol: str, authority: str, path: str) -> bool:
    """Return whether there is a user; raise ``OptionError`` for a password cut by a slash."""
    if "@" in authority:
        # abfs://container@account.dfs.core.windows.net
        return protocol not in ("abfs", "az", "abfss") or ":" in authority.rpartition("@")[0]
    host, colon, port = authority.rpartition(":")
    if not authority and re.match(r"[^/]*:[^/]*@", path):
        raise OptionError("fs", "has credentials after a third slash: write two slashes.")
    if colon and "@" in path and not port.isdigit() and not host.startswith(("arn:", "[")):
        raise OptionError(
            "fs",
            "has credentials with a slash: in a user name or password write / as %2F, : as %3A, "
            "@ as %40, ? as %3F and % as %25.",
        )
    return False


def _nest(protocol: str, own: dict[str, Any], beside: Mapping[str, Any]) -> None:
    """Move parameters into the options that are dicts."""
    for name in [name for name in own if (protocol, name) in _NESTED]:
        outer, inner = _NESTED[protocol, name]
        options = dict(beside.get(outer) or {})
        if inner in options:
            raise _twice(name)
        own[outer] = {**options, inner: str(own.pop(name))}


def _read_http(part: str, beside: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """See ``_read_part()``. The user becomes a header, since the address is part of each path."""
    protocol, mark, rest = part.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user_info, at, host = authority.rpartition("@")
    if not at:
        return part, {}, {}
    user, _, password = user_info.partition(":")
    text = f"{_decoded(user, 'the user name')}:{_decoded(password, 'the password')}"
    client = dict(beside.get("client_kwargs") or {})
    headers = dict(client.get("headers") or {})
    if "auth" in client or "authorization" in map(str.lower, headers):
        raise _twice("client_kwargs")
    headers["Authorization"] = f"Basic {b64encode(text.encode()).decode()}"
    address = f"{protocol}{mark}{host}{rest[len(authority) :]}"
    return address, {}, {"client_kwargs": {**client, "headers": headers}}


def _webdav(address: str, own: dict[str, Any]) -> str:
    """Put the address of a WebDAV server into its options; return what is left as `fs`."""
    protocol, mark, rest = address.partition("://")
    user, password = own.pop("username", None), own.pop("password", None)
    if user is not None:
        own["auth"] = (str(user), str(password or ""))
    if not mark:
        return address
    scheme = "https" if typed("use_ssl", own.pop("use_ssl", "true"), flag) else "http"
    own["base_url"] = f"{scheme}://{rest}"
    return protocol
