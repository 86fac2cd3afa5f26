"""Random steps on rows with files: what rows hold is there, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests import servers
from tests.helpers.backends import _s3, folder
from tests.helpers.twin_aliases import by_localhost

from .property_machine import RowMachine

DATABASES = pytest.mark.django_db(transaction=True, databases=["default", "other"])
#: PROPERTY_SEED=… draws the same long runs again
SEED = int(os.environ.get("PROPERTY_SEED") or int.from_bytes(os.urandom(4), "big"))


class InMemory(RowMachine):
    """Rows with files in memory."""

    @staticmethod
    def options() -> dict[str, Any]:
        return {"fs": "memory", "prefix": folder()}

    @staticmethod
    def twin(options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "timeout": 5}


class OnS3(RowMachine):
    """Rows with files on a real S3 server."""

    @staticmethod
    def options() -> dict[str, Any]:
        return _s3(servers.SeaweedS3)(folder())

    @staticmethod
    def twin(options: dict[str, Any]) -> dict[str, Any]:
        return by_localhost(options)


def run(machine: type[RowMachine], *, runs: int, steps: int, **options: Any) -> None:
    """Run a machine; a failure prints the shortest steps that lead to it."""
    machine.counts.clear()
    options = {
        "max_examples": runs,
        "stateful_step_count": steps,
        "database": None,
        "deadline": None,
        "print_blob": False,
        "suppress_health_check": list(HealthCheck),
        **options,
    }
    run_state_machine_as_test(machine, settings=settings(**options))


def soak(machine: type[RowMachine], variable: str, runs: int) -> None:
    """Run a machine for long, from another seed each time, and print how far it came."""
    runs = int(os.environ.get(variable, runs))
    print(f"\nproperty | {machine.__name__} | PROPERTY_SEED={SEED}")
    violations = 1
    try:
        run(seed(SEED)(machine), runs=runs, steps=60)
        violations = 0
    finally:
        counts = machine.counts
        print(f"  {counts['runs']} runs, {counts['steps']} steps, {violations} violations")


@pytest.mark.slow
@DATABASES
def test_rows_and_objects_agree_in_memory() -> None:
    run(InMemory, runs=25, steps=20, derandomize=True)


@pytest.mark.slow
@DATABASES
@pytest.mark.once
@pytest.mark.twin
def test_rows_and_objects_agree_on_s3() -> None:
    run(OnS3, runs=2, steps=15, derandomize=True)


@pytest.mark.soak
@DATABASES
def test_2000_runs_in_memory() -> None:
    soak(InMemory, "PROPERTY_RUNS_IN_MEMORY", 2000)


@pytest.mark.soak
@DATABASES
def test_300_runs_on_s3() -> None:
    soak(OnS3, "PROPERTY_RUNS_ON_S3", 300)


@pytest.mark.soak
def test_300_runs_on_postgresql_and_s3() -> None:
    """Run the above in a process whose databases are PostgreSQL's."""
    test = f"{Path(__file__)}::{test_300_runs_on_s3.__name__}"
    options = ["-q", "-s", "-m", "soak", "-n", "0", "-p", "no:cacheprovider", "--timeout=7200"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, test],
        env={**os.environ, "DJANGO_FSSPEC_DATABASE": "postgresql"},
        check=True,
    )
