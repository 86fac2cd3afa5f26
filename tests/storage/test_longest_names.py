"""The longest names that a service holds: listed, read, saved, swept and deleted alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import audit
from tests.helpers.backends import _azure, _cached, _gcs, _s3, folder, server

#: bytes, or on Azure characters, that a key may have
MOST = 1024


def _put_s3(kind: type[servers.S3Server]) -> Callable[[str], None]:
    def put(key: str) -> None:
        s3 = server(kind)
        s3.boto3_client().put_object(Bucket=s3.bucket, Key=key, Body=b"1234567")

    return put


def _put_gcs(key: str) -> None:
    gcs = server(servers.FakeGCS)
    gcs.client().bucket(gcs.bucket).blob(key).upload_from_string(b"1234567")


def _put_azure(key: str) -> None:
    azurite = server(servers.Azurite)
    with azurite.client() as client:
        client.get_blob_client(azurite.container, key).upload_blob(b"1234567")


SERVICES: dict[str, tuple[Callable[[str], dict[str, Any]], Callable[[str], None]]] = {
    "s3 (SeaweedFS)": (_s3(servers.SeaweedS3), _put_s3(servers.SeaweedS3)),
    "s3 (moto)": (_s3(servers.MotoS3), _put_s3(servers.MotoS3)),
    "cache over s3": (_cached("filecache"), _put_s3(servers.SeaweedS3)),
    "gcs": (_gcs, _put_gcs),
    "azure": (_azure, _put_azure),
}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> Iterator[tuple[str, Callable[[str], None]]]:
    """The folder of the storage inside the bucket, and what puts an object there."""
    options, put = SERVICES[request.param]
    place = folder()
    with override_storage(default=options(place)):
        yield place, put


def of_length(length: int, place: str, letter: str = "a") -> str:
    """Return a name whose whole key has so many characters, and no long parts."""
    count = length - len(place) - 1
    return "".join("/" if n % 100 == 99 and n < count - 1 else letter for n in range(count))


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("length", [1017, 1018, MOST])
def test_keys_near_the_limit(service: tuple[str, Callable[[str], None]], length: int) -> None:
    place, put = service
    storage: Any = storages["default"]
    name = of_length(length, place)
    assert len(f"{place}/{name}") == length
    put(f"{place}/{name}")
    assert [stat.name for stat in storage.walk()] == [name]
    assert storage.exists(name)
    assert storage.size(name) == 7
    with storage.open(name) as file:
        assert file.read() == b"1234567"
    assert audit.fates(**audit.NOW) == {name: "deleted"}
    assert not storage.exists(name)
    assert storage.save(name, ContentFile(b"mine")) == name
    # the alternative of a name that is taken is shortened to what there is room for
    other = storage.save(name, ContentFile(b"other"))
    assert len(f"{place}/{other}") <= MOST
    assert (storage.get_content(name), storage.get_content(other)) == (b"mine", b"other")
    storage.delete_many([name, other])
    assert list(storage.walk()) == []


def test_a_key_that_no_service_holds_is_refused(
    service: tuple[str, Callable[[str], None]],
) -> None:
    storage: Any = storages["default"]
    name = of_length(MOST + 1, service[0])
    for use in (storage.exists, storage.open, storage.delete, storage.size):
        with pytest.raises(SuspiciousFileOperation, match=r"longer than the 1024 (by|ch)"):
            use(name)


def test_azure_counts_characters() -> None:
    place = folder()
    storage = FSSpecStorage(**_azure(place))
    name = of_length(MOST, place, "字")
    _put_azure(f"{place}/{name}")
    assert [stat.name for stat in storage.walk()] == [name]
    assert storage.get_content(name) == b"1234567"
    assert storage.save(name, ContentFile(b"other")) != name


def test_the_arn_of_an_access_point_is_a_bucket() -> None:
    arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/name"
    s3 = server(servers.MotoS3)
    storage = FSSpecStorage(fs="s3", prefix=f"{arn}/place", fs_options=s3.fs_options)
    name = of_length(MOST, "place")
    assert storage.flows.path(name) == f"{arn}/place/{name}"
    with pytest.raises(SuspiciousFileOperation, match="longer than the 1024 bytes"):
        storage.flows.path(name + "a")
