"""A prefix that a callable tells at each use, such as the folder of a tenant."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar, copy_context
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage, storages
from django.utils.module_loading import import_string

from django_fsspec.core.names import check_name

from .aliases import made_storages
from .options import OptionError

T = TypeVar("T")

#: how a dotted path of a callable is written: without the parentheses it may be a bucket's name
_CALL = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\(\)", re.ASCII)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", re.ASCII)


#: why a command leaves the files of rows alone that no condition selects
ROWS_OF_ALL_TENANTS = (
    "is a callable, so the files of all rows would be looked for in the folder of one tenant: "
    "select its rows, such as --filter tenant=1. Where tables hold rows of one tenant, "
    "--filter pk__isnull=False selects all."
)


class _NoPrefix(str):
    """Why no prefix was told, in place of the prefix."""

    __slots__ = ()


#: what prefixes are meanwhile, for work that goes on elsewhere
Pins: TypeAlias = "Mapping[PrefixCallable, str]"
_pins: ContextVar[Pins] = ContextVar("django_fsspec_prefixes", default=MappingProxyType({}))


class PrefixCallable:
    """The callable of an option `prefix`; calling this returns the checked prefix of now.

    Raises ``OptionError`` where that is no name of one folder, and for what the callable raises.
    Equal to those of the same callable: a pin must hold for any storage that is made of an alias.
    """

    def __init__(self, source: Callable[[], Any] | str) -> None:
        self._source = source

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrefixCallable) and self._source == other._source

    def __hash__(self) -> int:
        try:
            return hash(self._source)
        except TypeError:  # an instance of a class that has __eq__() only
            return hash(type(self._source))

    @classmethod
    def of(cls, prefix: Any) -> PrefixCallable | None:
        """Return the callable that an option `prefix` is or names; None for a plain prefix."""
        if callable(prefix):
            return cls(prefix)
        if isinstance(prefix, str) and _CALL.fullmatch(prefix):
            return cls(prefix.removesuffix("()"))
        return None

    def __call__(self) -> str:
        """Return the prefix of now."""
        pinned = _pins.get().get(self)
        if isinstance(pinned, _NoPrefix):
            raise OptionError("prefix", str(pinned))
        return self._checked() if pinned is None else pinned

    def _checked(self) -> str:
        tell = self._function()
        try:
            prefix = tell()
        except Exception as error:
            raise OptionError(
                "prefix",
                f"is {self._shown}, which raised {type(error).__name__}: {error} - it must return "
                "the folder of the tenant, also where there is no request.",
            ) from error
        if problem := _problem(prefix):
            raise OptionError("prefix", f"is {self._shown}, which returned {prefix!r}: {problem}.")
        return str(prefix)

    def _function(self) -> Callable[[], Any]:
        if not isinstance(self._source, str):
            return self._source
        try:
            found: Callable[[], Any] = import_string(self._source)
        except ImportError as error:
            raise OptionError("prefix", f"{self._shown} can't be imported: {error}") from error
        return found

    @property
    def _shown(self) -> str:
        if isinstance(self._source, str):
            return repr(f"{self._source}()")
        return str(getattr(self._source, "__qualname__", type(self._source).__qualname__))

    def check(self) -> None:
        """Raise ``OptionError`` for what can't be called without an argument; calls nothing."""
        function = self._function()
        if not callable(function):
            raise OptionError("prefix", f"{self._shown} is a {type(function).__name__}.")
        if inspect.iscoroutinefunction(function):
            raise OptionError("prefix", f"{self._shown} is async: write a plain function.")
        takes = None
        with contextlib.suppress(ValueError):  # a built-in function may have no signature
            takes = inspect.signature(function)
        try:
            if takes is not None:
                takes.bind()
        except TypeError as error:
            raise OptionError(
                "prefix", f"{self._shown} must take no argument: {error}."
            ) from error


def check_plain(prefix: str) -> None:
    """Raise ``OptionError`` for the path of a callable that would be a folder by this name."""
    if _DOTTED.fullmatch(prefix):
        found = None
        with contextlib.suppress(Exception):  # whatever a module of that name does
            found = import_string(prefix)
        if callable(found):
            raise OptionError(
                "prefix",
                f"{prefix!r} is the path of a callable: write '{prefix}()' to have it called.",
            )


def _problem(prefix: Any) -> str:
    """Return what is wrong with a prefix that was told, or ""."""
    if not isinstance(prefix, str) or not prefix:
        return "it must be the name of a folder; files of all tenants would be in one"
    try:
        check_name(prefix)
    except SuspiciousFileOperation as error:
        return str(error).rstrip(".")
    if "/" in prefix or "\\" in prefix:
        # else the folder of one tenant could lie in that of another
        return "it must be the name of one folder; write what is before it into 'fs'"
    return ""


def pins_of(aliases: Iterable[str]) -> Pins:
    """Return what the prefixes of aliases are now. Never raises.

    What is not told now stays an error where it is pinned: another tenant may be served there.
    """
    pins: dict[PrefixCallable, str] = {}
    for alias in aliases:
        prefix_callables: tuple[PrefixCallable, ...] = ()
        with contextlib.suppress(Exception):  # told when the storage is used
            prefix_callables = getattr(storages[alias], "prefix_callables", ())
        for told in prefix_callables:
            try:
                pins[told] = told()
            except OptionError as error:
                pins[told] = _NoPrefix(error)
    return pins


def pinned_storage(storage: Storage) -> Storage:
    """Return a storage under the prefix of now, where a callable tells it; else the same.

    Raises ``ImproperlyConfigured`` where that tells none.
    """
    if hasattr(type(storage), "prefix_callables") and storage.prefix_callables:  # type: ignore[attr-defined]
        pinned: Storage = storage.pinned()  # type: ignore[attr-defined]
        return pinned
    return storage


def is_pinned(storage: Storage) -> bool:
    """Return whether a storage is that of one tenant, which its alias does not tell."""
    # asked of the class: a storage of another package may answer to any name
    return hasattr(type(storage), "is_pinned") and bool(getattr(storage, "is_pinned"))  # noqa: B009


def all_pins() -> Pins:
    """Return what all prefixes are now that callables tell.

    Makes the storages of this package that nobody has used yet, without I/O: a URL or a subclass
    may have the callable, so that OPTIONS do not show it.
    """
    return pins_of(
        alias for alias, config in settings.STORAGES.items() if _may_have_callable(alias, config)
    )


def _may_have_callable(alias: str, config: Mapping[str, Any]) -> bool:
    made = made_storages().get(alias)
    if made is not None:
        return hasattr(type(made), "prefix_callables")
    return _class_has_callables(str(config.get("BACKEND")))


@functools.cache
def _class_has_callables(path: str) -> bool:
    with contextlib.suppress(ImportError):
        return hasattr(import_string(path), "prefix_callables")
    return False


@contextlib.contextmanager
def pinned(pins: Pins) -> Iterator[None]:
    """Have prefixes stay as they are, in threads and tasks that are started in here too."""
    token = _pins.set({**_pins.get(), **pins})
    try:
        yield
    finally:
        _pins.reset(token)


def iterate_pinned(pins: Pins, items: Iterator[T]) -> Iterator[T]:
    """Yield `items`, which are made with the context of now, whoever asks for them."""
    context = copy_context()
    context.run(pin, pins)
    end: Any = object()
    while (item := context.run(next, items, end)) is not end:
        yield item


def pin(pins: Pins) -> None:
    """Have prefixes stay as they are in the rest of this task or thread."""
    _pins.set({**_pins.get(), **pins})


def tenant_digest(alias: str) -> str:
    """Return a digest of what the prefixes of an alias are now; "" where no callable tells one.

    Tokens hold it, so that those of one tenant are of no use to another. Raises
    ``ImproperlyConfigured`` where a callable tells no prefix.
    """
    if alias not in storages.backends:
        return ""
    return _digest(getattr(storages[alias], "current_prefixes", ()))


def tenant_digest_of_all() -> str:
    """Return a digest of what the prefixes of all aliases are now, for a token of no alias yet.

    That none is told is a part of it: a form for a plain storage may stand where there is none.
    """
    return _digest(["" if isinstance(told, _NoPrefix) else told for told in all_pins().values()])


def _digest(prefixes: Sequence[str]) -> str:
    return hashlib.sha256("/".join(prefixes).encode()).hexdigest()[:16] if prefixes else ""
