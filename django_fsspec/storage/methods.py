"""Methods of storages as steps of a flow: called as they are, or by their async twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_fsspec.core.flows import Call, Flow, in_thread

from .fsspec_storage import FSSpecStorage
from .open_files import StoredFile


class Method:
    """A method of a storage or an open file, and its twin where it has one."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return getattr(self._owner, self._name)(*args, **kwargs)

    @property
    def twin(self) -> Callable[..., Any] | None:
        """The method's async twin; None for one that is not ours."""
        ours = isinstance(self._owner, FSSpecStorage | StoredFile)
        return getattr(self._owner, f"a{self._name}", None) if ours else None


def ask(owner: Any, name: str, *args: Any, **kwargs: Any) -> Flow[Any]:
    """Ask the driver for one method of a storage or an open file, in a flow."""
    return (yield Call(Method(owner, name), args, kwargs))


def perform(step: Call) -> Any:
    """Do `step` for a sync caller."""
    return step.function(*step.args, **step.kwargs)


async def aperform(step: Call) -> Any:
    """Do `step` by the twin of its method where it has one, else in a thread."""
    twin = getattr(step.function, "twin", None)
    if twin is not None:
        return await twin(*step.args, **step.kwargs)
    return await in_thread(step.function, *step.args, **step.kwargs)
