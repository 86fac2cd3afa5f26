"""The families of filesystems with a package of their own, as far as options can be checked.

To import a client library takes up to a second, for every command of a site. So ``manage.py
check`` judges the usual options by what is written here, and imports the library for all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from fsspec.registry import known_implementations, registry

from . import is_registered
from .base import Dialect, object_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One class of filesystem."""

    #: where fsspec's registry finds the class
    filesystem: str
    #: what the class says it serves, or one of them
    protocols: tuple[str, ...]
    dialect: Dialect
    #: packages without which it can't be used; of the top level, or looking would import some
    packages: tuple[str, ...]
    #: arguments that each allowed release takes, whatever their values
    options: frozenset[str]

    @property
    def is_installed(self) -> bool:
        """Whether its packages are there."""
        try:
            return all(map(find_spec, self.packages))
        except ValueError:
            # one is kept from being imported
            return False


S3 = Family(
    filesystem="s3fs.S3FileSystem",
    protocols=("s3", "s3a"),
    dialect=object_store(
        headers={
            "content_type": "ContentType",
            "cache_control": "CacheControl",
            "content_disposition": "ContentDisposition",
            "content_encoding": "ContentEncoding",
            "acl": "ACL",
            "storage_class": "StorageClass",
            "metadata": "Metadata",
        },
        extra="s3",
        delete_batch=1000,
        ascii_metadata=True,
    ),
    packages=("s3fs", "aiobotocore", "botocore", "aiohttp"),
    # not config_kwargs, of which S3Adapter.tune() refuses some
    options=frozenset(
        (
            *("anon", "cache_regions", "client_kwargs", "default_block_size", "endpoint_url"),
            *("key", "password", "profile", "requester_pays", "s3_additional_kwargs", "secret"),
            *("token", "use_ssl", "username", "version_aware"),
        )
    ),
)
GCS = Family(
    filesystem="gcsfs.GCSFileSystem",
    protocols=("gs", "gcs"),
    dialect=object_store(
        headers={
            "content_type": "contentType",
            "cache_control": "cacheControl",
            "content_disposition": "contentDisposition",
            "content_encoding": "contentEncoding",
            "acl": "predefinedAcl",
            "storage_class": "storageClass",
            "metadata": "metadata",
        },
        extra="gcs",
        delete_batch=100,
    ),
    packages=("gcsfs", "google_crc32c", "aiohttp"),
    options=frozenset(
        (
            *("access", "block_size", "cache_timeout", "default_location", "endpoint_url"),
            *("project", "requester_pays", "session_kwargs", "timeout", "token", "version_aware"),
        )
    ),
)
AZURE = Family(
    filesystem="adlfs.AzureBlobFileSystem",
    protocols=("abfs", "az", "abfss"),
    dialect=object_store(
        headers={
            "content_type": "x-ms-blob-content-type",
            "cache_control": "x-ms-blob-cache-control",
            "content_disposition": "x-ms-blob-content-disposition",
            "content_encoding": "x-ms-blob-content-encoding",
            "storage_class": "x-ms-access-tier",
            "metadata": "metadata",
        },
        extra="azure",
        delete_batch=256,
        max_key_bytes=None,
        max_key_characters=1024,
        cuts_dots=True,
        ascii_metadata=True,
    ),
    packages=("adlfs", "azure", "aiohttp"),
    options=frozenset(
        (
            *("account_host", "account_key", "account_name", "anon", "assume_container_exists"),
            *("blocksize", "client_id", "client_secret", "connection_string"),
            *("connection_timeout", "credential", "location_mode", "read_timeout", "sas_token"),
            *("tenant_id", "timeout"),
        )
    ),
)
_SFTP = Dialect(atomic_create=True, rooted=True, max_key_bytes=4060, extra="sftp")
ASYNCSSH = Family(
    filesystem="sshfs.spec.SSHFileSystem",
    protocols=("sftp", "ssh"),
    dialect=_SFTP,
    packages=("sshfs", "asyncssh"),
    options=frozenset(("client_keys", "host", "known_hosts", "password", "port", "username")),
)
PARAMIKO = Family(
    filesystem="fsspec.implementations.sftp.SFTPFileSystem",
    protocols=("sftp", "ssh"),
    dialect=_SFTP,
    packages=("paramiko",),
    # not known_hosts, whose file ParamikoAdapter.tune() reads
    options=frozenset(("host", "key_filename", "password", "port", "username")),
)
WEBDAV = Family(
    filesystem="webdav4.fsspec.WebdavFileSystem",
    protocols=("webdav", "dav"),
    dialect=Dialect(atomic_create=True, rooted=True, extra="webdav"),
    packages=("webdav4", "httpx"),
    options=frozenset(("auth", "base_url")),
)
HTTP = Family(
    filesystem="fsspec.implementations.http.HTTPFileSystem",
    protocols=("http", "https"),
    dialect=Dialect(writable=False, signs_get=True, max_segment_bytes=None, extra="http"),
    packages=("aiohttp",),
    # not client_kwargs, of which HTTPAdapter.tune() refuses some
    options=frozenset(("block_size", "encoded", "same_scheme", "simple_links")),
)
DROPBOX = Family(
    filesystem="dropboxdrivefs.DropboxDriveFileSystem",
    protocols=("dropbox",),
    dialect=Dialect(atomic_create=True, rooted=True, extra="dropbox"),
    packages=("dropboxdrivefs", "dropbox"),
    options=frozenset(("token",)),
)
GITHUB = Family(
    filesystem="fsspec.implementations.github.GithubFileSystem",
    protocols=("github",),
    dialect=Dialect(writable=False, max_segment_bytes=None, extra="github"),
    packages=("requests",),
    options=frozenset(("org", "repo", "sha", "token", "username")),
)

_FAMILIES = (S3, GCS, AZURE, ASYNCSSH, PARAMIKO, WEBDAV, HTTP, DROPBOX, GITHUB)


def family_of(protocol: str, options: Mapping[str, object]) -> Family | None:
    """Return the family of a protocol, if its options are all known ones of it; imports nothing.

    None where its class is imported already, or an adapter of a third party serves it.
    """
    known = known_implementations.get(protocol)
    if known is None or protocol in registry:
        return None
    family = next((each for each in _FAMILIES if each.filesystem == known["class"]), None)
    if family is None or not family.options.issuperset(options):
        return None
    return family if family.is_installed and not is_registered(protocol, known["class"]) else None
