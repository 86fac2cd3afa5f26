"""When signed URLs expire: rounded, so that they stay the same for a while."""

from __future__ import annotations

import time


def expiry(expires_in: int, now: float | None = None) -> int:
    """Return when a URL signed now expires, in epoch seconds.

    Rounded down by at most a tenth, so that URLs stay the same for that long and browsers can
    cache what they point at.
    """
    window = max(1, expires_in // 10)
    end = int(time.time() if now is None else now) + expires_in
    return end - end % window
