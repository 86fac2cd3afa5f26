"""Signers of CDN URLs: servers that verify as the CDNs do take those URLs and no others."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse

from django_fsspec import signers
from django_fsspec.core.expiry import expiry
from django_fsspec.exceptions import NotSupported
from tests.helpers import cdn

NAMES = [
    "plain.jpg",
    "a b.jpg",
    "a+b.jpg",
    "größe.jpg",
    "100%.jpg",
    "50%25.jpg",
    "a&b=c;d.jpg",
    "what?.jpg",
    "x#y.jpg",
    "star*.jpg",
    "~!()'.jpg",
    "日本/語.jpg",
]


class Kind(NamedTuple):
    name: str
    signer: Any
    verify: Any


KINDS = [
    Kind("cloudfront", signers.CloudFrontSigner(cdn.KEY_ID, cdn.PEM), cdn.cloudfront),
    Kind(
        "cloudfront custom",
        signers.CloudFrontSigner(cdn.KEY_ID, cdn.PEM.encode(), ip_address="127.0.0.1"),
        cdn.cloudfront,
    ),
    Kind("cloudflare", signers.CloudflareSigner(cdn.SECRET, cdn.LIFETIME), cdn.cloudflare),
    Kind("bunny", signers.BunnySigner(cdn.SECRET), cdn.bunny),
]
EVERY = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture
def server(kind: Kind) -> Iterator[cdn.CDN]:
    with cdn.CDN(kind.verify) as server:
        yield server


def status(url: str, cookies: str = "") -> int:
    request = urllib.request.Request(url, headers={"Cookie": cookies} if cookies else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    later = time.time() + seconds
    monkeypatch.setattr("time.time", lambda: later)


@EVERY
def test_names_and_queries(kind: Kind, server: cdn.CDN) -> None:
    for name in NAMES:
        address = server.url + urllib.parse.quote(name, safe="/~!*()'")
        assert status(kind.signer.sign(address, 60)) == 200, name
        assert status(address) == 403
    for query in ("v=2", "b=2&a=1", "q=a%20b%26c"):
        url = kind.signer.sign(f"{server.url}a.jpg?{query}", 60)
        assert status(url) == 200, query
        assert status(re.sub(r"([?&/])(v|b|q)=", r"\1w=", url)) == 403, query


@EVERY
def test_forged_and_expired(kind: Kind, server: cdn.CDN, monkeypatch: pytest.MonkeyPatch) -> None:
    url = kind.signer.sign(f"{server.url}a/b.jpg", 600)
    assert status(url) == 200
    assert status(url.replace("a/b.jpg", "a/c.jpg")) == 403
    for place in range(len(url) - 20, len(url), 7):
        other = "A" if url[place] != "A" else "B"
        forged = url[:place] + other + url[place + 1 :]
        assert status(forged) == 403, forged
    longer = re.sub(r"(?<=[=-])(1\d{9})", lambda found: str(int(found[0]) + 600), url)
    assert longer == url or status(longer) == 403
    at(monkeypatch, 530)
    assert status(url) == 200
    at(monkeypatch, 70)
    assert status(url) == 403


@EVERY
def test_stable_within_a_window(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision 0010: the same for a tenth of the lifetime, in every process."""
    start = expiry(3600, 1_900_000_000) - 3600
    urls = []
    for seconds in (0, 1, 100, 359, 360):
        monkeypatch.setattr("time.time", lambda seconds=seconds: float(start + seconds))
        urls.append(kind.signer.sign("https://cdn.example.com/a.jpg", 3600))
    assert len(set(urls[:4])) == 1
    assert urls[4] != urls[0]


@EVERY
def test_an_upload_is_not_signed(kind: Kind) -> None:
    with pytest.raises(NotSupported, match="signs downloads, not a PUT"):
        kind.signer.sign("https://cdn.example.com/a.jpg", 60, "PUT")


@EVERY
def test_keys_are_not_shown(kind: Kind) -> None:
    kind.signer.sign("https://cdn.example.com/a.jpg", 60)
    for secret in (cdn.SECRET, cdn.PEM[40:80]):
        assert secret not in repr(kind.signer) + str(kind.signer)
    assert copy.deepcopy({"signer": kind.signer})["signer"] is kind.signer
    assert copy.copy(kind.signer) is kind.signer
    with pytest.raises(TypeError, match="must not go into a pickle"):
        pickle.dumps(kind.signer)


def sha1(message: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return cdn.KEY.sign(message, padding.PKCS1v15(), hashes.SHA1())


@pytest.mark.parametrize("ip_address", ["", "192.0.2.7", "192.0.2.0/24"])
def test_cloudfront_signs_as_botocore_does(ip_address: str) -> None:
    from botocore.signers import CloudFrontSigner

    theirs = CloudFrontSigner(cdn.KEY_ID, sha1)
    ours = signers.CloudFrontSigner(cdn.KEY_ID, cdn.PEM, ip_address=ip_address)
    for url in ("https://d1.cloudfront.net/a%20b.jpg", "https://d1.cloudfront.net/a.jpg?v=1"):
        ends = datetime.fromtimestamp(expiry(3600), UTC)
        policy = theirs.build_policy(url, ends, ip_address=ip_address)
        arguments = {"policy": policy} if ip_address else {"date_less_than": ends}
        assert ours.sign(url, 3600) == theirs.generate_presigned_url(url, **arguments)


def test_a_star_in_a_name_is_no_wildcard() -> None:
    signer = signers.CloudFrontSigner(cdn.KEY_ID, cdn.PEM, ip_address="127.0.0.1")
    with cdn.CDN(cdn.cloudfront) as server:
        url = signer.sign(f"{server.url}a*.jpg", 60)
        assert status(url) == 200
        assert status(url.replace("a%2A.jpg", "ab.jpg")) == 403


def test_cookies_open_a_folder() -> None:
    signer = signers.CloudFrontSigner(cdn.KEY_ID, cdn.PEM)
    response = HttpResponse()
    with cdn.CDN(cdn.cloudfront) as server:
        signer.set_cookies(response, f"{server.url}private/", 600, domain=".example.com")
        sent = "; ".join(f"{name}={morsel.value}" for name, morsel in response.cookies.items())
        assert status(f"{server.url}private/a.jpg", sent) == 200
        assert status(f"{server.url}private/deep/b%20c.jpg", sent) == 200
        assert status(f"{server.url}public/a.jpg", sent) == 403
        assert status(f"{server.url}private/a.jpg") == 403
        assert (
            status(f"{server.url}private/a.jpg", sent.replace("Signature=", "Signature=A")) == 403
        )
    assert set(response.cookies) == {
        "CloudFront-Policy",
        "CloudFront-Signature",
        "CloudFront-Key-Pair-Id",
    }
    for morsel in response.cookies.values():
        assert morsel["secure"]
        assert morsel["httponly"]
        assert (morsel["path"], morsel["domain"]) == ("/private/", ".example.com")
        assert (morsel["max-age"], morsel["samesite"]) == (600, "Lax")


@pytest.mark.parametrize("prefix", ["https://cdn.example.com/a", "https://cdn.example.com/a?/"])
def test_cookies_need_a_folder(prefix: str) -> None:
    with pytest.raises(ValueError, match="URL of a folder"):
        signers.CloudFrontSigner(cdn.KEY_ID, cdn.PEM).cookies(prefix, 60)


def test_a_token_of_bunny_for_a_folder() -> None:
    signer = signers.BunnySigner(cdn.SECRET, token_path="/videos/a%20b/")
    with cdn.CDN(cdn.bunny) as server:
        url = signer.sign(f"{server.url}videos/a%20b/list.m3u8", 60)
        assert status(url) == 200
        # a player finds the further files beside the first
        assert status(urllib.parse.urljoin(url, "part1.ts")) == 200
        assert status(url.replace("/videos/a%20b/list", "/videos/other/list")) == 403
        # others get a token of their own
        url = signer.sign(f"{server.url}photos/a.jpg", 60)
        assert status(url) == 200
        assert status(url.replace("photos/a", "videos/a%20b/a")) == 403
        with pytest.raises(NotSupported, match="a parameter is twice"):
            signer.sign(f"{server.url}a.jpg?a=1&a=2", 60)


def test_a_url_of_cloudflare_lives_no_longer_than_its_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signer = signers.CloudflareSigner(cdn.SECRET, cdn.LIFETIME)
    with pytest.raises(NotSupported, match=r"after 3600 s, which is less than 3601 s: raise"):
        signer.sign("https://cdn.example.com/a.jpg", cdn.LIFETIME + 1)
    with cdn.CDN(cdn.cloudflare) as server:
        url = signer.sign(f"{server.url}a.jpg", cdn.LIFETIME)
        assert status(url) == 200
        at(monkeypatch, cdn.LIFETIME + 1)
        assert status(url) == 403


def test_keys_come_as_text_bytes_or_files(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(cdn.PEM)
    url = "https://cdn.example.com/a.jpg"
    signed = signers.CloudFrontSigner(cdn.KEY_ID, cdn.PEM).sign(url, 600)
    for key in (cdn.PEM.encode(), str(file), file, cdn.PEM.replace("\n", "\\n")):
        assert signers.CloudFrontSigner(cdn.KEY_ID, key).sign(url, 600) == signed


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("-----BEGIN PRIVATE KEY-----\nbm8ga2V5LXNlY3JldA==\n-----END PRIVATE KEY-----", "no RSA"),
        ("bm8ga2V5LXNlY3JldA==" * 40, "can't be read"),
        ("/nowhere/key.pem", "can't be read"),
        (b"bm8ga2V5LXNlY3JldA==", "no RSA key"),
    ],
)
def test_a_key_that_is_none(key: Any, fault: str) -> None:
    signer = signers.CloudFrontSigner(cdn.KEY_ID, key)
    with pytest.raises(ImproperlyConfigured, match=fault) as caught:
        signer.sign("https://cdn.example.com/a.jpg", 60)
    assert "\n" not in str(caught.value)
    assert "bm8ga2V5LXNlY3JldA==" not in str(caught.value)


def test_a_key_of_another_kind() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ImproperlyConfigured, match="is no RSA key in PEM"):
        signers.CloudFrontSigner(cdn.KEY_ID, pem).sign("https://cdn.example.com/a.jpg", 60)


@pytest.mark.parametrize("wrong", ["", None, b"bytes"])
def test_a_secret_that_is_none(wrong: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="must be text that is not empty"):
        signers.BunnySigner(wrong)
    with pytest.raises(ImproperlyConfigured, match="must be text that is not empty"):
        signers.CloudflareSigner(wrong, 60)


@EVERY
def test_a_signature_takes_less_than_a_millisecond(kind: Kind) -> None:
    kind.signer.sign("https://cdn.example.com/a.jpg", 60)
    best = min(_cpu(kind.signer) for _ in range(5))
    # of RSA, whose key is parsed once; twice the promise, for machines that are busy
    assert best < 0.002


def _cpu(signer: Any) -> float:
    began = time.process_time()
    for number in range(20):
        signer.sign(f"https://cdn.example.com/{number}.jpg", 60)
    return (time.process_time() - began) / 20


def test_settings_can_import_it() -> None:
    code = (
        "import sys; import django_fsspec.signers; "
        "print([m for m in ('cryptography', 'fsspec', 'django.db.models') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
