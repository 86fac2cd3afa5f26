"""FileObject: how many requests each thing takes."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.storage import storages

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import file_objects
from tests.helpers.backends import folder, server
from tests.helpers.file_objects import DATA
from tests.helpers.utils import started
from tests.soak import grounds

aliases = file_objects.aliases


@pytest.mark.slow
def test_requests() -> None:
    seaweed = server(servers.SeaweedS3)
    with started(servers.CountingProxy, seaweed.port) as proxy:
        options = grounds.s3_options(seaweed, folder(), proxy.url)
        near = grounds.s3_options(seaweed, folder(), proxy.url)
        with override_storage(counted=options, counted_near=near):
            storages["counted"].exists("warm-up")
            file = FileObject("counted", "a.txt", content=DATA)

            def count(work: Any) -> list[str]:
                proxy.reset()
                work()
                return [request.method for request in proxy.requests()]

            assert count(file.save) == ["PUT"]
            assert count(lambda: (file.size, file.content_type, file.url, file.sign())) == []
            assert count(file.read) == ["GET"]
            file.close()
            assert count(lambda: b"".join(file.chunks())) == ["GET"]
            assert count(file.get_content) == ["GET"]
            assert count(file.verify) == ["GET"]
            assert count(file.refresh) == ["HEAD"]
            assert count(file.exists) == ["HEAD"]
            assert sorted(count(lambda: file.copy_to("counted_near"))) == ["HEAD", "HEAD", "PUT"]
            assert count(file.delete) == ["DELETE"]
