"""easy-thumbnails, sorl-thumbnail and django-imagekit make thumbnails of a stored image."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from tests.helpers.workers import Worker
from tests.integrations.other_packages import thumbnails

pytestmark = [pytest.mark.once, pytest.mark.slow]

URL = r"/files/[^\"\]]+"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    environment = {**os.environ, "PACKAGE": "thumbnails"}
    with Worker(f"{thumbnails.__package__}.settings", environment) as worker:
        yield worker


@pytest.mark.parametrize(
    ("load", "tag", "shape"),
    [
        ("thumbnail", '{% thumbnail row.photo "10x10" %}', URL),
        ("thumbnail", '{% thumbnail row.others.0 "10x10" %}', URL),
        ("thumbnail", '{% thumbnail row.photo "10x8" as t %}[{{ t.url }} {{ t.width }}]', None),
        # the alias of a field, which is looked for by the row and its field
        ("thumbnail", "{{ row.photo|thumbnail_url:'tiny' }}", URL),
        ("thumbnail", "{% with p=row.photo|thumbnailer %}{{ p.tiny.url }}{% endwith %}", URL),
        (
            "sorl_thumbnail",
            '{% thumbnail row.photo "8x8" as t %}[{{ t.url }} {{ t.width }}]{% endthumbnail %}',
            None,
        ),
        (
            "imagekit",
            "{% thumbnail '8x8' row.photo %}",
            rf'<img width="8" height="8" src="{URL}" />',
        ),
    ],
)
def test_a_tag_renders_a_url(worker: Worker, load: str, tag: str, shape: str | None) -> None:
    first, second = worker.call(thumbnails.thumbnail_tag, load, tag)
    assert re.fullmatch(shape or rf"\[{URL} 8\]", first)
    assert re.fullmatch(shape or rf"\[{URL} 8\]", second)


@pytest.mark.parametrize("attribute", ["photo", "others"])
def test_easy_thumbnails_in_python(worker: Worker, attribute: str) -> None:
    made = worker.call(thumbnails.thumbnailer, attribute)
    assert re.fullmatch(r"prints/\w+\.png\.6x6_q85\.\w+", made["name"])
    assert (made["on"], made["size"]) == (["default"], [6, 6])


def test_easy_thumbnails_of_unsaved_content(worker: Worker) -> None:
    assert "unsaved content" in worker.call(thumbnails.unsaved)


def test_sorl_thumbnail_in_python(worker: Worker) -> None:
    made = worker.call(thumbnails.sorl)
    assert (made["on"], made["size"]) == (["default"], [6, 6])
    assert (made["left"], made["source"]) == ([], ["private"])


def test_a_spec_of_imagekit(worker: Worker) -> None:
    made = worker.call(thumbnails.imagekit)
    assert made["name"].startswith("CACHE/images/prints/photo_")
    assert (made["on"], made["size"]) == (["default"], [5, 5])
    assert re.fullmatch(URL, made["url"])


def test_an_image_that_imagekit_processes_before_it_is_stored(worker: Worker) -> None:
    made = worker.call(thumbnails.processed)
    assert made == {"name": "processed/photo.png", "on": ["default"], "size": [6, 6]}
