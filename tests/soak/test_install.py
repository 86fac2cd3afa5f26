"""Each extra resolves in a clean environment, by an old pip too, and the sdist's tests run."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import time
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
#: of 2023; later ones give up sooner where releases do not agree
OLD_PIP = "23.2.1"
#: seconds; minutes of these are downloads on a slow line
LIMIT = 300

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * LIMIT)]

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def run(*command: str | Path, cwd: Path = ROOT, limit: int = LIMIT) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        timeout=limit,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an empty environment with an old pip."""
    place = tmp_path_factory.mktemp("clean")
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    try:
        run(python, "-m", "pip", "install", "--quiet", f"pip=={OLD_PIP}")
    except AssertionError as error:
        pytest.fail(f"No package index answers, and this test needs one: {error}")
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.parametrize("extras", [*EXTRAS, "s3,testing"])
def test_extras_resolve(clean: Path, wheel: Path, extras: str) -> None:
    began = time.monotonic()
    said = run(clean, "-m", "pip", "install", "--dry-run", f"{wheel}[{extras}]")
    print(f"{extras:15} {time.monotonic() - began:5.1f} s")
    assert "Would install" in said
    assert "does not provide the extra" not in said


def test_tests_of_the_sdist_run(tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    part = ["tests/core", "tests/test_architecture.py", "tests/validators"]
    said = run(sys.executable, "-m", "pytest", "-q", "-n", "0", *part, cwd=unpacked)
    assert " passed" in said
    assert " failed" not in said
