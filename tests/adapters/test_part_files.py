"""Part files get their names whole, alone, and leave nothing behind when that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_fsspec.adapters.part_files import (
    create_by_rename,
    create_locked,
    lock_beside,
    replace_by,
    save,
)
from django_fsspec.core.flows import direct, run


class Names:
    """A server's names, without a rename that replaces unless `replaces`."""

    def __init__(self, *paths: str, replaces: bool = False) -> None:
        self.files = {path: path for path in paths}
        self.replaces = replaces
        self.calls: list[str] = []
        #: names of calls that fail
        self.failing: dict[str, Exception] = {}

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call in self.failing:
            raise self.failing.pop(call)

    def refused(self, error: Exception) -> bool:
        return isinstance(error, PermissionError)

    def exists(self, path: str) -> bool:
        self._note("exists")
        return path in self.files

    def lock(self, path: str) -> None:
        self._note("lock")
        if path in self.files:
            raise PermissionError
        self.files[path] = "lock"

    def unlock(self, path: str) -> None:
        self._note("unlock")
        self.files.pop(path, None)

    def rename(self, source: str, target: str) -> None:
        self._note("rename")
        if target in self.files or source not in self.files:
            raise PermissionError
        self.files[target] = self.files.pop(source)

    def replace(self, source: str, target: str) -> bool:
        self._note("replace")
        if self.replaces:
            self.files[target] = self.files.pop(source)
        return self.replaces

    def remove(self, path: str) -> None:
        self._note("remove")
        del self.files[path]


@pytest.mark.parametrize("replaces", [True, False])
@pytest.mark.parametrize("create", [create_locked, create_by_rename])
def test_create(create: Callable[..., Any], replaces: bool) -> None:
    names = Names("a/part", replaces=replaces)
    run(create(names, "a/part", "a/file"), direct)
    assert names.files == {"a/file": "a/part"}


@pytest.mark.parametrize("create", [create_locked, create_by_rename])
def test_create_refuses_a_name_that_is_taken(create: Callable[..., Any]) -> None:
    names = Names("a/part", "a/file")
    with pytest.raises(FileExistsError):
        run(create(names, "a/part", "a/file"), direct)
    assert names.files == {"a/part": "a/part", "a/file": "a/file"}


def test_create_refuses_while_another_writer_has_the_lock() -> None:
    names = Names("a/part", lock_beside("a/file"))
    with pytest.raises(FileExistsError):
        run(create_locked(names, "a/part", "a/file"), direct)
    assert set(names.files) == {"a/part", lock_beside("a/file")}


@pytest.mark.parametrize("create", [create_locked, create_by_rename])
@pytest.mark.parametrize("error", [PermissionError, ConnectionError])
def test_other_errors_of_create_pass(create: Callable[..., Any], error: type[OSError]) -> None:
    names = Names("a/part")
    names.failing = {"lock": error(), "rename": error()}
    with pytest.raises(error):
        run(create(names, "a/part", "a/file"), direct)
    assert names.files == {"a/part": "a/part"}
    # a lost connection is asked nothing more
    assert ("exists" in names.calls) is (error is PermissionError)


def test_create_never_replaces_what_another_program_created_meanwhile() -> None:
    names = Names("a/part", replaces=True)
    rename = names.rename

    def created_meanwhile(source: str, target: str) -> None:
        names.files["a/file"] = "foreign"
        rename(source, target)

    names.rename = created_meanwhile  # type: ignore[method-assign]
    with pytest.raises(PermissionError):
        run(create_locked(names, "a/part", "a/file"), direct)
    assert names.files == {"a/part": "a/part", "a/file": "foreign"}


def test_replacing_a_file_that_is_deleted_meanwhile() -> None:
    names = Names("a/part", "a/file")
    rename = names.rename

    def deleted_meanwhile(source: str, target: str) -> None:
        if source == "a/file":
            del names.files["a/file"]
            raise PermissionError
        rename(source, target)

    names.rename = deleted_meanwhile  # type: ignore[method-assign]
    run(replace_by(names, "a/part", "a/file"), direct)
    assert names.files == {"a/file": "a/part"}


def test_the_lock_goes_when_the_rename_fails() -> None:
    names = Names("a/part")
    names.failing = {"rename": ConnectionError()}
    with pytest.raises(ConnectionError):
        run(create_locked(names, "a/part", "a/file"), direct)
    assert names.calls[-1] == "unlock"
    assert names.files == {"a/part": "a/part"}


@pytest.mark.parametrize("replaces", [True, False])
def test_replace(replaces: bool) -> None:
    names = Names("a/part", "a/file", replaces=replaces)
    run(replace_by(names, "a/part", "a/file"), direct)
    assert names.files == {"a/file": "a/part"}


def test_the_old_file_comes_back_when_the_new_one_can_not_take_its_place() -> None:
    names = Names("a/part", "a/file")
    rename = names.rename

    def broken_rename(source: str, target: str) -> None:
        if source == "a/part":
            raise ConnectionError
        rename(source, target)

    names.rename = broken_rename  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        run(replace_by(names, "a/part", "a/file"), direct)
    assert names.files == {"a/part": "a/part", "a/file": "a/file"}


@pytest.mark.parametrize("failing", ["fill", "give_name"])
def test_a_part_file_is_discarded_when_saving_fails(failing: str) -> None:
    discarded = []

    def fill(partial: str) -> str:
        if failing == "fill":
            raise KeyError
        return partial

    def give_name(partial: str, path: str) -> None:
        raise KeyError

    def discard(partial: str, error: BaseException) -> None:
        assert isinstance(error, KeyError)
        discarded.append(partial)

    with pytest.raises(KeyError):
        run(save("a/file", fill, give_name, discard), direct)
    assert discarded[0].startswith("a/.")


def test_save_returns_what_filling_returned() -> None:
    filled = run(
        save("a/file", lambda partial: 7, lambda partial, path: None, lambda *_: None), direct
    )
    assert filled == 7
