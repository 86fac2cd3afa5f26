"""A stream that breaks goes on where it broke, with the bytes of the same version."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import backends_named, folder, server
from tests.helpers.proxied_backends import PLACES
from tests.helpers.utils import numbered, started

DATA = numbered(750_000)


@pytest.mark.parametrize("place", sorted(PLACES.keys() - {"sftp (OpenSSH)"}))
def test_a_broken_stream_goes_on(place: str) -> None:
    (backend,) = backends_named(place)
    kind, by_proxy = PLACES[place]
    options = backend.options(folder())
    name = FSSpecStorage(**options).save("large.bin", ContentFile(DATA))
    with started(servers.CountingProxy, server(kind).port) as proxy:
        storage = FSSpecStorage(**{**options, "fs_options": by_proxy(options, proxy.url)})
        proxy.cut_after(1_000_000)
        assert b"".join(storage.stream(name)) == DATA
        assert proxy.cuts() == 1
        assert [request.method for request in proxy.requests()] == ["GET", "GET"]


def test_a_broken_http_stream_goes_on() -> None:
    nginx = server(servers.NginxHTTP)
    name = folder()
    (nginx.root / name).mkdir()
    (nginx.root / name / "large.bin").write_bytes(DATA)
    with started(servers.CountingProxy, nginx.port) as proxy:
        storage = FSSpecStorage(fs=f"{proxy.url}/{name}")
        proxy.cut_after(1_000_000)
        assert b"".join(storage.stream("large.bin")) == DATA
        assert (proxy.cuts(), len(proxy.requests())) == (1, 2)


# paramiko's thread that asks ahead says that the connection is gone, too
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("place", ["sftp (OpenSSH)", "sftp by paramiko (OpenSSH)"])
def test_a_stream_goes_on_after_a_lost_ssh_connection(place: str) -> None:
    (backend,) = backends_named(place)
    options = backend.options(folder())
    name = FSSpecStorage(**options).save("large.bin", ContentFile(DATA))
    with started(servers.CountingProxy, server(servers.OpenSSH).port) as proxy:
        by_proxy = {**options["fs_options"], "port": proxy.port, "known_hosts": None}
        stream = iter(FSSpecStorage(**{**options, "fs_options": by_proxy}).stream(name))
        first = next(stream)
        proxy.set_down(True)
        proxy.set_down(False)
        assert first + b"".join(stream) == DATA
        assert proxy.connections().accepted == 2
