"""Where storages keep their files, and which of them share a place."""

from __future__ import annotations

from typing import Any

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from s3fs import S3FileSystem

from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.locations import Place, Route, place_of


def s3_place(**options: Any) -> Place:
    place = place_of(FSSpecStorage(**{"fs": "s3", "prefix": "b/x", **options}))
    assert place is not None
    return place


@pytest.mark.parametrize(
    ("options", "route"),
    [
        ({}, Route()),
        ({"timeout": 3, "fs_options": {"key": "another", "secret": "s"}}, Route()),
        ({"fs": "s3://b/x", "prefix": ""}, Route()),
        ({"fs": "dir::s3://b/x", "prefix": ""}, Route()),
        ({"fs": "filecache::s3"}, Route()),
        ({"prefix": "b"}, Route(strip="x/")),
        ({"prefix": "b/x/y/z"}, Route(add="y/z/")),
        ({"prefix": "b/xy"}, None),
        ({"prefix": "c/x"}, None),
        ({"fs_options": {"endpoint_url": "http://one/"}}, Route()),
        ({"fs": "memory"}, None),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_places(options: dict[str, Any], route: Route | None) -> None:
    here, other = s3_place(), s3_place(**options)
    assert other.route_to(here) == route
    assert here.route_to(other) == (None if route is None else route.back)


def test_a_filesystem_given_as_it_is() -> None:
    fs = S3FileSystem(anon=True, endpoint_url="http://one")
    for given in (DirFileSystem("b/x", fs), DirFileSystem("x", DirFileSystem("b", fs))):
        place = s3_place(fs=given, prefix="")
        assert place.route_to(s3_place(fs_options={"endpoint_url": "http://one"})) == Route()
        assert place.route_to(s3_place(fs_options={"endpoint_url": "http://two"})) is None


def test_servers_tell_places_apart() -> None:
    def at(url: str) -> Place:
        return s3_place(fs_options={"client_kwargs": {"endpoint_url": url}})

    assert at("http://one/").route_to(at("http://ONE")) == Route()
    assert at("http://one/").route_to(at("http://two")) is None
    text = "DefaultEndpointsProtocol=http;AccountName={};AccountKey={}"
    accounts = [
        place_of(
            FSSpecStorage(
                fs="abfs",
                prefix="c",
                fs_options={"connection_string": text.format(account, key)},
            )
        )
        for account, key in (("a", "k"), ("a", "l"), ("b", "k"))
    ]
    routes = [one and accounts[0] and accounts[0].route_to(one) for one in accounts]
    assert routes == [Route(), Route(), None]
    hosts = [place_of(FSSpecStorage(fs=f"ftp://{host}/x")) for host in ("one", "two")]
    assert hosts[0] is not None
    assert hosts[1] is not None
    assert not hosts[0].may_share_filesystem(hosts[1])
