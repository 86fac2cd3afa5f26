"""The backends of the conformance suite: one line of data each, over a real server."""

from __future__ import annotations

import io
import tarfile
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

import fsspec
import pytest

from tests import servers
from tests.helpers.utils import numbered, started

S = TypeVar("S", bound=servers.Server)

#: what every backend holds when a reading behaviour is tested
SEED: dict[str, bytes] = {
    "hello.txt": b"hello world\n",
    "empty.bin": b"",
    "folder/nested.txt": b"nested",
    "folder/deeper/leaf.bin": bytes(range(256)) * 12,
    "large.bin": numbered(700_000),
}


_servers: dict[Callable[..., Any], Any] = {}


def server(kind: Callable[..., S]) -> S:
    """Return the one server of its kind in this process."""
    if kind not in _servers:
        _servers[kind] = started(kind)
    found: S = _servers[kind]
    return found


@cache
def scratch() -> Path:
    """Return a directory of this test process."""
    return Path(mkdtemp(prefix="django-fsspec-tests-"))


@dataclass(frozen=True)
class Backend:
    """A filesystem under test. `options` gives OPTIONS for a folder nobody else uses."""

    name: str
    options: Callable[[str], dict[str, Any]]
    #: places files under a folder by other means, where the backend is read-only
    seed: Callable[[str, Mapping[str, bytes]], None] | None = None
    #: which of the optional behaviours it has: see test_conformance.py
    traits: frozenset[str] = field(default_factory=frozenset)
    #: whether it tells when a file was changed
    times: bool = True
    #: not asked again on the newest Django
    once: bool = False
    #: another server, or a chain, of what another line has: left out by `make test-quick`
    repeated: bool = False

    @property
    def marks(self) -> list[pytest.MarkDecorator]:
        """The marks of its tests."""
        marks = {"once": self.once, "repeated": self.repeated}
        return [getattr(pytest.mark, name) for name, is_marked in marks.items() if is_marked]

    @property
    def writable(self) -> bool:
        return self.seed is None

    def __str__(self) -> str:
        return self.name


def folder() -> str:
    """Return a folder name that nobody else uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


#: a folder of this process's tests: chains with the same options share one client
_OURS = folder()

CLOUD = frozenset({"atomic", "content_type", "headers", "signs", "bucket"})


def _s3(kind: type[servers.S3Server], **options: Any) -> Callable[[str], dict[str, Any]]:
    def build(name: str) -> dict[str, Any]:
        s3 = server(kind)
        return {
            "fs": "s3",
            "prefix": f"{s3.bucket}/{name}",
            "fs_options": s3.fs_options,
            **options,
        }

    return build


def _local(name: str) -> dict[str, Any]:
    return {"fs": "file", "prefix": str(scratch() / name)}


def _memory(name: str) -> dict[str, Any]:
    return {"fs": "memory", "prefix": name}


def _directory_over_s3(name: str) -> dict[str, Any]:
    s3 = server(servers.SeaweedS3)
    return {
        "fs": f"dir::s3://{s3.bucket}/{_OURS}",
        "prefix": name,
        "fs_options": {"s3": s3.fs_options},
    }


@cache
def _google_key() -> Any:
    """Return credentials that sign with a key of their own and never ask Google for a token."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from google.oauth2 import service_account

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made = service_account.Credentials.from_service_account_info(
        {  # type: ignore[no-untyped-call]
            "client_email": "tests@example.com",
            "private_key": key.decode(),
            "token_uri": "http://127.0.0.1:1/token",
        }
    )
    made.token = "test"
    return made


def _gcs(name: str) -> dict[str, Any]:
    gcs = server(servers.FakeGCS)
    return {
        "fs": "gcs",
        "prefix": f"{gcs.bucket}/{name}",
        "fs_options": {**gcs.fs_options, "token": _google_key()},
    }


def _sftp(
    kind: type[servers.OpenSSH] | type[servers.RcloneSFTP],
) -> Callable[[str], dict[str, Any]]:
    def build(name: str) -> dict[str, Any]:
        ssh = server(kind)
        prefix = f"{ssh.path.rstrip('/')}/{name}"
        return {"fs": "sftp", "prefix": prefix, "fs_options": ssh.fs_options}

    return build


def _azure(name: str) -> dict[str, Any]:
    azurite = server(servers.Azurite)
    return {
        "fs": "abfs",
        "prefix": f"{azurite.container}/{name}",
        "fs_options": azurite.fs_options,
    }


def _paramiko(kind: type[servers.OpenSSH] | type[servers.RcloneSFTP]) -> Callable[[str], Any]:
    def build(name: str) -> dict[str, Any]:
        # with sshfs installed the protocol "sftp" is sshfs
        fsspec.register_implementation(
            "paramiko", "fsspec.implementations.sftp.SFTPFileSystem", clobber=True
        )
        ssh = server(kind)
        return {
            "fs": "paramiko",
            "prefix": f"{ssh.path.rstrip('/')}/{name}",
            "fs_options": {**ssh.paramiko_options, "known_hosts": str(ssh.known_hosts)},
        }

    return build


def _ftp(name: str) -> dict[str, Any]:
    return {"fs": "ftp", "prefix": name, "fs_options": server(servers.PyFTP).fs_options}


def _webdav(name: str) -> dict[str, Any]:
    webdav = server(servers.RcloneWebDAV)
    return {"fs": "webdav", "prefix": name, "fs_options": webdav.fs_options}


BACKENDS: list[Backend] = [
    Backend("local", _local, traits=frozenset({"atomic", "path", "created"})),
    Backend("memory", _memory, traits=frozenset({"atomic", "created"})),
    Backend("s3 (SeaweedFS)", _s3(servers.SeaweedS3), traits=CLOUD),
    Backend("s3 (moto)", _s3(servers.MotoS3), traits=CLOUD, once=True, repeated=True),
    Backend(
        "s3 (localbucket)",
        _s3(servers.LocalBucketS3),
        traits=frozenset({"atomic", "signs"}),
        once=True,
        repeated=True,
    ),
    Backend("gcs (fake-gcs-server)", _gcs, traits=CLOUD),
    Backend("sftp (OpenSSH)", _sftp(servers.OpenSSH), traits=frozenset({"atomic"})),
    Backend(
        "sftp (rclone)",
        _sftp(servers.RcloneSFTP),
        traits=frozenset({"atomic"}),
        once=True,
        repeated=True,
    ),
    Backend("azure (azurite)", _azure, traits=CLOUD | {"folder stubs"}),
    Backend(
        "sftp by paramiko (OpenSSH)", _paramiko(servers.OpenSSH), traits=frozenset({"atomic"})
    ),
    Backend(
        "sftp by paramiko (rclone)",
        _paramiko(servers.RcloneSFTP),
        traits=frozenset({"atomic"}),
        once=True,
        repeated=True,
    ),
    Backend("ftp (pyftpdlib)", _ftp, traits=frozenset({"atomic"})),
    Backend("webdav (rclone)", _webdav, traits=frozenset({"atomic"})),
    Backend("dir over s3", _directory_over_s3, traits=CLOUD, once=True),
]


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar_bytes(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _http(name: str) -> dict[str, Any]:
    return {"fs": f"{server(servers.NginxHTTP).url}/{name}"}


def _seed_http(name: str, files: Mapping[str, bytes]) -> None:
    for label, data in files.items():
        path = server(servers.NginxHTTP).root / name / label
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


_repositories: dict[str, servers.GitHubServer] = {}


def _github(name: str) -> dict[str, Any]:
    github = _repositories[name]
    return {"fs": github.filesystem_class(), "fs_options": github.fs_options}


def _seed_github(name: str, files: Mapping[str, bytes]) -> None:
    _repositories[name] = started(servers.GitHubServer, files)


def _dropbox(name: str) -> dict[str, Any]:
    from dropboxdrivefs import DropboxDriveFileSystem

    dropbox = server(servers.DropboxServer)
    return {"fs": DropboxDriveFileSystem, "fs_options": dropbox.fs_options, "prefix": f"/{name}"}


def _archive(fs: str, **options: Any) -> Callable[[str], dict[str, Any]]:
    def build(name: str) -> dict[str, Any]:
        return {"fs": fs, "fs_options": {"fo": str(scratch() / f"{name}-{fs}"), **options}}

    return build


def _seed_archive(fs: str, pack: Callable[[Mapping[str, bytes]], bytes]) -> Any:
    def seed(name: str, files: Mapping[str, bytes]) -> None:
        (scratch() / f"{name}-{fs}").write_bytes(pack(files))

    return seed


def _zip_on_s3(name: str) -> dict[str, Any]:
    s3 = server(servers.SeaweedS3)
    return {"fs": f"zip::s3://{s3.bucket}/{name}.zip", "fs_options": {"s3": s3.fs_options}}


def _seed_zip_on_s3(name: str, files: Mapping[str, bytes]) -> None:
    s3 = server(servers.SeaweedS3)
    s3.boto3_client().put_object(Bucket=s3.bucket, Key=f"{name}.zip", Body=zip_bytes(files))


def _cached(cache: str) -> Callable[[str], dict[str, Any]]:
    def build(name: str) -> dict[str, Any]:
        s3 = server(servers.SeaweedS3)
        return {
            "fs": f"{cache}::s3",
            "prefix": f"{s3.bucket}/{name}",
            "fs_options": {
                cache: {"cache_storage": str(scratch() / f"{_OURS}-{cache}")},
                "s3": s3.fs_options,
            },
        }

    return build


BACKENDS += [
    Backend("http (nginx)", _http, seed=_seed_http, traits=frozenset({"signs"})),
    Backend("github", _github, seed=_seed_github, times=False, once=True),
    Backend("dropbox", _dropbox, traits=frozenset({"atomic"}), once=True),
    Backend("zip", _archive("zip"), seed=_seed_archive("zip", zip_bytes)),
    Backend("tar", _archive("tar", compression="gzip"), seed=_seed_archive("tar", tar_bytes)),
    Backend(
        "libarchive",
        _archive("libarchive"),
        seed=_seed_archive("libarchive", tar_bytes),
        once=True,
    ),
    Backend("zip over s3", _zip_on_s3, seed=_seed_zip_on_s3, once=True, repeated=True),
    Backend("filecache over s3", _cached("filecache"), traits=CLOUD, once=True, repeated=True),
    Backend("simplecache over s3", _cached("simplecache"), traits=CLOUD),
    Backend("blockcache over s3", _cached("blockcache"), traits=CLOUD, once=True, repeated=True),
]


def backends_named(*names: str) -> list[Backend]:
    """Return backends by their names in the table of docs/reference/backends.md."""
    by_name = {backend.name: backend for backend in BACKENDS}
    return [by_name[name] for name in names]


def _third_party(protocol: str) -> Callable[[str], dict[str, Any]]:
    def build(name: str) -> dict[str, Any]:
        from tests.helpers import third_party

        assert third_party
        return {"fs": protocol, "prefix": name}

    return build


BACKENDS += [
    Backend("third party, blocking", _third_party("shelf")),
    Backend("third party, async", _third_party("cloud")),
]
