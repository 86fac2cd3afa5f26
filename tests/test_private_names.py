"""Names that other packages keep to themselves and we use: each is there on the installed release.

It runs on the oldest and on the newest releases that pyproject.toml allows. One that is optional
has a test in tests/adapters (test_missing_names.py or test_s3_small_requests.py), where it is
taken away. A new use of a private name fails here until it is listed with its reason.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import ninja
import pytest
from django.template import Engine
from django.template.loader_tags import BlockNode, ExtendsNode
from rest_framework import serializers

import django_fsspec


class Name(NamedTuple):
    """An attribute of somebody else's module, class or instance."""

    owner: str
    attribute: str
    #: why we use it
    why: str
    #: what we pass, where it is called
    parameters: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.owner}.{self.attribute}"


_ASYNC = "fsspec.asyn.AsyncFileSystem"
_COROUTINE = "fsspec's documented interface of async filesystems"
_BLOCKING = "fsspec.AbstractFileSystem"
_LOOP = "a forked child has a copy of the loop, without its thread and with the parent's sockets"
_DEEP = "calls itself once a folder of a name; without it a deep name may end in RecursionError"
_ARCHIVE = "one walk over all entries; the public ls() walks all of them for each directory"
_MODELS = "documented by Django, with its underscore"

PRIVATE = [
    Name("asyncio.base_events.BaseEventLoop", "_thread_id", _LOOP),
    Name("asyncio.selector_events.BaseSelectorEventLoop", "_selector", _LOOP),
    Name("asyncio.selector_events.BaseSelectorEventLoop", "_transports", _LOOP),
    Name("weakref.finalize", "_registry", "the only way to what a filesystem has run at its end"),
    Name("os", "_exit", "documented; a second Ctrl-C ends at once, without waiting for threads"),
    Name(
        "botocore.client.BaseClient",
        "_endpoint",
        "small requests over its connections; a whole call, the public way, takes thrice the CPU",
    ),
    Name(
        "aiobotocore.httpsession.AIOHTTPSession",
        "_get_session",
        "small requests over its aiohttp session; its send() takes a sixth more CPU",
        ("proxy_url",),
    ),
    Name(
        "aiobotocore.httpsession.AIOHTTPSession",
        "_proxy_config",
        "with a proxy, its own send() is left to find it",
    ),
    Name(
        "s3fs.S3FileSystem",
        "_call_s3",
        "the coroutine of the public call_s3(), as fsspec names coroutines",
        ("method",),
    ),
    Name("gcsfs.core.GCSFileSystem", "_request", "its number of tries has no option"),
    Name("gcsfs.core.GCSFileSystem", "_set_session", "the public `session` is None before it"),
    Name(
        "azure.storage.blob.aio.BlobServiceClient", "_config", "adlfs passes on no retry options"
    ),
    Name(
        "azure.storage.blob.aio.BlobClient",
        "_client",
        "one GET streamed, one PUT that notices silence; the public ones: see decision 0020",
    ),
    Name(
        "sshfs.SSHFileSystem",
        "_finalize",
        "closes the connection on any loop that runs where it is freed; we have it on its own",
        ("loop", "pool", "stack"),
    ),
    Name(
        "paramiko.SFTPFile",
        "_close",
        "saves the round trip that close() waits for",
        ("async_",),
    ),
    Name(
        "aiohttp.ClientSession",
        "_request",
        "names what a request takes; without it, options of HTTP are not checked",
    ),
    Name(
        "fsspec.implementations.ftp.FTPFileSystem",
        "_connect",
        "it has no option for TLS; under another name a storage with `tls` is refused",
    ),
    Name(_ASYNC, "_info", _COROUTINE, ("path",)),
    Name(_ASYNC, "_ls", _COROUTINE, ("path", "detail")),
    Name(_ASYNC, "_cat_file", _COROUTINE, ("path", "start", "end")),
    Name(_ASYNC, "_pipe_file", _COROUTINE, ("path", "value")),
    Name(_ASYNC, "_put_file", _COROUTINE, ("lpath", "rpath")),
    Name(_ASYNC, "_cp_file", _COROUTINE, ("path1", "path2")),
    Name(_ASYNC, "_rm_file", _COROUTINE, ("path",)),
    Name(
        _BLOCKING, "_open", "documented; the public open() adds nothing for an archive", ("path",)
    ),
    Name(_BLOCKING, "_parent", "each filesystem has its own root; no public way", ("path",)),
    Name(_BLOCKING, "_strip_protocol", "documented for filesystems; no public way", ("path",)),
    Name(
        _BLOCKING, "_get_kwargs_from_urls", "documented for filesystems; no public way", ("path",)
    ),
    Name("fsspec.implementations.zip.ZipFileSystem", "_get_dirs", _ARCHIVE),
    Name("fsspec.implementations.tar.TarFileSystem", "_get_dirs", _ARCHIVE),
    Name("fsspec.implementations.libarchive.LibArchiveFileSystem", "_get_dirs", _ARCHIVE),
    Name("fsspec.archive.AbstractArchiveFileSystem", "_all_dirnames", _DEEP, ("paths",)),
    Name(
        "fsspec.implementations.libarchive.LibArchiveFileSystem",
        "_open_archive",
        "the public open() keeps a whole member in memory",
    ),
    Name("django.contrib.contenttypes.models.ContentType", "_meta", _MODELS),
    Name("django.contrib.contenttypes.models.ContentType", "_base_manager", _MODELS),
    Name("django.db.models.Model", "_state", _MODELS),
    Name("django.db.models.JSONField", "_default_hint", "its check would propose a dict"),
    Name("django.db.models.fields.files.FieldFile", "_committed", "no public way to tell"),
    Name("django.core.files.storage.handler.StorageHandler", "_storages", "builds no storage"),
    Name(
        "django.utils.functional.LazyObject", "_wrapped", "default_storage is no instance itself"
    ),
    Name("django.utils.functional.LazyObject", "_setup", "default_storage is no instance itself"),
    Name(
        "django.utils.deconstruct.deconstructible",
        "_constructor_args",
        "an iterator given to a validator is used up when a migration is written",
    ),
    Name(
        "django.utils.log.log_response",
        "_has_been_logged",
        "Django would log the URL, and with it the token of a signed URL",
    ),
    Name(
        "django.middleware.csrf",
        "_unmask_cipher_token",
        "the one thing that ties a form's data to a browser",
        ("token",),
    ),
    Name(
        "django.db.backends.sqlite3.schema.DatabaseSchemaEditor",
        "_remake_table",
        "one copy of the table; Django's public methods make two or three",
        ("model", "alter_fields"),
    ),
    Name("rest_framework.request.Request", "_request", "a response wants Django's own request"),
    Name(
        "drf_spectacular.openapi.AutoSchema",
        "_map_serializer",
        "documented by drf-spectacular, with its underscore",
        ("serializer", "direction", "bypass_extensions"),
    ),
    Name(
        "django.db.models.Model",
        "_save_table",
        "the only method around one table's statement that knows the database: decision 0014",
    ),
    Name("django.db.models.QuerySet", "_for_write", "as in bulk_create(): tells the database"),
    Name(
        "django.db.models.Model",
        "_prepare_related_fields_for_save",
        "as in bulk_create(): a callable upload_to sees keys of rows that were saved meanwhile",
    ),
]

_CLIENT = "the filesystem's client, whose documented methods are called"
_OPTION = "what the filesystem was made with"

UNDOCUMENTED = [
    # small requests
    Name("botocore.endpoint.Endpoint", "http_session", "see _endpoint"),
    Name("aiobotocore.httpsession.AIOHTTPSession", "send", "see _endpoint", ("request",)),
    Name(
        "aiobotocore.endpoint",
        "convert_to_response_dict",
        "wraps a body that is streamed as the client does",
        ("http_response", "operation_model"),
    ),
    Name(
        "aiobotocore.httpchecksum",
        "handle_checksum_body",
        "compares a body with its checksum as the client does",
        ("http_response", "response", "context", "operation_model"),
    ),
    Name("botocore.parsers", "create_parser", "reads a refusal as the client does"),
    Name("s3fs.errors", "translate_boto_error", "raises what s3fs raises", ("error",)),
    Name(
        "aiobotocore.signers.AioRequestSigner",
        "get_auth_instance",
        "credentials, renewed where they expire",
        ("signing_name", "region_name", "signature_version"),
    ),
    Name("botocore.signers.RequestSigner.sign", "before-sign", "shows a request of botocore"),
    Name("botocore.signers.RequestSigner.sign", "request_signer", "see before-sign"),
    Name("aiobotocore.endpoint.AioEndpoint._needs_retry", "needs-retry", "a 409 or 429 again"),
    # filesystems
    Name("s3fs.S3FileSystem", "close_session", "see sshfs' _finalize", ("loop", "s3")),
    Name("s3fs.S3FileSystem", "session", "as given to its constructor; None until it connects"),
    Name("s3fs.S3FileSystem", "kwargs", "what s3fs makes its session with"),
    Name("s3fs.S3FileSystem", "retries", "botocore tries again already"),
    Name("gcsfs.retry", "retry_request", "see _request", ("retries",)),
    Name("gcsfs.retry", "HttpError", "what gcsfs raises"),
    Name("gcsfs.core.GCSFileSystem", "base", "the address of the API"),
    Name("gcsfs.core.GCSFileSystem", "requester_pays", _OPTION),
    Name("gcsfs.core.GCSFileSystem", "credentials", "signs, and authorizes requests"),
    Name("gcsfs.credentials.GoogleCredentials", "apply", "adds a token, renewed", ("out",)),
    Name("gcsfs.credentials.GoogleCredentials", "credentials", "google-auth's own"),
    Name("adlfs.AzureBlobFileSystem", "service_client", _CLIENT),
    Name(
        "azure.storage.blob._shared.authentication.SharedKeyCredentialPolicy",
        "account_key",
        "signs URLs",
    ),
    Name("azure.storage.blob._shared.policies_async.ExponentialRetry", "initial_backoff", _OPTION),
    Name(
        "azure.storage.blob._generated.aio.operations.BlobOperations",
        "download",
        "see _client",
        ("range", "kwargs"),
    ),
    Name(
        "azure.storage.blob._generated.aio.operations.BlockBlobOperations",
        "upload",
        "see _client",
        ("content_length", "body", "kwargs"),
    ),
    Name(
        "azure.core.pipeline.transport.AioHttpTransportResponse",
        "internal_response",
        "the response of aiohttp, its body unread",
    ),
    Name("sshfs.SSHFileSystem", "client", _CLIENT),
    Name("webdav4.fsspec.WebdavFileSystem", "client", _CLIENT),
    Name("webdav4.client.Client", "http", "its httpx client"),
    Name("webdav4.client.Client", "base_url", _OPTION),
    Name("dropboxdrivefs.DropboxDriveFileSystem", "dbx", _CLIENT),
    Name("dropbox.Dropbox", "files_download", "takes a range", ("path", "extra_headers")),
    Name("fsspec.implementations.ftp.FTPFileSystem", "ftp", _CLIENT),
    *(
        Name("fsspec.implementations.ftp.FTPFileSystem", attribute, _OPTION)
        for attribute in ("tls", "host", "port", "cred", "timeout", "encoding")
    ),
    Name("fsspec.implementations.sftp.SFTPFileSystem", "client", _CLIENT),
    Name("fsspec.implementations.sftp.SFTPFileSystem", "ftp", _CLIENT),
    *(
        Name("fsspec.implementations.github.GithubFileSystem", attribute, _OPTION)
        for attribute in ("content_url", "org", "repo", "root", "kw", "timeout")
    ),
    Name("fsspec.implementations.http.HTTPFileSystem", "set_session", "its aiohttp session"),
    *(
        Name("fsspec.implementations.http.HTTPFileSystem", attribute, _OPTION)
        for attribute in ("kwargs", "client_kwargs", "encoded")
    ),
    Name("fsspec.implementations.memory.MemoryFileSystem", "store", "creates one of several"),
    Name("fsspec.implementations.memory.MemoryFileSystem", "pseudo_dirs", "see store"),
    Name("fsspec.implementations.cached.CachingFileSystem", "storage", _OPTION),
    Name("fsspec.implementations.cached.CachingFileSystem", "expiry", _OPTION),
    Name("fsspec.implementations.cached.CachingFileSystem", "fs", _OPTION),
    Name(
        "multiprocessing.util",
        "Finalize",
        "removes a temporary folder at the end of multiprocessing's children, too",
        ("obj", "callback", "args", "exitpriority"),
    ),
    Name("fsspec.implementations.dirfs.DirFileSystem", "fs", _OPTION),
    Name("fsspec.implementations.dirfs.DirFileSystem", "path", _OPTION),
    Name("fsspec.implementations.zip.ZipFileSystem", "dir_cache", "see _get_dirs"),
    Name("fsspec.implementations.zip.ZipFileSystem", "fo", "the open archive, to see it replaced"),
    Name("fsspec.implementations.tar.TarFileSystem", "dir_cache", "see _get_dirs"),
    Name("fsspec.implementations.tar.TarFileSystem", "fo", "the open archive, to see it replaced"),
    Name("fsspec.dircache.DirCache", "use_listings_cache", "off for filesystems given ready"),
    Name("fsspec.asyn", "reset_lock", "fsspec's own care for forks forgets this lock"),
    Name("fsspec.asyn", "sync", "tells finalizers that wait for a loop"),
    Name("fsspec.registry", "known_implementations", "names the package that is missing"),
    Name("fsspec.utils", "tokenize", "one filesystem for the same options"),
    # Django
    Name("django.utils.functional", "empty", "see _wrapped"),
    Name("django.contrib.admin.sites", "all_sites", "Django's own checks of admins go over it"),
    *(
        Name("django.db.backends.base.base.BaseDatabaseWrapper", attribute, "order of events")
        for attribute in (
            *("execute_wrappers", "run_on_commit", "savepoint_ids"),
            *("autocommit", "commit_on_exit", "errors_occurred", "in_atomic_block"),
            "run_commit_hooks_on_set_autocommit_on",
        )
    ),
]

#: blocks of Django's admin templates that ours fill
BLOCKS = {
    "admin/base_site.html": {"extrastyle", "extrahead", "breadcrumbs", "content"},
    "admin/change_list.html": {"object-tools-items"},
}


def resolved(path: str) -> Any:
    """Return the module or attribute of this dotted path."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for attribute in parts[count:]:
            found = getattr(found, attribute)
        return found
    raise ImportError(path)


@cache
def source_of(owner: type) -> str:
    """Return what a class was written as; nothing for one that is not written in Python."""
    try:
        return inspect.getsource(owner)
    except (OSError, TypeError):
        return ""


def is_there(owner: Any, attribute: str) -> bool:
    """Whether an owner has an attribute, or its methods give one to each instance."""
    if hasattr(owner, attribute):
        return True
    if inspect.isclass(owner):
        set_on_self = rf"\bself\.{attribute}\b[^=\n]*(?<![=!<>])=(?!=)"
        return any(re.search(set_on_self, source_of(base)) for base in owner.__mro__)
    return not inspect.ismodule(owner) and attribute in inspect.getsource(owner)


@pytest.mark.parametrize("name", [*PRIVATE, *UNDOCUMENTED], ids=str)
def test_a_name_is_there(name: Name) -> None:
    owner = resolved(name.owner)
    assert is_there(owner, name.attribute), name
    if name.parameters:
        there = inspect.signature(getattr(owner, name.attribute)).parameters
        assert {*name.parameters} <= {*there}, name


def test_gcsfs_wraps_what_it_tries_again() -> None:
    request = resolved("gcsfs.core.GCSFileSystem._request")
    assert inspect.iscoroutinefunction(request.__wrapped__)


def test_a_prepared_request_takes_what_we_give() -> None:
    request = resolved("botocore.awsrequest.AWSPreparedRequest")
    taken = [*inspect.signature(request).parameters]
    assert taken[:5] == ["method", "url", "headers", "body", "stream_output"]


@pytest.mark.parametrize("template", BLOCKS)
def test_a_template_of_the_admin_has_the_blocks_that_ours_fill(template: str) -> None:
    assert BLOCKS[template] <= {*blocks_of(template)}


def blocks_of(name: str) -> Iterator[str]:
    """Yield the names of a template's blocks, and of those it extends."""
    nodes: Any = Engine.get_default().get_template(name).nodelist
    for block in nodes.get_nodes_by_type(BlockNode):
        yield block.name
    for extends in nodes.get_nodes_by_type(ExtendsNode):
        yield from blocks_of(extends.parent_name.var)


# all of them are listed

#: variables that hold what is somebody else's, whatever names we use ourselves
FOREIGN = {
    "client",
    "compiler",
    "connection",
    "cursor",
    "dbx",
    "editor",
    "fs",
    "ftp",
    "http",
    "loop",
    "request",
    "response",
    "session",
    "sftp",
}
#: public by Python's documentation: names in a tuple must not be taken by a field
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}
#: what reads or sets an attribute by its name
BY_NAME = {"delattr", "getattr", "hasattr", "setattr"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLE


@cache
def modules() -> dict[Path, ast.Module]:
    """Return what our modules say."""
    root = Path(django_fsspec.__file__).parent
    return {path: ast.parse(path.read_text()) for path in sorted(root.rglob("*.py"))}


@cache
def own_names() -> set[str]:
    """Return the private names that we define: in classes and modules, and on ``self``."""
    names = set()
    for node in (node for tree in modules().values() for node in ast.walk(tree)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.Attribute(ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
                names.add(node.attr)
    return {name for name in names if is_private(name)}


def private_uses(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the private names that a module uses of anything but itself, and how."""
    for node in ast.walk(tree):
        name, of = None, ""
        match node:
            case ast.Attribute():
                name, of = node.attr, ast.unparse(node.value)
            case ast.Call(
                func=ast.Name(id=function),
                args=[target, ast.Constant(value=str(text)), *_],
            ) if function in BY_NAME:
                name, of = text, ast.unparse(target)
            case ast.ImportFrom() if not _is_ours(node):
                parts = [*(node.module or "").split("."), *(one.name for one in node.names)]
                name = next((part for part in parts if is_private(part)), None)
        if name is None or not is_private(name) or of in ("self", "cls", "super()"):
            continue
        last = re.sub(r"^type\((.*)\)$", r"\1", of).rpartition(".")[2].removesuffix("()")
        if last.lstrip("_") in FOREIGN or name not in own_names():
            yield name, f"{of}.{name}"


def _is_ours(node: ast.ImportFrom) -> bool:
    return bool(node.level) or (node.module or "").startswith(("django_fsspec", "__future__"))


def test_each_private_name_is_listed() -> None:
    listed = {name.attribute for name in PRIVATE}
    missing = [
        f"{path.name}: {use}"
        for path, tree in modules().items()
        for name, use in private_uses(tree)
        if name not in listed
    ]
    assert missing == [], "use public API, or list it in PRIVATE with the reason"


@pytest.mark.slow
def test_a_new_private_name_is_found() -> None:
    source = """
from elsewhere import _one
from elsewhere._two import name
value._three
getattr(value, "_four")
self.fs._pool
type(fs)._five()
self._own
value._meta.label
"""
    names = [name for name, _ in private_uses(ast.parse(source))]
    assert sorted(names) == sorted(["_one", "_two", "_three", "_four", "_pool", "_five", "_meta"])


def test_each_listed_name_is_used() -> None:
    texts = "\n".join(path.read_text() for path in modules())
    names = [*PRIVATE, *UNDOCUMENTED]
    assert [str(name) for name in names if name.attribute not in texts] == []


def test_each_private_name_that_a_class_of_ours_overrides_is_listed() -> None:
    listed = {name.attribute for name in PRIVATE} | {"_is_protocol", "_abc_impl"}
    # given to each class of a filesystem by its metaclass
    listed |= {*vars(type("Filesystem", (fsspec.AbstractFileSystem,), {}))}
    # and to each schema and serializer
    listed |= {*vars(type("Schema", (ninja.Schema,), {}))}
    listed |= {*vars(type("Serializer", (serializers.Serializer,), {}))}
    overridden = []
    for module in pkgutil.walk_packages(django_fsspec.__path__, "django_fsspec."):
        members = vars(importlib.import_module(module.name)).values()
        for ours in (one for one in members if inspect.isclass(one)):
            if ours.__module__ == module.name:
                overridden += [(ours, name) for name in _overridden(ours) if name not in listed]
    assert overridden == []


def _overridden(ours: type) -> Iterator[str]:
    for base in ours.__mro__[1:]:
        if not base.__module__.startswith("django_fsspec"):
            yield from (name for name in vars(ours) if is_private(name) and name in vars(base))
