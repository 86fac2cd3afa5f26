"""System checks of settings that nothing reads, of aliases that are missing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.db import models
from django.test import override_settings
from django.test.utils import isolate_apps

from django_fsspec.checks.former_settings import PLACES, SHARED
from django_fsspec.checks.system_checks import check_storages
from django_fsspec.fields import StoredObjectField
from tests.test_docs import rows_below

OURS = "django_fsspec.storage.FSSpecStorage"
DISK = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
STATIC = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
S3 = {"BACKEND": OURS, "OPTIONS": {"fs": "s3", "prefix": "my-bucket/media"}}


def messages(
    identity: str, storages: dict[str, Any] | None = None, **more: Any
) -> list[tuple[str, str]]:
    aliases = {"default": S3, "staticfiles": STATIC} if storages is None else storages
    with override_settings(STORAGES=aliases, **more):
        found = [m for m in check_storages() if m.id == f"django_fsspec.{identity}"]
    return [(message.msg, message.hint or "") for message in found]


class TestSettingsOfDjangoStorages:
    """W011: nothing reads AWS_STORAGE_BUCKET_NAME and its like any more."""

    def test_what_to_write_instead(self) -> None:
        ((message, hint),) = messages(
            "W011", AWS_S3_FILE_OVERWRITE=False, GS_EXPIRATION=99, AZURE_CONTAINER="other"
        )
        assert "AWS_S3_FILE_OVERWRITE, AZURE_CONTAINER, GS_EXPIRATION" in message
        assert "AWS_S3_FILE_OVERWRITE is 'allow_overwrite'" in hint
        assert "GS_EXPIRATION is 'url_expires_in'" in hint

    def test_no_value_is_told(self) -> None:
        ((message, hint),) = messages(
            "W011", AWS_S3_SECRET_ACCESS_KEY="sesame", AZURE_ACCOUNT_KEY="sesame"
        )
        assert "sesame" not in message + hint

    @pytest.mark.parametrize("name", sorted(SHARED))
    def test_names_that_others_read_are_told_beside_one_that_they_do_not(self, name: str) -> None:
        assert messages("W011", None, **{name: "x"}) == []
        ((message, _),) = messages("W011", None, **{name: "x", "AWS_LOCATION": "elsewhere"})
        assert name in message

    @pytest.mark.parametrize(
        "more",
        [
            {"AWS_STORAGE_BUCKET_NAME": "my-bucket", "AWS_LOCATION": "media"},
            {"AWS_S3_REGION_NAME": "eu"},
            {"AWS_S3_OBJECT_PARAMETERS": {"A": 1}},
            {"AWS_QUERYSTRING_EXPIRE": 77},
        ],
    )
    def test_settings_that_options_are_made_of(self, more: dict[str, Any]) -> None:
        options = {
            "fs": "s3",
            "prefix": "my-bucket/media",
            "fs_options": {"client_kwargs": {"region_name": "eu"}},
            "object_options": {"extra": more.get("AWS_S3_OBJECT_PARAMETERS", {})},
            "url_expires_in": 77,
        }
        aliases = {"default": {"BACKEND": OURS, "OPTIONS": options}, "staticfiles": STATIC}
        assert messages("W011", aliases, **more) == []

    @pytest.mark.parametrize(
        "entry",
        [
            {"BACKEND": "storages.backends.s3.S3Storage"},
            {"BACKEND": OURS, "OPTIONS": {"fs": "tests.checks.test_settings_checks.no_such"}},
            {"BACKEND": OURS, "OPTIONS": {"fs": "s3", "prefix": lambda: "b"}},
            {"BACKEND": "mysite.storages.PrivateStorage"},
        ],
        ids=["django-storages", "dotted path", "function", "own class"],
    )
    def test_silent_where_somebody_may_read_them(self, entry: dict[str, Any]) -> None:
        aliases = {"default": S3, "staticfiles": STATIC, "more": entry}
        assert messages("W011", aliases, AWS_LOCATION="elsewhere") == []

    def test_silent_where_the_app_is_installed(self) -> None:
        with override_settings(INSTALLED_APPS=["django_fsspec", "storages"]):
            assert messages("W011", AWS_LOCATION="elsewhere") == []

    @isolate_apps("tests.library")
    def test_silent_where_a_field_has_such_a_storage(self, monkeypatch: Any) -> None:
        class Former(FileSystemStorage):
            __module__ = "storages.backends.s3"

        class Invoice(models.Model):
            file = models.FileField(storage=Former())

            class Meta:
                app_label = "library"

        monkeypatch.setattr(
            "django_fsspec.checks.former_settings.apps.get_models", lambda: [Invoice]
        )
        assert messages("W011", AWS_LOCATION="elsewhere") == []

    def test_silent_without_a_storage_of_ours(self) -> None:
        assert messages("W011", {"default": DISK}, AWS_LOCATION="elsewhere") == []

    @pytest.mark.parametrize("title", ["S3", "Google Cloud Storage", "Azure"])
    def test_all_settings_of_the_page(self, title: str) -> None:
        documented = {
            name
            for row in rows_below(title)
            for name in re.findall(r"`((?:AWS|GS|AZURE)_\w+)`", row[0])
        }
        assert documented
        assert documented <= PLACES.keys()


class TestMissingAliases:
    """W012 and W013: STORAGES replaces Django's default as a whole."""

    @pytest.mark.parametrize("missing", ["default", "staticfiles"])
    def test_an_alias_of_django_is_missing(self, missing: str) -> None:
        aliases = {"default": S3, "staticfiles": STATIC, "media": S3}
        assert messages("W012", aliases) == []
        del aliases[missing]
        ((message, hint),) = messages("W012", aliases)
        assert message.startswith(f"STORAGES has no {missing!r}")
        assert "BACKEND" in hint

    def test_static_files_are_not_used(self) -> None:
        with override_settings(INSTALLED_APPS=["django_fsspec"]):
            assert messages("W012", {"default": S3}) == []

    def test_none_of_ours(self) -> None:
        assert messages("W012", {"media": DISK}) == []

    @isolate_apps("tests.library")
    def test_what_a_callable_backend_returns(self) -> None:
        class Wrong(models.Model):
            file = StoredObjectField(backend=lambda: "nowhere")

            class Meta:
                app_label = "library"

        (warning,) = Wrong._meta.get_field("file").check()
        assert warning.id == "django_fsspec.W013"
        assert "'nowhere'" in warning.msg
        assert "'default'" in warning.msg

    @pytest.mark.parametrize(
        "backend",
        [
            lambda: "default",
            lambda: 1 // 0,
            lambda: None,
            lambda: "",
            lambda row: "nowhere",
        ],
        ids=["known", "raises", "none", "empty", "of a row"],
    )
    @isolate_apps("tests.library")
    def test_what_a_callable_backend_may_return(self, backend: Any) -> None:
        class Fine(models.Model):
            file = StoredObjectField(backend=backend)

            class Meta:
                app_label = "library"

        assert Fine._meta.get_field("file").check() == []
