"""What a release holds: the wheel and the sdist as an index checks them, and one version."""

from __future__ import annotations

import email
import itertools
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import django_fsspec
from tests.test_translations import LANGUAGES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "django_fsspec"

pytestmark = [pytest.mark.once, pytest.mark.xdist_group("packaging")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hatchling.builders.wheel import WheelBuilder

    folder = str(tmp_path_factory.mktemp("wheel"))
    (built,) = WheelBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hatchling.builders.sdist import SdistBuilder

    folder = str(tmp_path_factory.mktemp("sdist"))
    (built,) = SdistBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    return Path(built)


def run(*command: str | Path) -> str:
    """Return what a command prints; fail with it if the command does."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *map(str, command[1:])],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_index_takes_both(wheel: Path, sdist: Path) -> None:
    assert run("twine", "check", "--strict", wheel, sdist).count("PASSED") == 2


def test_a_linter_of_wheels_finds_nothing(wheel: Path) -> None:
    assert run("check-wheel-contents", wheel).endswith(": OK\n")


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert names == {str(path.relative_to(ROOT)) for path in files}
    assert {f"django_fsspec/locale/{one}/LC_MESSAGES/django.mo" for one in LANGUAGES} < names
    assert {"django_fsspec/py.typed", "django_fsspec/static/django_fsspec/upload.js"} < names


def test_the_version_stands_in_one_place(wheel: Path, sdist: Path) -> None:
    version = django_fsspec.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert wheel.name == f"django_fsspec_storage-{version}-py3-none-any.whl"
    assert sdist.name == f"django_fsspec_storage-{version}.tar.gz"
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"django_fsspec_storage-{version}.dist-info/METADATA").decode()
    assert email.message_from_string(metadata)["Version"] == version


def test_the_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    (built,) = WheelBuilder(str(folder)).build(directory=str(tmp_path), versions=["standard"])
    assert Path(built).read_bytes() == wheel.read_bytes()


def test_the_oldest_releases_are_the_lower_bounds() -> None:
    """Else no test runs on what the metadata allows: run `make pins` after a change of a bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    needed = map(Requirement, itertools.chain(project["dependencies"], *extras))
    lines = (ROOT / "requirements" / "oldest.txt").read_text().splitlines()
    pins = {pin.name: pin.specifier for pin in map(Requirement, lines[1:])}
    for requirement in needed:
        if requirement.name != project["name"]:
            (bound,) = requirement.specifier
            assert Version(bound.version) in pins[requirement.name.lower()], requirement
