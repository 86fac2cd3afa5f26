"""The servers of the demo, kept by the same hand as those of the tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from urllib.request import urlopen

import botocore.session
from django.conf import settings

from tests.servers import SeaweedS3, Server
from tests.servers.ports import HOST

BUCKET = "demo"


class DemoS3(SeaweedS3):
    """SeaweedFS, with a bucket that is created without boto3: the demo does not need that."""

    def __init__(self) -> None:
        super().__init__(bucket=BUCKET)

    def _populate(self) -> None:
        client = botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            **self.fs_options["client_kwargs"],
        )
        client.create_bucket(Bucket=self.bucket)
        # pages send files here by themselves; a site names its own origin
        rule = {"AllowedOrigins": ["*"], "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"]}
        client.put_bucket_cors(Bucket=self.bucket, CORSConfiguration={"CORSRules": [rule]})
        client.close()


class WebServer(Server):
    """Django's own HTTP server on a free port, as a process of its own."""

    def _command(self) -> Sequence[str]:
        manage = str(settings.BASE_DIR / "manage.py")
        return [sys.executable, manage, "runserver", "--noreload", f"{HOST}:{self.port}"]

    def _environment(self) -> dict[str, str]:
        return {"DJANGO_FSSPEC_VAR": str(settings.VAR), "PYTHONUNBUFFERED": "1"}

    def _answers(self) -> bool:
        with urlopen(self.url, timeout=10) as response:
            return bool(response.status == 200)
