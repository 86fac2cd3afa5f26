"""Part files get their names whole, alone, and leave nothing behind when that fails."""

from __future__ import annotations

import pytest

from django_fsspec.adapters.part_files import (
    Leftovers,
    clean_up,
    give_name,
    lock_beside,
    save,
    warn_of_leftovers,
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

    def refused(self, error: BaseException) -> bool:
        return isinstance(error, PermissionError)

    def usable(self, error: BaseException) -> bool:
        return isinstance(error, PermissionError | FileExistsError)

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
        if path not in self.files:
            raise PermissionError
        del self.files[path]


def create(names: Names, *, refuses: bool = False, left: Leftovers | None = None) -> None:
    flow = give_name(
        names, "a/part", "a/file", left or Leftovers(), exclusive=True, refuses=refuses
    )
    run(flow, direct)


def replace(names: Names, left: Leftovers | None = None) -> None:
    flow = give_name(
        names, "a/part", "a/file", left or Leftovers(), exclusive=False, refuses=False
    )
    run(flow, direct)


refusing = pytest.mark.parametrize("refuses", [False, True], ids=["lock", "rename refuses"])


@refusing
@pytest.mark.parametrize("replaces", [True, False])
def test_create(refuses: bool, replaces: bool) -> None:
    names = Names("a/part", replaces=replaces)
    create(names, refuses=refuses)
    assert names.files == {"a/file": "a/part"}


@refusing
def test_create_refuses_a_name_that_is_taken(refuses: bool) -> None:
    names = Names("a/part", "a/file")
    with pytest.raises(FileExistsError):
        create(names, refuses=refuses)
    assert names.files == {"a/part": "a/part", "a/file": "a/file"}


def test_create_refuses_while_another_writer_has_the_lock() -> None:
    names = Names("a/part", lock_beside("a/file"))
    left = Leftovers()
    with pytest.raises(FileExistsError):
        create(names, left=left)
    assert set(names.files) == {"a/part", lock_beside("a/file")}
    assert not left.pending


@pytest.mark.parametrize("other", ["a/FILE", "a/\u00e9", "a/E\u0301"])
def test_names_that_a_server_may_take_for_one_have_one_lock(other: str) -> None:
    alike = "a/file" if other == "a/FILE" else "a/e\u0301"
    assert lock_beside(other) == lock_beside(alike)
    assert lock_beside(other) != lock_beside("a/other")


@refusing
@pytest.mark.parametrize("error", [PermissionError, ConnectionError])
def test_other_errors_of_create_pass(refuses: bool, error: type[OSError]) -> None:
    names = Names("a/part")
    names.failing = {"lock": error(), "rename": error()}
    with pytest.raises(error):
        create(names, refuses=refuses)
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
        create(names)
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
    replace(names)
    assert names.files == {"a/file": "a/part"}


def test_the_lock_goes_when_the_rename_is_refused() -> None:
    names = Names("a/part")
    names.failing = {"rename": PermissionError()}
    left = Leftovers()
    with pytest.raises(PermissionError):
        create(names, left=left)
    assert names.calls[-1] == "unlock"
    assert names.files == {"a/part": "a/part"}
    assert not left.pending


@pytest.mark.parametrize("replaces", [True, False])
def test_replace(replaces: bool) -> None:
    names = Names("a/part", "a/file", replaces=replaces)
    replace(names)
    assert names.files == {"a/file": "a/part"}


@pytest.mark.parametrize("error", [PermissionError, ConnectionError])
def test_the_old_file_comes_back_when_the_new_one_can_not_take_its_place(
    error: type[OSError],
) -> None:
    names = Names("a/part", "a/file")
    rename = names.rename

    def broken_rename(source: str, target: str) -> None:
        if source == "a/part":
            raise error
        rename(source, target)

    names.rename = broken_rename  # type: ignore[method-assign]
    left = Leftovers()
    with pytest.raises(error):
        replace(names, left)
    assert left.pending is (error is ConnectionError)
    assert run(clean_up(names, "a/part", left), direct)
    assert names.files == {"a/file": "a/file"}


# connections that are lost


@pytest.mark.parametrize("call", ["lock", "exists", "rename", "unlock"])
def test_what_is_left_is_removed_over_another_connection(call: str) -> None:
    names = Names("a/part")
    names.failing = {call: ConnectionError("first"), "unlock": ConnectionError("second")}
    left = Leftovers()
    if call == "unlock":
        create(names, left=left)
    else:
        with pytest.raises(ConnectionError, match="first"):
            create(names, left=left)
    assert left.lock == (None if call == "lock" else lock_beside("a/file"))
    names.failing, names.calls = {}, []
    assert run(clean_up(names, "a/part", left), direct)
    # a rename that comes late must find no part file while others are kept from the name
    assert names.calls[0] == "remove"
    assert names.files == ({"a/file": "a/part"} if call == "unlock" else {})
    assert not left.pending


@pytest.mark.parametrize("done", [False, True], ids=["lost on the way", "its answer lost"])
@pytest.mark.parametrize("moved", ["a/file", "a/part"])
def test_a_replacement_that_is_cut(moved: str, done: bool) -> None:
    names = Names("a/part", "a/file")
    rename = names.rename

    def lost(source: str, target: str) -> None:
        if source != moved or done:
            rename(source, target)
        if source == moved:
            raise ConnectionError

    names.rename = lost  # type: ignore[method-assign]
    left = Leftovers()
    with pytest.raises(ConnectionError):
        replace(names, left)
    names.rename = rename  # type: ignore[method-assign]
    # a move that was lost on the way may as well be made later
    done_later = moved == "a/file" and not done
    assert run(clean_up(names, "a/part", left), direct) is not done_later
    is_new = done and moved == "a/part"
    assert names.files == {"a/file": "a/part" if is_new else "a/file"}


@pytest.mark.parametrize("seen", [True, False], ids=["while cleaning up", "later"])
def test_a_file_that_is_put_aside_late(seen: bool, caplog: pytest.LogCaptureFixture) -> None:
    names = Names("a/part", "a/file")
    late: list[tuple[str, str]] = []
    rename, exists = names.rename, names.exists

    def unanswered(source: str, target: str) -> None:
        late.append((source, target))
        raise ConnectionError

    names.rename = unanswered  # type: ignore[method-assign]
    left = Leftovers()
    with pytest.raises(ConnectionError):
        replace(names, left)
    names.rename = rename  # type: ignore[method-assign]

    def exists_then_moved(path: str) -> bool:
        there = exists(path)
        if seen and path.endswith(".fsspec-part") and late:
            rename(*late.pop())
        return there

    names.exists = exists_then_moved  # type: ignore[method-assign]
    done = run(clean_up(names, "a/part", left), direct)
    assert done is seen
    assert names.files == {"a/file": "a/file"}
    if not seen:
        assert left.aside is not None
        warn_of_leftovers("a/part", left)
        (message,) = caplog.messages
        assert "'a/file'" in message
        assert repr(left.aside[0]) in message
        assert "rename it back" in message


def test_a_replaced_file_that_is_not_moved_back_is_not_forgotten() -> None:
    names = Names("a/part", "a/.x.fsspec-part")
    names.failing = {"rename": PermissionError()}
    left = Leftovers(aside=("a/.x.fsspec-part", "a/file"))
    assert not run(clean_up(names, "a/part", left), direct)
    assert left.aside is not None


def test_a_replaced_file_that_can_not_be_removed_is_no_error() -> None:
    names = Names("a/part", "a/file")
    names.failing = {"remove": ConnectionError()}
    left = Leftovers()
    replace(names, left)
    assert left.pending
    assert run(clean_up(names, "a/part", left), direct)
    assert names.files == {"a/file": "a/part"}


def test_cleaning_up_without_a_connection() -> None:
    names = Names("a/part", lock_beside("a/file"))
    names.failing = {"remove": ConnectionError()}
    left = Leftovers(lock=lock_beside("a/file"))
    assert not run(clean_up(names, "a/part", left), direct)
    assert left.pending


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
