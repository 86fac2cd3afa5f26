"""django-health-check tries a storage of ours, and tells when it can't be reached."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.storage import storages
from django.test import Client
from django.urls import path
from health_check.views import HealthCheckView

from django_fsspec.testing import override_storage
from tests.helpers.backends import Backend, backends_named, folder
from tests.servers import CountingProxy, RcloneS3, closed_port

pytestmark = [pytest.mark.once, pytest.mark.urls(__name__)]

urlpatterns = [
    path(
        "health/",
        HealthCheckView.as_view(checks=[("health_check.Storage", {"alias": "media"})]),
    )
]


def answer() -> Any:
    return Client().get("/health/?format=json")


@pytest.mark.parametrize("backend", backends_named("memory", "local", "s3 (SeaweedFS)"), ids=str)
def test_a_storage_that_works(backend: Backend) -> None:
    with override_storage(media=backend.options(folder())):
        response = answer()
        assert response.status_code == 200, response.content
        assert list(response.json().values()) == ["OK"]
        storage: Any = storages["media"]
        assert list(storage.walk()) == []


def test_it_costs_six_requests(rclone: RcloneS3, proxy: CountingProxy) -> None:
    options = {**rclone.fs_options, "endpoint_url": proxy.url}
    with override_storage(
        media={"fs": "s3", "prefix": f"{rclone.bucket}/{folder()}", "fs_options": options}
    ):
        assert answer().status_code == 200
    assert len(proxy.requests()) == 6


def test_a_storage_that_can_not_be_reached() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    keys = {"key": "AKTOPSECRET", "secret": "TOPSECRET", "endpoint_url": url}
    broken = {"fs": "s3", "prefix": "b", "fs_options": keys, "retries": 0}
    with override_storage(media=broken):
        response = answer()
    assert response.status_code == 500
    assert b"TOPSECRET" not in response.content
