"""migrate_files' task: where it can be defined, and what that needs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import override_settings

from django_fsspec.transfer import tasks
from tests.helpers import transfer_tasks
from tests.helpers.transfer_tasks import DUMMY, IMMEDIATE, PACKAGE, enqueue, with_database

memory = transfer_tasks.memory


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"default": IMMEDIATE}, ("default", "default")),
        ({"default": {**IMMEDIATE, "QUEUES": ["mail", "files"]}}, ("default", "files")),
        ({"other": DUMMY}, ("other", "default")),
    ],
    ids=["usual", "no queue of that name", "no backend of that name"],
)
def test_the_task_can_be_defined_anywhere(
    given: dict[str, Any], expected: tuple[str, str]
) -> None:
    with override_settings(TASKS=given):
        assert tasks._default_destination() == expected


@pytest.mark.slow
def test_tasks_are_not_imported_unless_used() -> None:
    code = (
        "import sys, django; django.setup(); import django_fsspec\n"
        "from django.core.management import load_command_class\n"
        "load_command_class('django_fsspec', 'migrate_files')\n"
        "assert 'django_tasks' not in sys.modules\n"
        "assert 'django_fsspec.transfer.tasks' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@with_database
def test_without_the_package_the_extra_is_named(
    memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_fsspec import transfer

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, PACKAGE, None)
        patch.delitem(sys.modules, "django_fsspec.transfer.tasks")
        patch.delattr(transfer, "tasks")
        with pytest.raises(CommandError, match=r"django-fsspec-storage\[tasks\]") as refused:
            enqueue("library.Paper")
    assert refused.value.returncode == 2
