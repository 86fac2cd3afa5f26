"""When signed URLs expire."""

from __future__ import annotations

from django_fsspec.core.expiry import expiry


def test_links_are_stable_for_a_while_and_live_nine_tenths() -> None:
    lives = {expiry(3600, now) for now in range(1_000_000, 1_000_360)}
    assert len(lives) <= 2
    assert all(3240 <= expiry(3600, now) - now <= 3600 for now in range(10**6, 10**6 + 720))
    assert expiry(1, 1000.5) == 1001
