"""The proxy counts, delays, limits and cuts as it says; silence and refusal are what they say."""

from __future__ import annotations

import http.client
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
import requests

from tests.helpers.utils import assert_round_trip, started, wait_for
from tests.servers import (
    BlackHole,
    CountingProxy,
    LocalBucketS3,
    MotoS3,
    OpenSSH,
    RcloneS3,
    SeaweedS3,
    closed_port,
)
from tests.servers.proxy_wire import RequestWatcher

if TYPE_CHECKING:
    pass

pytestmark = [pytest.mark.once, pytest.mark.slow]


S3_CLASSES = [SeaweedS3, LocalBucketS3, MotoS3, RcloneS3]


def test_proxy_adds_latency(rclone: RcloneS3, proxy: CountingProxy) -> None:
    client = rclone.boto3_client(proxy.url)
    client.head_bucket(Bucket=rclone.bucket)
    proxy.shape(latency=0.1)
    begun = time.perf_counter()
    client.head_bucket(Bucket=rclone.bucket)
    assert time.perf_counter() - begun >= 0.1
    client.close()


def test_proxy_latency_delays_without_limiting_throughput(
    rclone: RcloneS3, proxy: CountingProxy
) -> None:
    """A sleep for each chunk would take seconds: 8 MB are more than 30 chunks."""
    client = rclone.boto3_client(proxy.url)
    client.put_object(Bucket=rclone.bucket, Key="eight", Body=bytes(8_000_000))
    proxy.shape(latency=0.4)
    begun = time.perf_counter()
    client.get_object(Bucket=rclone.bucket, Key="eight")["Body"].read()
    assert 0.4 <= time.perf_counter() - begun < 3
    client.close()


def test_proxy_limits_bandwidth(rclone: RcloneS3, proxy: CountingProxy) -> None:
    client = rclone.boto3_client(proxy.url)
    proxy.shape(bandwidth=4_000_000)
    begun = time.perf_counter()
    client.put_object(Bucket=rclone.bucket, Key="slow", Body=bytes(1_000_000))
    assert time.perf_counter() - begun >= 0.24
    client.close()


def test_proxy_counts_connections(rclone: RcloneS3, proxy: CountingProxy) -> None:
    with requests.Session() as one, requests.Session() as two:
        for session in (one, one, two):
            session.get(proxy.url, timeout=5)
        assert proxy.connections() == (2, 2)
    wait_for(lambda: proxy.connections() == (2, 0))
    proxy.reset()
    assert proxy.connections() == (0, 0)
    assert proxy.requests() == []


def test_proxy_down_and_up(rclone: RcloneS3, proxy: CountingProxy) -> None:
    with requests.Session() as session:
        session.get(proxy.url, timeout=5)
        proxy.set_down(True)
        with pytest.raises(requests.ConnectionError):
            session.get(proxy.url, timeout=5)
        with pytest.raises(requests.ConnectionError, match="refused"):
            session.get(proxy.url, timeout=5)
        proxy.set_down(False)
        assert session.get(proxy.url, timeout=5).status_code < 500


def test_proxy_cuts_one_response(rclone: RcloneS3, proxy: CountingProxy) -> None:
    client = rclone.boto3_client()
    client.put_object(Bucket=rclone.bucket, Key="cut", Body=bytes(1_000_000))
    url = client.generate_presigned_url(
        "get_object", Params={"Bucket": rclone.bucket, "Key": "cut"}
    )
    client.close()
    through = url.replace(str(rclone.port), str(proxy.port))
    request = urllib.request.Request(through, headers={"Host": f"127.0.0.1:{rclone.port}"})
    proxy.cut_after(500_000)
    response = urllib.request.urlopen(request, timeout=5)
    with response, pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert 490_000 < len(caught.value.partial) < 500_000
    assert proxy.cuts() == 1
    with urllib.request.urlopen(request, timeout=5) as response:
        assert len(response.read()) == 1_000_000


def test_proxy_in_front_of_nothing() -> None:
    server = started(CountingProxy, closed_port())
    with server as proxy, pytest.raises(requests.ConnectionError):
        requests.get(proxy.url, timeout=5)


def test_proxy_leaves_other_protocols_alone() -> None:
    from sshfs import SSHFileSystem

    with started(OpenSSH) as server, started(CountingProxy, server.port) as proxy:
        known = server.known_hosts.read_text().replace(str(server.port), str(proxy.port))
        server.known_hosts.write_text(known)
        options = {**server.fs_options, "port": proxy.port}
        fs = SSHFileSystem(**options, skip_instance_cache=True)
        assert_round_trip(fs, f"{server.root}/file")
        assert proxy.requests() == []
        assert proxy.connections().accepted == 1


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_watcher_reads_any_body_in_any_pieces(step: int) -> None:
    stream = (
        b"PUT /a HTTP/1.1\r\nContent-Length: 23\r\n\r\nGET /not HTTP/1.1\r\n\r\n  "
        b"PUT /b?x=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"4;chunk-signature=0\r\nGET \r\n0\r\nx-amz-checksum-crc32: 0\r\n\r\n"
        b"PUT /c HTTP/1.1\r\nContent-Encoding: aws-chunked\r\nContent-Length: 14\r\n\r\n"
        b"4\r\nGET \r\n0\r\n\r\n"
        b"HEAD /d HTTP/1.1\r\n\r\n"
    )
    seen: list[tuple[str, str]] = []
    watcher = RequestWatcher(lambda *request: seen.append(request))
    for start in range(0, len(stream), step):
        watcher.feed(stream[start : start + step])
    assert seen == [("PUT", "/a"), ("PUT", "/b?x=1"), ("PUT", "/c"), ("HEAD", "/d")]


def test_watcher_knows_a_refused_expectation() -> None:
    head = b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    seen: list[tuple[str, str]] = []
    watcher = RequestWatcher(lambda *request: seen.append(request))
    watcher.feed(head)
    watcher.answered(b"HTTP/1.1 412 Precondition Failed\r\n")
    watcher.feed(head)
    watcher.answered(b"HTTP/1.1 100 Continue\r\n\r\n")
    watcher.feed(b"12345")
    watcher.answered(b"HTTP/1.1 200 OK\r\n")
    watcher.feed(b"GET /b HTTP/1.1\r\n\r\n")
    assert seen == [("PUT", "/a"), ("PUT", "/a"), ("GET", "/b")]


def test_black_hole_accepts_and_is_silent() -> None:
    with BlackHole() as hole:
        with pytest.raises(requests.ReadTimeout):
            requests.get(hole.url, timeout=0.2)
        wait_for(lambda: hole.connections() == (1, 0))
    with pytest.raises(requests.ConnectionError):
        requests.get(hole.url, timeout=1)


def test_closed_port_refuses() -> None:
    with pytest.raises(requests.ConnectionError, match="refused"):
        requests.get(f"http://127.0.0.1:{closed_port()}", timeout=1)
