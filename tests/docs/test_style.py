"""Wordings that readers did not understand stay out of documents, messages and docstrings."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
RIDDLES = [
    "as they lie there",
    "the storage that one chose, past the site",
    "left out with a word",
    "What is known of the stored files",
    "kept from your last try",
    "could not be taken over",
    "JSON that is no file spoils",
    "the callback being freed",
    "may be an old story",
    "rows an update",
    "Small PUTs to S3 after botocore's example",
    "settled when it is committed",
    "nothing is read twice by half",
    "which no row holds, nor is about to",
    "by the million, on disk rather than in memory",
    "for which one piece is taken ahead",
    "lets go of it a moment after",
]


def test_no_riddle_comes_back() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("django_fsspec/**/*.py")]
    assert len(pages) > 200
    found = [
        (str(page.relative_to(ROOT)), riddle)
        for page in pages
        for text in [" ".join(page.read_text().split())]
        for riddle in RIDDLES
        if riddle in text
    ]
    assert found == []


def test_each_release_says_how_to_upgrade() -> None:
    releases = (ROOT / "CHANGELOG.md").read_text().split("\n## [")[1:]
    assert [text[:20] for text in releases if "\n### Upgrade\n" not in text] == []
