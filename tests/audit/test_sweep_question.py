"""sweep_files: the question before the first deletion, on a real terminal."""

from __future__ import annotations

import os
import pty
import select
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.helpers import audit
from tests.helpers.audit import hold, put, there

pytestmark = pytest.mark.django_db(databases=["default", "other"])

default = audit.default


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The keys of a terminal that is standard input."""
    keys, terminal = pty.openpty()
    with os.fdopen(terminal, closefd=True) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield keys
    os.close(keys)


def asked(*arguments: str) -> tuple[str, str, int]:
    """Sweep; return what is printed, what is asked, and with what the command ends."""
    out, err = StringIO(), StringIO()
    options = ("--delete", "--min-age", "0", *arguments)
    status = 0
    try:
        call_command("sweep_files", *options, stdout=out, stderr=err, no_color=True)
    except CommandError as error:
        err.write(str(error))
        status = error.returncode
    return out.getvalue(), err.getvalue(), status


def press(keyboard: int, keys: bytes) -> None:
    os.write(keyboard, keys)


def unread(keyboard: int) -> bool:
    """Return whether there are keys that nobody read."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def test_the_figures_come_before_the_deletion(default: FSSpecStorage, keyboard: int) -> None:
    with override_storage("other", "clean", default={"fs": "memory", "prefix": "question"}):
        put("a.txt", "b.txt", "held.txt")
        put("c.txt", alias="other")
        hold("held.txt")
        press(keyboard, b"yes\n")
        text, question, status = asked("default", "other", "clean")
        assert question.startswith(
            "This will delete:\n"
            "  default: 2 files, 14\xa0bytes\n"
            "  other: 1 file, 7\xa0bytes\n"
            "  clean: 0 files, 0\xa0bytes\n"
            "Type 'yes' to continue, or 'no' to cancel: "
        )
        assert status == 0
        assert "deleted: 2, 14\xa0bytes" in text
        assert (there(), there("other")) == (["held.txt"], [])


def test_two_aliases_of_one_place_are_counted_once(default: FSSpecStorage, keyboard: int) -> None:
    options = {"fs": "memory", "prefix": default.options.prefix}
    with override_storage(default=options, twin={**options, "timeout": 5}):
        put("a.txt")
        press(keyboard, b"yes\n")
        text, question, _ = asked("default", "twin")
        assert "  default: 1 file, 7\xa0bytes\nType" in question
        assert text.count("a.txt") == 1


@pytest.mark.parametrize("answer", [b"no\n", b"\n", b"y\n", b"yes please\n", b"\x04"])
def test_anything_but_yes_deletes_nothing(
    default: FSSpecStorage, keyboard: int, answer: bytes
) -> None:
    put("a.txt", "b.txt")
    press(keyboard, answer)
    text, question, status = asked("default", "--missing")
    assert question.endswith("Cancelled: nothing was deleted.")
    assert status == 1
    assert "default  orphan      a.txt" in text
    assert "  deleted: 0, as you cancelled\n" in text
    assert "would delete" not in text
    assert there() == ["a.txt", "b.txt"]


@pytest.mark.parametrize("argument", ["--no-input", "--noinput"])
def test_scripts_are_not_asked(default: FSSpecStorage, keyboard: int, argument: str) -> None:
    put("a.txt")
    press(keyboard, b"no\n")
    assert asked("default", argument)[1:] == ("", 0)
    assert unread(keyboard)
    assert there() == []


def test_nothing_is_asked_where_there_is_no_terminal(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.txt")
    monkeypatch.setattr(sys, "stdin", StringIO("no\n"))
    assert asked("default")[1:] == ("", 0)
    assert there() == []


def test_nothing_is_asked_without_a_deletion(default: FSSpecStorage, keyboard: int) -> None:
    put("a.txt", "held.txt")
    hold("held.txt")
    press(keyboard, b"no\n")
    out = StringIO()
    call_command("sweep_files", "default", stdout=out)
    call_command("sweep_files", "default", "--delete", stdout=out)  # too young
    call_command("sweep_files", "default", "--delete", "--min-age=0", "--exclude=a*", stdout=out)
    assert unread(keyboard)
    assert there() == ["a.txt", "held.txt"]


def test_the_result_is_json_all_the_same(default: FSSpecStorage, keyboard: int) -> None:
    put("a.txt")
    press(keyboard, b"no\n")
    text, question, _ = asked("default", "--json")
    assert "default: 1 file," in question
    data = audit.summary(text)
    assert (data["orphans"], data["deleted"]) == (1, 0)
    press(keyboard, b"yes\n")
    assert audit.summary(asked("default", "--json")[0])["deleted"] == 1
