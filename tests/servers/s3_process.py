"""moto on a machine with another clock: the port, and by how many seconds it is ahead."""

from __future__ import annotations

import datetime
import sys

import moto.s3.models
from moto.server import main as serve

from .ports import HOST


def main() -> None:
    port, seconds = sys.argv[1], int(sys.argv[2])
    now = moto.s3.models.utcnow  # type: ignore[attr-defined]
    moto.s3.models.utcnow = lambda: now() + datetime.timedelta(seconds=seconds)  # type: ignore[attr-defined]
    serve(["-H", HOST, "-p", port])


if __name__ == "__main__":
    main()
