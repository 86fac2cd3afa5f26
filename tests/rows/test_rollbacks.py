"""What a rollback deletes is deleted, however long that takes and whoever ends meanwhile."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection, transaction

from django_fsspec.rows import rollbacks
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import backends_named, folder, server
from tests.helpers.proxied_backends import PLACES
from tests.helpers.utils import started
from tests.helpers.workers import ROOT

pytestmark = pytest.mark.once

STILL = "Files of a rollback are still being deleted: default:papers/"
PROGRAM = """
import django, json, sys
django.setup()
from tests.rows.test_rollbacks import roll_back
roll_back(json.loads(sys.argv[1]), int(sys.argv[2]))
"""


def roll_back(options: dict[str, Any], patience: int) -> None:
    """Store a file in a transaction that is rolled back."""
    from tests.library.models import Paper

    with connection.schema_editor() as editor:
        editor.create_model(Paper)
    override_storage(default=options).enable()
    rollbacks._PATIENCE = patience
    logging.getLogger("django_fsspec").addHandler(logging.StreamHandler())
    with contextlib.suppress(RuntimeError), transaction.atomic():
        Paper.objects.create(file=ContentFile(b"x", name="x.bin"))
        raise RuntimeError


@pytest.mark.slow
@pytest.mark.parametrize(("patience", "warnings"), [(0, 1), (60, 0)])
def test_a_process_that_ends_deletes_first_what_it_rolled_back(
    tmp_path: Path, patience: int, warnings: int
) -> None:
    (backend,) = backends_named("s3 (SeaweedFS)")
    kind, by_proxy = PLACES[backend.name]
    own = backend.options(folder())
    with started(servers.CountingProxy, server(kind).port) as proxy:
        proxy.shape(latency=0.2)
        slow = {**own, "fs_options": by_proxy(own, proxy.url)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(slow), str(patience)],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_FSSPEC_DATABASE": "sqlite",
                "DJANGO_FSSPEC_VAR": str(tmp_path),
            },
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        methods = [request.method for request in proxy.requests()]
    assert methods[0] == "PUT"
    assert FSSpecStorage(**own).listdir("papers")[1] == []
    assert done.stderr.count(STILL) == warnings, done.stderr
