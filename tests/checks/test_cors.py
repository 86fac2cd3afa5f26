"""``check_storages --cors``: what a browser is told before it uploads by itself."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from django_fsspec.checks.cors import refusal
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import backends_named, folder, server

ORIGIN = "https://site.example"


def examined(alias: str = "media", origin: str = ORIGIN) -> str:
    out = io.StringIO()
    call_command("check_storages", alias, cors=origin, stdout=out, no_color=True)
    return out.getvalue().splitlines()[-1]


def test_a_bucket_that_lets_nobody_in() -> None:
    s3 = server(servers.SeaweedS3)
    client, bucket = s3.boto3_client(), folder()
    client.create_bucket(Bucket=bucket)
    rule = {
        "AllowedOrigins": ["https://other.example"],
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["*"],
    }
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    out = io.StringIO()
    options = {"fs": "s3", "prefix": f"{bucket}/media", "fs_options": s3.fs_options}
    with override_storage(media=options):
        with pytest.raises(CommandError, match="Storages with problems: media"):
            call_command("check_storages", "media", cors=ORIGIN, stdout=out, no_color=True)
        assert f"Browsers may not upload from {ORIGIN}" in out.getvalue()
        assert f"aws s3api put-bucket-cors --bucket {bucket}" in out.getvalue()
        assert "X-Amz-Signature" not in out.getvalue().splitlines()[-1]
        rule["AllowedOrigins"] = [ORIGIN]
        client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
        assert f"ok  browsers may upload from {ORIGIN}" in examined()
    client.close()


def test_a_storage_that_browsers_do_not_reach() -> None:
    with override_storage("media"):
        assert examined().endswith("uploads go through Django: no CORS rule needed")


def test_azure_has_a_rule_for_the_account() -> None:
    (backend,) = backends_named("azure (azurite)")
    out = io.StringIO()
    with (
        override_storage(media=backend.options(folder())),
        pytest.raises(CommandError, match="Storages with problems: media"),
    ):
        call_command("check_storages", "media", cors=ORIGIN, stdout=out, no_color=True)
    assert f"az storage cors add --services b --methods PUT --origins {ORIGIN}" in out.getvalue()


@pytest.mark.parametrize("origin", ["site.example", "https://site.example/", "", "ftp://x"])
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(CommandError, match="is not an origin") as raised:
        call_command("check_storages", cors=origin)
    assert raised.value.returncode == 2


ALL = {
    "Access-Control-Allow-Origin": ORIGIN,
    "Access-Control-Allow-Methods": "GET, PUT",
    "Access-Control-Allow-Headers": "Content-Type, if-none-match",
}
SENT = ["content-type", "if-none-match"]


@pytest.mark.parametrize(
    ("status", "changes", "said"),
    [
        (200, {}, None),
        (204, {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}, None),
        (403, {}, "the preflight got status 403"),
        (200, {"Access-Control-Allow-Origin": "https://other.example"}, "may not upload from"),
        (200, {"Access-Control-Allow-Methods": "GET"}, "PUT is not allowed"),
        (200, {"Access-Control-Allow-Headers": "content-type"}, "not allowed: if-none-match."),
    ],
)
def test_what_a_browser_makes_of_an_answer(
    status: int, changes: dict[str, str], said: str | None
) -> None:
    reason = refusal(status, {**ALL, **changes}, SENT, ORIGIN)
    assert reason is None if said is None else said in str(reason)
