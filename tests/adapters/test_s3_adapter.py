"""What is particular to S3: where credentials come from, native extras, the client's bounds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen

import pytest
from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage, urls
from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.utils import numbered, started

AWS_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)


class Metadata(BaseHTTPRequestHandler):
    """What an EC2 instance with a role asks for its credentials (IMDSv2)."""

    key = secret = ""
    life = timedelta(hours=1)

    def do_PUT(self) -> None:
        self._answer("session-token")

    def do_GET(self) -> None:
        base = "/latest/meta-data/iam/security-credentials/"
        if self.path == base:
            self._answer("web-role")
        elif self.path == base + "web-role":
            expires = datetime.now(UTC) + self.life
            self._answer(
                json.dumps(
                    {
                        "Code": "Success",
                        "Type": "AWS-HMAC",
                        "AccessKeyId": self.key,
                        "SecretAccessKey": self.secret,
                        "Token": "",
                        "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    }
                )
            )
        else:
            self.send_error(404)

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def instance_role(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine has a role that may use the SeaweedFS server, and no other credentials."""
    s3 = server(servers.SeaweedS3)
    Metadata.key, Metadata.secret = s3.key, s3.secret
    metadata = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=metadata.serve_forever, daemon=True)
    thread.start()
    for name in AWS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    address = f"http://127.0.0.1:{metadata.server_port}/"
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)
    yield
    metadata.shutdown()
    metadata.server_close()
    thread.join()


def test_credentials_of_an_iam_role(instance_role: None) -> None:
    s3 = server(servers.SeaweedS3)
    keyless = {k: v for k, v in s3.fs_options.items() if k not in ("key", "secret")}
    storage = FSSpecStorage(fs="s3", prefix=f"{s3.bucket}/{folder()}", fs_options=keyless)
    name = storage.save("a.txt", ContentFile(b"role"))
    assert storage.get_content(name) == b"role"


@pytest.fixture
def credential_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program of the profile gives credentials that expire in 20 minutes."""
    expires = (datetime.now(UTC) + timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    given = {"Version": 1, "AccessKeyId": "AK", "SecretAccessKey": "SK", "SessionToken": "T"}
    credentials = tmp_path / "credentials.json"
    credentials.write_text(json.dumps({**given, "Expiration": expires}))
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = cat {credentials}\n")
    for name in AWS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))


@pytest.fixture
def short_lived_role(instance_role: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials of this machine's role expire in 20 minutes."""
    monkeypatch.setattr(Metadata, "life", timedelta(minutes=20))


@pytest.mark.slow
@pytest.mark.parametrize("credentials", ["short_lived_role", "credential_process"])
@pytest.mark.parametrize("for_upload", [False, True])
def test_signed_urls_are_remembered_no_longer_than_their_credentials_live(
    credentials: str,
    for_upload: bool,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request.getfixturevalue(credentials)
    # a region of its own: clients are shared by equal options, with the credentials they hold
    options = {
        "client_kwargs": {"region_name": f"eu-{credentials.replace('_', '-')}-{for_upload}"}
    }
    storage = FSSpecStorage(fs="s3", prefix=f"bucket/{folder()}", fs_options=options)

    def signed(minutes: int) -> str:
        now = time.monotonic() + minutes * 60
        with monkeypatch.context() as patch:
            patch.setattr(urls, "time", SimpleNamespace(monotonic=lambda: now))
            return storage.sign("a.txt", 7 * 86400, for_upload=for_upload)

    first = signed(0)
    time.sleep(1.1)  # the signature has the time in seconds
    assert signed(1) == first
    assert signed(20) != first
    short = storage.flows.run(storage.flows.sign("a.txt", 60, for_upload=for_upload, sent={}))
    assert short is not None
    assert short[1] == 60


def test_native_extras_reach_the_server() -> None:
    s3 = server(servers.MotoS3)
    name = folder()
    storage = FSSpecStorage(
        fs="s3",
        prefix=f"{s3.bucket}/{name}",
        fs_options=s3.fs_options,
        chunk_size=5 * 1024 * 1024,
        object_options={
            "storage_class": "STANDARD_IA",
            "extra": {"ServerSideEncryption": "AES256", "Tagging": "team=web"},
        },
    )
    client = s3.boto3_client()
    for label, size in (("small", 10), ("large", 6 * 1024 * 1024)):
        storage.save(label, ContentFile(b"x" * size))
        key = {"Bucket": s3.bucket, "Key": f"{name}/{label}"}
        head = client.head_object(**key)
        assert head["ServerSideEncryption"] == "AES256"
        assert head["StorageClass"] == "STANDARD_IA"
        assert client.get_object_tagging(**key)["TagSet"] == [{"Key": "team", "Value": "web"}]
    client.close()


def test_extras_for_every_request() -> None:
    s3 = server(servers.MotoS3)
    name = folder()
    options = {**s3.fs_options, "s3_additional_kwargs": {"ServerSideEncryption": "AES256"}}
    storage = FSSpecStorage(fs="s3", prefix=f"{s3.bucket}/{name}", fs_options=options)
    storage.save("a", ContentFile(b"x"))
    storage.copy("a", "b")
    client = s3.boto3_client()
    for label in "ab":
        head = client.head_object(Bucket=s3.bucket, Key=f"{name}/{label}")
        assert head["ServerSideEncryption"] == "AES256"
    client.close()


def test_the_clients_bounds() -> None:
    s3 = server(servers.MotoS3)

    def config(**options: Any) -> Any:
        storage = FSSpecStorage(fs="s3", prefix=s3.bucket, **options)
        storage.exists("x")
        return storage.flows.mount.pool.instance.s3.meta.config

    ours = config(fs_options=s3.fs_options, timeout=7, retries=4)
    assert (ours.connect_timeout, ours.read_timeout) == (7, 7)
    assert ours.retries["total_max_attempts"] == 5
    assert ours.max_pool_connections == 100
    given = {**s3.fs_options["config_kwargs"], "max_pool_connections": 3, "read_timeout": 99}
    theirs = config(fs_options={**s3.fs_options, "config_kwargs": given})
    assert (theirs.max_pool_connections, theirs.read_timeout) == (3, 99)


def test_presigned_upload_binds_the_content_type() -> None:
    s3 = server(servers.SeaweedS3)
    storage = FSSpecStorage(fs="s3", prefix=f"{s3.bucket}/{folder()}", fs_options=s3.fs_options)
    url = storage.sign("up.txt", 60, for_upload=True, content_type="text/plain")

    def put(kind: str) -> int:
        request = Request(url, b"uploaded", {"Content-Type": kind}, method="PUT")
        try:
            with urlopen(request, timeout=10) as response:
                return int(response.status)
        except OSError as error:
            return int(getattr(error, "code", 0))

    assert put("text/html") == 403
    assert not storage.exists("up.txt")
    assert put("text/plain") == 200
    assert storage.get_content("up.txt") == b"uploaded"
    other = storage.sign("up.txt", 60, content_disposition="attachment", content_type="text/x-y")
    with urlopen(other, timeout=10) as response:
        assert response.headers["Content-Disposition"] == "attachment"
        assert response.headers["Content-Type"] == "text/x-y"


@pytest.mark.slow
@pytest.mark.parametrize("size", [3_000_000, 18_000_000], ids=["one request", "parts"])
def test_what_is_sent_again_is_sent_whole(size: int) -> None:
    s3 = server(servers.SeaweedS3)
    data = numbered(size // 4)
    with started(servers.CountingProxy, s3.port) as proxy:
        storage = FSSpecStorage(
            fs="s3",
            prefix=f"{s3.bucket}/{folder()}",
            fs_options={**s3.fs_options, "endpoint_url": proxy.url},
            chunk_size=5 * 1024 * 1024,
            allow_overwrite=True,
        )

        class Cutting:
            def chunks(self) -> Iterator[bytes]:
                for start in range(0, size, 2_000_000):
                    if start:
                        proxy.cut_after(10)
                    yield data[start : start + 2_000_000]

        name = storage.save("a", Cutting())  # type: ignore[arg-type]
        assert proxy.cuts() >= 1
        assert storage.get_content(name) == data


def test_a_second_alias_reads_no_description_of_aws_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    s3 = server(servers.SeaweedS3)
    caplog.set_level("DEBUG", "botocore.loaders")
    for _ in range(2):
        caplog.clear()
        storage = FSSpecStorage(fs="s3", prefix=s3.bucket, fs_options=s3.fs_options)
        assert not storage.exists(f"{folder()}/a.txt")
    assert "Loading JSON file" not in caplog.text


def test_options_of_the_client_may_be_none() -> None:
    s3 = server(servers.SeaweedS3)
    options = {**s3.fs_options, "config_kwargs": None, "client_kwargs": None}
    storage = FSSpecStorage(fs="s3", prefix=f"{s3.bucket}/{folder()}", fs_options=options)
    assert storage.save("a.txt", ContentFile(b"a")) == "a.txt"


def test_unfinished_multipart_uploads_are_aborted() -> None:
    s3 = server(servers.MotoS3)
    storage = FSSpecStorage(
        fs="s3",
        prefix=f"{s3.bucket}/{folder()}",
        fs_options=s3.fs_options,
        chunk_size=5 * 1024 * 1024,
    )

    class Failing:
        def chunks(self) -> Iterator[bytes]:
            for _ in range(3):
                yield b"x" * 6 * 1024 * 1024
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        storage.save("a", Failing())  # type: ignore[arg-type]
    client = s3.boto3_client()
    assert client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", []) == []
    client.close()
