"""Hostile requests for signed URLs: refused with the right status, and logged without token."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.core import signing as django_signing
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client
from django.urls import reverse

from django_fsspec.storage import FSSpecStorage, signing
from django_fsspec.storage.signing import Grant
from django_fsspec.testing import override_storage

DATA = bytes(range(256)) * 40
NAME = "secret/plan.bin"


@pytest.fixture
def media() -> Iterator[FSSpecStorage]:
    with override_storage("media", "other"):
        storage = storages["media"]
        assert isinstance(storage, FSSpecStorage)
        storage.save(NAME, ContentFile(DATA))
        yield storage


def stored() -> dict[str, list[str]]:
    """Return the names of all files, by alias."""
    found: dict[str, list[str]] = {}
    for alias in ("media", "other"):
        storage = storages[alias]
        assert isinstance(storage, FSSpecStorage)
        found[alias] = [stat.name for stat in storage.walk()]
    return found


def grant(**changes: Any) -> Grant:
    given: dict[str, Any] = {
        "alias": "media",
        "name": NAME,
        "expires": int(time.time()) + 60,
        "headers": {},
        **changes,
    }
    return Grant(**given)


def good(**changes: Any) -> str:
    return signing.token(grant(**changes))


def resigned(change: Callable[[dict[str, Any]], None], **signer: Any) -> str:
    """Return a good token's content, changed and signed by somebody else."""
    content = {"a": "media", "n": NAME, "e": int(time.time()) + 60, "u": 0, "h": {}}
    change(content)
    other = django_signing.Signer(**{"salt": "django_fsspec.signing", **signer})
    return other.sign_object(content, compress=True)


def spliced() -> str:
    """Return the content of one token with the signature of another."""
    content = good(name="other.bin").rpartition(":")[0]
    return content + ":" + good().rpartition(":")[2]


@dataclass(frozen=True)
class Attack:
    """A request to the view of signed URLs; `token` is made when it is sent."""

    label: str
    status: int
    token: Callable[[], str] = good
    method: str = "GET"
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    view: str = "file"

    def __str__(self) -> str:
        return self.label


def ranged(value: str, label: str = "") -> Attack:
    return Attack(f"range {label or value}", 416, headers={"Range": value})


EXPIRED: dict[str, Any] = {"expires": int(time.time()) - 1}

DOWNLOADS = [
    Attack("forged: no signature", 403, lambda: good().rpartition(":")[0]),
    Attack("forged: a letter changed", 403, lambda: "A" + good()[1:]),
    Attack("forged: signature cut short", 403, lambda: good()[:-4]),
    Attack("forged: signature of another token", 403, spliced),
    Attack("forged: another key", 403, lambda: resigned(lambda t: None, key="guessed")),
    Attack("forged: another salt", 403, lambda: resigned(lambda t: None, salt="x")),
    Attack("forged: nonsense", 403, lambda: "nonsense"),
    Attack("forged: a megabyte cut to 4 kB", 403, lambda: "A" * 4096),
    Attack("forged: not base64", 403, lambda: "%C3%BC:x"),
    Attack(
        "signed, but no object",
        403,
        lambda: django_signing.Signer(salt="django_fsspec.signing").sign_object([1]),
    ),
    Attack("signed, but keys are missing", 403, lambda: resigned(lambda t: t.pop("n"))),
    Attack("signed, but the expiry is text", 403, lambda: resigned(lambda t: t.update(e="z"))),
    Attack("expired", 410, lambda: good(**EXPIRED)),
    Attack("expired long ago", 410, lambda: good(expires=1)),
    Attack("of another alias, by the guess of it", 404, lambda: good(alias="other")),
    Attack("of an alias that is gone", 404, lambda: good(alias="gone")),
    Attack("of a storage that is not ours", 404, lambda: good(alias="staticfiles")),
    Attack("an upload's token for reading", 403, lambda: good(for_upload=True)),
    Attack("a reader's token for an upload", 403, good, "PUT", view="upload"),
    *(
        Attack(f"a name outside of the storage: {name!r}, {method}", 403, made, method, view=view)
        for name in ("../x", "/etc/passwd", "a/../../x", "a\x00b", "..")
        for method, view, made in (
            ("GET", "file", functools.partial(good, name=name)),
            ("PUT", "upload", functools.partial(good, name=name, for_upload=True)),
        )
    ),
    Attack("POST to a download", 405, method="POST"),
    Attack("PUT to a download", 405, method="PUT"),
    Attack("DELETE of a download", 405, method="DELETE"),
    Attack("PATCH of a download", 405, method="PATCH"),
    Attack("GET of an upload", 405, lambda: good(for_upload=True), view="upload"),
    Attack("POST to an upload", 405, lambda: good(for_upload=True), "POST", view="upload"),
    Attack("DELETE of an upload", 405, lambda: good(for_upload=True), "DELETE", view="upload"),
    ranged("bytes=10240-", "beyond the end"),
    ranged("bytes=99999999999999999999999-", "far beyond the end"),
    ranged("bytes=-0"),
    ranged("bytes=" + ",".join(f"{n}-{n}" for n in range(1000)), "of 1,000 bytes"),
    ranged("bytes=" + "0-," * 1000, "of the whole, 1,000 times"),
    ranged("bytes=9-3"),
    ranged("bytes=a-z"),
    ranged("bytes=--5"),
    ranged("bytes=0x10-0x20"),
    ranged("bytes=1-2-3"),
    ranged("bytes=\u0661-\u0662", "in Arabic digits"),
    ranged("bytes=" + "9" * 6000 + "-", "of 6,000 digits"),
    Attack("If-Match of another version", 412, headers={"If-Match": '"other"'}),
    Attack("If-Match that is malformed", 412, headers={"If-Match": '"' * 999}),
    Attack(
        "If-Unmodified-Since long ago",
        412,
        headers={"If-Unmodified-Since": "Mon, 01 Jan 1990 00:00:00 GMT"},
    ),
]


@pytest.mark.parametrize("attack", DOWNLOADS, ids=str)
def test_a_hostile_download_is_refused(
    attack: Attack, media: FSSpecStorage, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = stored()
    token = attack.token()
    url = reverse(f"django_fsspec:{attack.view}", kwargs={"token": "t"})[:-1] + token
    response = client.generic(attack.method, url, b"<evil>", headers=attack.headers)
    assert response.status_code == attack.status
    assert DATA[:100] not in response.content
    assert stored() == before
    assert caplog.records, "nobody would know of it"
    for record in caplog.records:
        assert token not in record.getMessage()
        assert record.levelno < logging.ERROR


def test_there_are_many() -> None:
    labels = [str(attack) for attack in DOWNLOADS]
    assert len(set(labels)) == len(labels) >= 30
