"""The filters of the admin's lists."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.library.models import Paper

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site")]


def shown(client: Client, query: str) -> list[str]:
    response = client.get(f"/admin/library/paper/?{query}")
    return sorted(row.title for row in response.context["cl"].queryset)


@pytest.mark.slow
def test_filters_find_what_they_say(admin_client: Client, papers: list[Paper]) -> None:
    every = range(100)
    assert len(shown(admin_client, "")) == 100
    assert shown(admin_client, "file-type=image/png") == [f"{n:03}" for n in every if n % 3 == 0]
    assert shown(admin_client, "file-storage=second") == [f"{n:03}" for n in every if n % 2]
    powers_of_10 = {"tiny": range(6), "small": (6,), "medium": (7,), "large": (8,), "huge": (9,)}
    for name, powers in powers_of_10.items():
        # 10^5 is less than 100 KB, 10^6 than 1 MB, and so on
        wanted = [f"{n:03}" for n in every if n % 10 in powers]
        assert shown(admin_client, f"file-size={name}") == wanted, name
    both = shown(admin_client, "file-storage=second&file-type=text/plain")
    assert both == [f"{n:03}" for n in every if n % 2 and n % 3 == 1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("file-type=none", 0),
        ("file-storage=none", 0),
        ("file-size=none", 100),
        ("file-type=' OR 1=1 --", 0),
        ("file-type=%00", 0),
    ],
)
def test_filters_given_what_is_none(
    admin_client: Client, papers: list[Paper], query: str, found: int
) -> None:
    assert len(shown(admin_client, query)) == found
