"""What `fs` and `fs_options` must say before a filesystem is made from them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import fsspec

from django_fsspec.adapters.base import Adapter

from .options import WORDS_FOR_PREFIX, OptionError, nearest
from .url_options import URLText, flag, number, parameter_names, typed, whole_number

#: what fsspec takes for any filesystem
_OF_FSSPEC = frozenset(
    {
        "asynchronous",
        "listings_expiry_time",
        "loop",
        "max_paths",
        "skip_instance_cache",
        "use_listings_cache",
    }
)
#: packages whose constructors say all that they take, or pass the rest where adapters know
_EXPLICIT = frozenset({"adlfs", "dropboxdrivefs", "fsspec", "gcsfs", "s3fs", "sshfs", "webdav4"})
#: the same of fsspec's own filesystems; others pass anything to a library of their own
_EXPLICIT_HERE = frozenset(
    {
        "CachingFileSystem",
        "FTPFileSystem",
        "GithubFileSystem",
        "HTTPFileSystem",
        "LocalFileSystem",
        "MemoryFileSystem",
        "SFTPFileSystem",
        "SimpleCacheFileSystem",
        "TarFileSystem",
        "WholeFileCacheFileSystem",
        "ZipFileSystem",
    }
)
#: whole numbers by options without a default that tells it
_WHOLE_NUMBERS = frozenset({"block_size", "default_block_size", "port"})

#: words of other libraries -> what they are called here, where a filesystem takes that
_MEANT: dict[str, str] = {
    **dict.fromkeys(("aws_session_token", "credentials", "key_file", "session_token"), "token"),
    **dict.fromkeys(("key_filename", "pkey", "private_key", "private_key_file"), "client_keys"),
    **dict.fromkeys(("password", "user", "username"), "auth"),
    "token": "headers",
    **dict.fromkeys(("branch", "commit", "ref", "tag"), "sha"),
    **dict.fromkeys(("file", "filename", "path"), "fo"),
}

_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def check_url(part: str, root: str, *, bucketed: bool) -> None:
    """Raise ``OptionError`` for a URL with credentials that nobody reads.

    They would become part of the names. `root` is the path that the filesystem reads in it.
    """
    protocol = part.partition("://")[0]
    if bucketed and "@" in root.partition("/")[0]:
        # the URL itself may hold a secret
        raise OptionError(
            "fs",
            f"is a URL with credentials, which are not read: write '{protocol}://bucket/folder' "
            "and set them in 'fs_options'.",
        )


def check_names(
    fs_class: type[Any], options: Mapping[str, Any], further: Collection[str] | None
) -> None:
    """Raise ``OptionError`` for a name that a filesystem's constructor does not take.

    `further` are names that it passes on, None where they are not known. Filesystems of packages
    that have no adapter are not checked.
    """
    if further is None or not _is_explicit(fs_class):
        return
    own = _parameters(fs_class)
    for name in options:
        if name not in {*own, *further, *_OF_FSSPEC}:
            if isinstance(options[name], URLText):
                hint = _hint(name, _parameters_of_url(fs_class), further)
                raise OptionError(
                    "fs",
                    f"has the parameter {name!r}, which is no option and which "
                    f"{fs_class.__name__} does not take; {hint}",
                )
            hint = _hint(name, own, further)
            raise OptionError(
                "fs_options", f"has {name!r}, which {fs_class.__name__} does not take; {hint}"
            )


def _parameters_of_url(fs_class: type[Any]) -> list[str]:
    """Return the parameters that a URL of this filesystem may have."""
    protocols = fs_class.protocol
    ours = parameter_names([protocols] if isinstance(protocols, str) else protocols)
    theirs = _signature(fs_class).items()
    texts = {name for name, each in theirs if _reader(name, each) is not _no_text}
    return sorted({*ours, *texts} - {"asynchronous", "loop"})


def typed_options(fs_class: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` with the parameters of a URL as what the constructor takes.

    Raises ``OptionError``, which tells no value, for one that is something else.
    """
    parameters = _signature(fs_class)
    return {
        name: typed(name, str(value), _reader(name, parameters.get(name)))
        if isinstance(value, URLText)
        else value
        for name, value in options.items()
    }


def _reader(name: str, parameter: inspect.Parameter | None) -> Callable[[str], Any]:
    """Return what reads the text of a parameter, by its default and its annotation."""
    if name in _WHOLE_NUMBERS:
        return whole_number
    if parameter is None:
        return _text
    if parameter.annotation is not inspect.Parameter.empty:
        types = set(re.findall(r"\w+", str(parameter.annotation)))
    else:
        types = {type(parameter.default).__name__}
    if "dict" in types or name.endswith(("kwargs", "options")):
        return _no_text
    readers = {"bool": flag, "int": whole_number, "float": number}
    return next((read for each, read in readers.items() if each in types), _text)


def _text(text: str) -> str:
    return text


def _no_text(text: str) -> Any:
    raise ValueError("a dict: write it in 'fs_options'")


def check_target(adapter: type[Adapter], layer: str, fs_class: type[Any], options: Any) -> None:
    """Raise ``OptionError`` where there is nothing for a cache or an archive to stand on."""
    name = layer or fs_class.__name__
    if adapter.chains_over == "fs":
        raise OptionError(
            "fs", f"{name!r} needs a filesystem to cache: write '{name}::s3', for example."
        )
    if "fo" in _parameters(fs_class) and not options.get("fo"):
        raise OptionError(
            "fs_options", f"must have 'fo', the path of the file that {name!r} reads."
        )


def _parameters(fs_class: type[Any]) -> list[str]:
    """Return the names that the constructors of a filesystem take, its bases' too."""
    return list(_signature(fs_class))


def _signature(fs_class: type[Any]) -> dict[str, inspect.Parameter]:
    """Return what the constructors of a filesystem take by name, its bases' too."""
    found: dict[str, inspect.Parameter] = {}
    for base in fs_class.__mro__:
        if base is fsspec.AbstractFileSystem:
            break
        if "__init__" in vars(base):
            own = inspect.signature(vars(base)["__init__"]).parameters.values()
            found = {p.name: p for p in own if p.kind not in _STARRED} | found
    return {name: parameter for name, parameter in found.items() if name != "self"}


def _is_explicit(fs_class: type[Any]) -> bool:
    """Return whether it is known what the constructor takes and passes on."""
    if fs_class.__module__.startswith("fsspec.implementations."):
        return fs_class.__name__ in _EXPLICIT_HERE
    return fs_class.__module__.partition(".")[0] in _EXPLICIT


def _hint(name: str, own: Collection[str], further: Collection[str]) -> str:
    # "access_key" is 'key', "secret_key" 'secret', "endpoint" 'endpoint_url', "user" 'username'
    valid = [*own, *further]
    if name in ("region", "region_name") and "client_kwargs" in own:
        return "write 'client_kwargs': {'region_name': …}."
    if _MEANT.get(name) in valid:
        return f"did you mean {_MEANT[name]!r}?"
    if name in WORDS_FOR_PREFIX:
        return "write it in 'prefix'."
    if misspelt := get_close_matches(name, valid, n=1, cutoff=0.85):
        return f"did you mean {misspelt[0]!r}?"
    parts = name.split("_")
    for part in parts:
        if part in own:
            return f"did you mean {part!r}?"
    longer = [word for word in valid if word.startswith((f"{name}_", f"{name}name"))]
    if longer:
        return f"did you mean {longer[0]!r}?"
    if set(further) - set(own) and not get_close_matches(name, valid, n=1, cutoff=0.5):
        return f"it takes {_listed(own)} and what its client library takes."
    return nearest(name, valid)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
