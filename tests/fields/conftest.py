"""Rows to find."""

from __future__ import annotations

import pytest

from tests.fields.rows import described
from tests.library.models import Paper


@pytest.fixture
def papers() -> list[Paper]:
    rows = [
        described(
            "papers/a.PNG",
            size=5_000_000_000,
            content_type="image/png",
            last_modified=1700000000.5,
            checksum="sha256:aa",
            etag="x",
            metadata={"camera": "Leica", "shot": {"iso": 400}, "tags": ["a", "b"]},
        ),
        described("papers/b.png", size=20, content_type="image/png", metadata={"camera": "Ä"}),
        described("papers/c%_.txt", size=3, content_type="text/plain", last_modified=1.0),
        described("papers/d.bin"),
        None,
    ]
    made = [Paper(title=str(n), file=file) for n, file in enumerate(rows)]
    return Paper.objects.bulk_create(made)
