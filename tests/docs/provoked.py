"""The errors that the pages of docs/backends show, provoked on real servers."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.core.files.base import ContentFile
from django.test import override_settings

from django_fsspec.storage import FSSpecStorage, get_storage
from tests import servers
from tests.helpers.backends import server
from tests.helpers.entra import EntraAzure
from tests.helpers.google_cloud import EMAIL, GoogleCloud

Options = Mapping[str, Any]
#: makes the options of a storage; it gets an empty directory
Make = Callable[[Path], Options]
#: options of a storage, and what is done with it
Provocation = tuple[Make, Callable[[FSSpecStorage], object]]

#: servers of one error alone
_while_provoked = contextlib.ExitStack()


def text_of(provocation: Provocation, directory: Path) -> str:
    """Return the error as a traceback, or `manage.py check`, shows it."""
    make, act = provocation
    # one try, and no long waits
    options = {"retries": 0, "timeout": 5, **make(directory)}
    config = {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
    with (
        _while_provoked,
        # else url() gives a URL of ours where the service signs none
        override_settings(STORAGES={"default": config}, ROOT_URLCONF="tests.helpers.no_urls"),
    ):
        try:
            shown = act(get_storage("default"))
        except Exception as error:
            # the class that is documented, not one of ours below it
            documented = [c for c in type(error).__mro__ if ".adapters." not in c.__module__]
            return f"{documented[0].__name__}: {error}"
    assert isinstance(shown, str), f"no error, but {shown!r}"
    return shown


def save(storage: FSSpecStorage) -> object:
    return storage.save("a.txt", ContentFile(b"x"))


def read(storage: FSSpecStorage) -> object:
    return storage.get_content("a.txt")


def listing(storage: FSSpecStorage) -> object:
    return storage.listdir("")


def check(storage: FSSpecStorage) -> object:
    """Return what `manage.py check` prints first."""
    return str(storage.check()[0])


def of(kind: Any, fs: str, prefix: str, **options: Any) -> Callable[..., Make]:
    """Return a function that takes changes of `fs_options` and of options, for one server."""

    def changed(
        changes: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] = {},  # noqa: B006
        **others: Any,
    ) -> Make:
        def make(directory: Path) -> Options:
            running = server(kind)
            own = changes(running) if callable(changes) else changes
            fs_options = {**running.fs_options, **own}
            return {"fs": fs, "prefix": prefix, "fs_options": fs_options, **options, **others}

        return make

    return changed


def plain(fs: Any, **options: Any) -> Make:
    """Return options that need no server."""
    return lambda directory: {"fs": fs, **options}


s3 = of(servers.SeaweedS3, "s3", "bucket/errors")
moto = of(servers.MotoS3, "s3", "bucket/errors")
gcs = of(servers.FakeGCS, "gcs", "bucket/errors")
azure = of(servers.Azurite, "abfs", "container/errors")
sftp = of(servers.OpenSSH, "sftp", "errors")
ftp = of(servers.PyFTP, "ftp", "errors")
webdav = of(servers.RcloneWebDAV, "webdav", "errors")


def nowhere() -> str:
    """Return an address where nothing listens."""
    return f"http://127.0.0.1:{servers.closed_port()}"


def connection(change: str, value: str) -> Callable[[servers.Azurite], Options]:
    """Return a connection string of Azurite with one part changed."""
    return lambda azurite: {"connection_string": re.sub(change, value, azurite.connection_string)}


def denied_by_google(directory: Path) -> Options:
    """Return options for GCS by credentials that may not sign."""
    google = _while_provoked.enter_context(GoogleCloud(directory))
    _while_provoked.enter_context(patch.dict(os.environ, google.environment))
    for name in google.environment:
        os.environ.pop(name.lower(), None)
    google.denied = (403, f"Permission 'iam.serviceAccounts.signBlob' denied on resource {EMAIL}")
    return google.storage_options(google.external_account())


def denied_by_azure(directory: Path) -> Options:
    """Return options for Azure by credentials that get no key to sign with."""
    azure = _while_provoked.enter_context(EntraAzure(directory))
    azure.refused = (403, "AuthorizationPermissionMismatch")
    return azure.options()


def untrusted(directory: Path) -> Options:
    """Trust no host."""
    (directory / "known_hosts").touch()
    return sftp({"known_hosts": str(directory / "known_hosts")})(directory)


def self_signed(directory: Path) -> Options:
    """Name a server whose certificate nobody trusts."""
    ftps = server(servers.FTPS)
    return {"fs": "ftp", "prefix": "errors", "fs_options": ftps.fs_options}


def reading_only(directory: Path) -> Options:
    """Log in as a user who may not store files."""
    deleting = server(servers.DeletingFTP)
    return {"fs": "ftp", "prefix": "errors", "fs_options": deleting.fs_options}


def web(path: str = "", **fs_options: Any) -> Make:
    """Return options for a folder of nginx."""
    return lambda directory: {
        "fs": f"{server(servers.NginxHTTP).url}{path}",
        "fs_options": fs_options,
    }


def github(**changes: Any) -> Make:
    """Return options for a small GitHub."""

    def make(directory: Path) -> Options:
        hub = server(servers.GitHubServer)
        return {"fs": hub.filesystem_class(), "fs_options": {**hub.fs_options, **changes}}

    return make


def dropbox(token: str = "t", **options: Any) -> Make:
    """Return options for a small Dropbox."""

    def make(directory: Path) -> Options:
        from dropboxdrivefs import DropboxDriveFileSystem

        client = server(servers.DropboxServer).client(token)
        fs_options = {"client": client}
        return {"fs": DropboxDriveFileSystem, "fs_options": fs_options, "prefix": "/e", **options}

    return make


def disk(**options: Any) -> Make:
    """Return options for a folder that holds a file called ``a.txt``."""

    def make(directory: Path) -> Options:
        (directory / "a.txt").write_bytes(b"x")
        return {"fs": "file", "prefix": str(directory), **options}

    return make


def archive(content: bytes | None, fs: str = "zip") -> Make:
    """Return options for a file that holds `content`; None is a ZIP."""

    def make(directory: Path) -> Options:
        path = directory / "data.zip"
        if content is None:
            with zipfile.ZipFile(path, "w") as made:
                made.writestr("b.txt", b"x")
        else:
            path.write_bytes(content)
        return {"fs": fs, "fs_options": {"fo": str(path)}}

    return make


def open_to_all(directory: Path) -> Options:
    """Return options for a cache whose folder everybody can change."""
    folder = directory / f"user-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    cache = {"cache_storage": str(directory)}
    return {"fs": "filecache::memory", "prefix": "e", "fs_options": {"filecache": cache}}


def store_and_read(storage: FSSpecStorage) -> object:
    return storage.get_content(storage.save("a.txt", ContentFile(b"x")))


#: page -> what provokes its errors, in the order of the page
ERRORS: dict[str, list[Provocation]] = {
    "s3": [
        (s3({"key": "AKIDWRONG"}), read),
        (s3({"key": None, "secret": None}), save),
        (moto({}, prefix="my-bukket/media"), save),
        (s3(lambda _: {"endpoint_url": nowhere()}), save),
        (s3({"access_key": "AKIDEXAMPLE"}), check),
        (s3({}, prefix="/my-bucket"), check),
    ],
    "gcs": [
        (gcs({}, prefix="my-bukket/media"), save),
        (gcs({"token": "google_default"}), save),
        (denied_by_google, lambda storage: storage.url("a.txt")),
        (gcs(lambda _: {"endpoint_url": nowhere()}), save),
        (gcs({}, prefix="gs://my-bucket/media"), check),
    ],
    "azure": [
        (azure(connection("AccountKey=[^;]+", "AccountKey=a2V5")), save),
        (denied_by_azure, lambda storage: storage.url("a.txt")),
        (azure({}, prefix="mediaa/files"), save),
        (plain("abfs", prefix="media", fs_options={}), save),
        (azure({}, object_options={"acl": "public-read"}), check),
        (azure(), lambda storage: storage.exists("report./a.pdf")),
    ],
    "sftp": [
        (untrusted, save),
        (sftp({"client_keys": None, "password": "wrong"}), save),
        (sftp({"client_keys": ["/etc/mysite/id_ed25519"]}), save),
        (sftp(lambda _: {"port": servers.closed_port()}), save),
        (sftp({"user": "web"}), check),
        (sftp({}, object_options={"cache_control": "max-age=60"}), check),
    ],
    "ftp": [
        (ftp({"password": "wrong"}), save),
        (ftp({"tls": True}), save),
        (self_signed, save),
        (reading_only, save),
        (ftp(lambda _: {"port": servers.closed_port()}), save),
    ],
    "webdav": [
        (webdav({"auth": ("u", "wrong")}), read),
        (webdav(lambda _: {"base_url": nowhere()}), save),
        (webdav({"username": "web"}), check),
        (webdav({}, gzip=True), check),
    ],
    "http": [
        (web(), save),
        (web("/private"), read),
        (plain("http://127.0.0.1:1"), read),
        (web(client_kwargs={"header": {}}), check),
    ],
    "github": [
        (github(sha="mian"), listing),
        (github(username=None, token="ghp_x"), read),
        (github(), save),
        (github(), lambda storage: storage.get_modified_time("README.md")),
    ],
    "dropbox": [
        (dropbox("expired"), read),
        (dropbox(), read),
        (dropbox(object_options={"content_type": "text/plain"}), check),
    ],
    "local": [
        (plain("file", prefix="media"), check),
        (disk(), lambda storage: storage.save("a.txt/b.txt", ContentFile(b"x"))),
        (disk(), lambda storage: storage.get_content("../secret.txt")),
        (disk(object_options={"cache_control": "max-age=60"}), check),
    ],
    "memory": [
        (plain("memory"), lambda storage: storage.path("a.txt")),
        (plain("memory", prefix="empty"), read),
        (plain("memory", gzip=True), check),
    ],
    "archives": [
        (archive(b"PK?"), read),
        (plain("zip", fs_options={"fo": "/srv/data.zip"}), read),
        (archive(None), save),
        (plain("zip", fs_options={}), check),
        (plain("zip::s3://my-bucket/data.zip", fs_options={"key": "k"}), check),
    ],
    "caches-and-chains": [
        (plain("filecache"), check),
        (plain("filecache::s3", prefix="my-bucket", fs_options={"key": "k"}), check),
        (
            plain(
                "filecache::s3",
                prefix="my-bucket",
                fs_options={"filecache": {"compression": "gzip"}},
            ),
            check,
        ),
        (open_to_all, store_and_read),
    ],
    "other": [
        (plain("s4"), check),
        (plain("box"), check),
        (plain("myproject.storages.filesystm"), check),
        (plain(dict), read),
    ],
}
