"""What curl sees: status, headers and body of one request."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.servers.base import find_executable


@dataclass(frozen=True)
class Answer:
    """An HTTP response; header names in lower case, the last one where there are several."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __getitem__(self, header: str) -> str:
        return self.headers.get(header.lower(), "")


def curl(
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    *,
    body: bytes | None = None,
    more: Sequence[str] = (),
) -> Answer:
    """Make a request with curl and return what came back."""
    program = find_executable("curl", "apt-get install curl")
    asked = ["--head"] if method == "HEAD" else ["--request", method]
    command = [program, "-sS", "--max-time", "30", "--http1.1", "--path-as-is", "-i", *asked]
    for name, value in (headers or {}).items():
        # curl's way of sending a header without a value
        command += ["-H", f"{name}: {value}" if value else f"{name};"]
    if body is not None:
        command += ["--data-binary", "@-"]
    done = subprocess.run(
        [*command, *more, url], input=body, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return parsed(done.stdout)


def parsed(raw: bytes) -> Answer:
    """Return what `raw` says, as curl -i prints it."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    while re.match(rb"HTTP/1\.1 1\d\d", head):
        head, _, rest = rest.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":")[::2] for line in lines[1:])
    headers = {name.lower(): value.strip() for name, value in pairs}
    return Answer(int(lines[0].split()[1]), headers, rest)
