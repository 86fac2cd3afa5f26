"""Tokens that pages, e-mails and caches hold: signed by an earlier release, read by this one."""

from __future__ import annotations

from django.core.signing import Signer
from django.utils.crypto import salted_hmac

from django_fsspec.core.stat import Stat
from django_fsspec.forms import cards, kept_uploads
from django_fsspec.objects import FileObject
from django_fsspec.storage.signing import read_token


def test_a_signed_url() -> None:
    payload = {"a": "default", "n": "a.txt", "e": 2**40, "u": 0, "h": {}}
    token = Signer(salt="django_fsspec.signing").sign_object(payload, compress=True)
    assert read_token(token, for_upload=False).name == "a.txt"


def test_the_key_of_a_file_in_an_open_form() -> None:
    file = FileObject("default", "a.txt")
    digest = salted_hmac("django_fsspec.cards", "default\0a.txt", algorithm="sha256").hexdigest()
    assert cards.key_of(file) == digest[:32]


def test_the_reference_of_a_kept_upload() -> None:
    assert kept_uploads._SALT == "django_fsspec.retention"


def test_a_stat_is_pickled_by_the_path_that_older_code_has() -> None:
    assert Stat.__module__ == "django_fsspec.stat"
