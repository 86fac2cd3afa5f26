"""Concurrent reads on one event loop at 50 ms round trip: `python -m benchmarks.overlap`."""

from __future__ import annotations

import argparse

import django
from django.conf import settings

from benchmarks.table import print_table
from tests import servers
from tests.soak import overlap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    settings.configure(USE_TZ=True)
    django.setup()
    rows = []
    with (
        servers.SeaweedS3() as s3,
        servers.CountingProxy(s3.port, latency=overlap.LATENCY) as proxy,
    ):
        for reads in (1, 10, 100):
            seen = [overlap.measure(s3, proxy, reads) for _ in range(options.rounds)]
            best = min(seen, key=lambda one: one.seconds)
            serial = reads * overlap.LATENCY
            rows.append(
                [
                    f"{reads} x 100 kB",
                    f"{best.seconds:.2f}",
                    f"{serial:.2f}",
                    best.threads,
                ]
            )
    head = ["aget_content at 50 ms", "s", "one by one, s", "threads more"]
    print_table(head, rows, markdown=options.markdown)
    print(f"\nTarget: 100 reads in less than 1 s. Best of {options.rounds}.")


if __name__ == "__main__":
    main()
