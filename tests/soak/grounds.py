"""Where the proofs take place: real backends, and a second way to look at what lies there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests import servers
from tests.helpers.backends import server


@cache
def scratch() -> Path:
    """Return a directory of this test process."""
    return Path(mkdtemp(prefix="django-fsspec-soak-"))


@dataclass(frozen=True)
class Ground:
    """A backend. `files` reads a folder without our code: name -> bytes, hidden names included."""

    name: str
    options: Callable[[str], dict[str, Any]]
    files: Callable[[str], dict[str, bytes]]
    #: whether many writers at once take long
    slow: bool = False

    def __str__(self) -> str:
        return self.name


def _below(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def local_options(folder: str) -> dict[str, Any]:
    return {"fs": "file", "prefix": str(scratch() / folder)}


def s3_options(s3: servers.S3Server, folder: str, endpoint: str | None = None) -> dict[str, Any]:
    """Return OPTIONS for a folder on `s3`, by another way (a proxy) if `endpoint` says so."""
    fs_options = {**s3.fs_options, "endpoint_url": endpoint or s3.endpoint_url}
    return {"fs": "s3", "prefix": f"{s3.bucket}/{folder}", "fs_options": fs_options}


def s3_files(s3: servers.S3Server, folder: str) -> dict[str, bytes]:
    """Read a folder with boto3."""
    client = s3.boto3_client()
    try:
        found = {}
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=s3.bucket, Prefix=f"{folder}/"
        )
        for page in pages:
            for entry in page.get("Contents", ()):
                body = client.get_object(Bucket=s3.bucket, Key=entry["Key"])["Body"]
                with body:
                    found[entry["Key"].removeprefix(f"{folder}/")] = body.read()
        return found
    finally:
        client.close()


def _s3(name: str, kind: type[servers.S3Server], *, slow: bool = False) -> Ground:
    return Ground(
        name,
        lambda folder: s3_options(server(kind), folder),
        lambda folder: s3_files(server(kind), folder),
        slow=slow,
    )


def _azure_options(folder: str) -> dict[str, Any]:
    azure = server(servers.Azurite)
    return {"fs": "abfs", "prefix": f"{azure.container}/{folder}", "fs_options": azure.fs_options}


def _azure_files(folder: str) -> dict[str, bytes]:
    azure = server(servers.Azurite)
    with azure.client() as client:
        container = client.get_container_client(azure.container)
        return {
            blob.name.removeprefix(f"{folder}/"): container.download_blob(blob.name).readall()
            for blob in container.list_blobs(name_starts_with=f"{folder}/")
        }


def _gcs_options(folder: str) -> dict[str, Any]:
    gcs = server(servers.FakeGCS)
    return {"fs": "gcs", "prefix": f"{gcs.bucket}/{folder}", "fs_options": gcs.fs_options}


def _gcs_files(folder: str) -> dict[str, bytes]:
    gcs = server(servers.FakeGCS)
    client = gcs.client()
    try:
        return {
            blob.name.removeprefix(f"{folder}/"): blob.download_as_bytes()
            for blob in client.list_blobs(gcs.bucket, prefix=f"{folder}/")
        }
    finally:
        client.close()


def _sftp_options(folder: str) -> dict[str, Any]:
    ssh = server(servers.OpenSSH)
    return {"fs": "ssh", "prefix": f"{ssh.path}/{folder}", "fs_options": ssh.fs_options}


def _paramiko_options(folder: str) -> dict[str, Any]:
    # the protocol is registered in jobs.py, which the workers import too
    ssh = server(servers.OpenSSH)
    fs_options = {**ssh.paramiko_options, "known_hosts": str(ssh.known_hosts)}
    return {"fs": "paramiko", "prefix": f"{ssh.path}/{folder}", "fs_options": fs_options}


def _ftp_options(folder: str) -> dict[str, Any]:
    return {"fs": "ftp", "prefix": folder, "fs_options": server(servers.PyFTP).fs_options}


def _webdav_options(folder: str) -> dict[str, Any]:
    webdav = server(servers.RcloneWebDAV)
    return {"fs": "webdav", "prefix": folder, "fs_options": webdav.fs_options}


def _ssh_files(folder: str) -> dict[str, bytes]:
    return _below(server(servers.OpenSSH).root / folder)


LOCAL = Ground("local", local_options, lambda folder: _below(scratch() / folder))
SEAWEED = _s3("s3 (SeaweedFS)", servers.SeaweedS3)
MOTO = _s3("s3 (moto)", servers.MotoS3, slow=True)
LOCALBUCKET = _s3("s3 (localbucket)", servers.LocalBucketS3)
AZURE = Ground("azure", _azure_options, _azure_files, slow=True)
GCS = Ground("gcs", _gcs_options, _gcs_files)
SFTP = Ground("sftp", _sftp_options, _ssh_files)
PARAMIKO = Ground("sftp (paramiko)", _paramiko_options, _ssh_files, slow=True)
FTP = Ground(
    "ftp", _ftp_options, lambda folder: _below(server(servers.PyFTP).root / folder), slow=True
)
WEBDAV = Ground(
    "webdav",
    _webdav_options,
    lambda folder: _below(server(servers.RcloneWebDAV).root / folder),
    slow=True,
)


def folder(label: str) -> str:
    """Return a folder name that nobody else uses."""
    return f"{label}-{os.urandom(6).hex()}"
