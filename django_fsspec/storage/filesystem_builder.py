"""``FilesystemBuilder``: makes a filesystem of a protocol, URL, chain, callable or instance."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import fsspec
from django.utils.module_loading import import_string
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.registry import known_implementations

from django_fsspec.adapters import adapter_class, protocols_of
from django_fsspec.adapters.base import Adapter, Limits
from django_fsspec.adapters.pool import Pool

from .filesystem_options import check_names, check_target, check_url, typed_options
from .mounts import Mount
from .options import OptionError, StorageOptions, nearest
from .url_options import chain_parts

# gcsfs probes for hierarchical buckets otherwise: up to 60 s an operation on an emulator
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

#: protocols whose fs_options may name what they stand on, in fsspec's own form
_TARGET_KEYS = ("target_protocol", "target_options")
#: protocol -> extra of our distribution
_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("abfs", "az", "abfss"), "azure"),
    **dict.fromkeys(("sftp", "ssh"), "sftp"),
    **dict.fromkeys(("webdav", "dav"), "webdav"),
    **dict.fromkeys(("http", "https"), "http"),
    "dropbox": "dropbox",
    "github": "github",
}


def protocol_class(protocol: str) -> type[Any]:
    """Return fsspec's class for `protocol`; raise ``OptionError`` that says what to install."""
    try:
        fs_class: type[Any] = fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise OptionError("fs", f"{protocol!r} {_missing_package(protocol)} ({error})") from error
    except ValueError as error:
        hint = nearest(protocol, fsspec.available_protocols())
        raise OptionError("fs", f"{protocol!r} is not a protocol fsspec knows; {hint}") from error
    except AttributeError as error:
        # its package has dropped it, and says since when
        raise OptionError("fs", f"{protocol!r} can't be used: {error}") from error
    return fs_class


def _missing_package(protocol: str) -> str:
    extra = _EXTRAS.get(protocol)
    if extra:
        return f"needs a package: pip install 'django-fsspec-storage[{extra}]'."
    return "needs a package: " + str(known_implementations.get(protocol, {}).get("err", ""))


class _Recipe:
    """A ready instance, and how to make more like it.

    A forked child can't use that instance; where instances serve one thread at a time
    (`clonable`), only the first taker gets it.
    """

    def __init__(self, fs: Any, *, clonable: bool) -> None:
        self._fs, self._clonable = fs, clonable
        self._pid, self._taken = os.getpid(), False

    def __call__(self) -> Any:
        fs = self._fs
        if self._pid == os.getpid() and not (self._clonable and self._taken):
            self._taken = True
            return fs
        return type(fs)(*fs.storage_args, **fs.storage_options, skip_instance_cache=True)


@dataclass(frozen=True, repr=False)
class _Layer:
    # without a repr: options hold secrets
    path: str
    fs_class: type[Any]
    options: dict[str, Any]
    protocol: str = ""


class FilesystemBuilder:
    """Builds the filesystem of one set of options."""

    def __init__(self, options: StorageOptions) -> None:
        self.options = options

    def build(self) -> Mount:
        """Return the filesystem. Raises ``OptionError``; makes no request."""
        fs = self.options.fs
        if isinstance(fs, str) and _is_dotted(fs):
            try:
                fs = import_string(fs)
            except ImportError as error:
                raise OptionError(
                    "fs", f"{self.options.fs!r} can't be imported: {error}"
                ) from error
        if isinstance(fs, str):
            return self._chain(self._layers(fs))
        if isinstance(fs, type) and hasattr(fs, "_strip_protocol"):
            return self._chain(_unfolded(_Layer("", fs, dict(self.options.fs_options))))
        if callable(fs) and not isinstance(fs, fsspec.AbstractFileSystem):
            return self._instance(self._called(fs))
        if hasattr(type(fs), "_strip_protocol"):
            return self._instance(fs)
        raise OptionError(
            "fs",
            f"must be a protocol, a URL, a chain, a dotted path, a callable or a filesystem, "
            f"not {type(fs).__name__}.",
        )

    def _called(self, factory: Callable[..., Any]) -> Any:
        fs = factory(**self.options.fs_options)
        if not hasattr(type(fs), "_strip_protocol"):
            raise OptionError(
                "fs", f"the callable must return a fsspec filesystem, not {type(fs).__name__}."
            )
        return fs

    def _instance(self, fs: Any) -> Mount:
        if isinstance(fs, DirFileSystem):
            return _narrowed(self._instance(fs.fs), str(fs.path))
        fs_class = type(fs)
        adapter = adapter_class(fs_class)
        build = _Recipe(fs, clonable=adapter.clonable)
        inner = self._instance(fs.fs) if adapter.chains_over == "fs" else None
        pool = Pool(partial(self._tuned, adapter, build), shared=not adapter.clonable)
        root = inner.root if inner is not None else ""
        return Mount(
            adapter=adapter, pool=pool, root=root, inner=inner, protocols=protocols_of(fs_class)
        )

    def _layers(self, spec: str) -> list[_Layer]:
        """Return what a protocol, URL or chain consists of, the outermost first."""
        options = dict(self.options.fs_options)
        parts = chain_parts(spec)
        if len(parts) == 1:
            return _unfolded(self._layer(parts[0], options))
        layers = []
        protocols = [part.partition("://")[0] for part in parts]
        for part, protocol in zip(parts, protocols, strict=True):
            own = options.pop(protocol, {})
            if not isinstance(own, Mapping):
                raise OptionError(
                    "fs_options", f"of a chain holds a dict a protocol: {{{protocol!r}: {{…}}}}."
                )
            layers.append(self._layer(part, dict(own)))
        if options:
            raise OptionError(
                "fs_options",
                f"of the chain {spec!r} has {sorted(options)}; write one dict for each protocol: "
                f"{{{', '.join(f'{name!r}: {{…}}' for name in protocols)}}}.",
            )
        return layers

    def _layer(self, part: str, options: dict[str, Any]) -> _Layer:
        protocol = part.partition("://")[0]
        fs_class = protocol_class(protocol)
        if "://" not in part:
            return _Layer("", fs_class, options, protocol)
        if fs_class is DirFileSystem:
            return _Layer(part.partition("://")[2], fs_class, options)
        adapter, address = adapter_class(fs_class), None
        with contextlib.suppress(ValueError):  # its message tells parts of the URL
            address = fs_class._get_kwargs_from_urls(part), fs_class._strip_protocol(part)
        if address is None:
            raise OptionError(
                "fs", "has a host or port that can't be read: write 'host:22' or '[::1]:22'."
            )
        from_url, root = address[0], adapter.root_of_url(address[1])
        check_url(part, root, bucketed=adapter.dialect.bucketed)
        return _Layer(root, fs_class, {**from_url, **options}, protocol)

    def _chain(self, layers: list[_Layer]) -> Mount:
        layer, rest = layers[0], layers[1:]
        inner = self._chain(rest) if rest else None
        fs_class = layer.fs_class
        if fs_class is DirFileSystem:
            return self._directory(layer, inner)
        adapter = adapter_class(fs_class)
        check_names(fs_class, layer.options, adapter.further_options())
        if inner is None:
            check_target(adapter, layer.protocol, fs_class, layer.options)
        layer = replace(layer, options=typed_options(fs_class, layer.options))
        options = self._tuned_options(adapter, layer)
        fs_class = adapter.filesystem_class(fs_class, options)
        build: Callable[[], Any] = partial(self._construct, fs_class, options)
        root = layer.path
        if inner is not None and adapter.chains_over == "fs":
            build = partial(self._over_filesystem, fs_class, options, inner)
            root = layer.path or inner.root
        elif inner is not None:
            build = partial(self._over_file, fs_class, options, inner)
        pool = Pool(partial(self._tuned, adapter, build), shared=adapter.thread_safe)
        return Mount(
            adapter=adapter, pool=pool, root=root, inner=inner, protocols=protocols_of(fs_class)
        )

    def _tuned_options(self, adapter: type[Adapter], layer: _Layer) -> dict[str, Any]:
        bounds = self.options
        try:
            return adapter.tune(
                dict(layer.options), timeout=bounds.timeout, retries=bounds.retries
            )
        except ValueError as error:
            raise OptionError("fs_options", f"of {layer.fs_class.__name__}: {error}") from error

    def _directory(self, layer: _Layer, inner: Mount | None) -> Mount:
        if inner is None and not layer.options:
            raise OptionError(
                "fs", "'dir' needs a filesystem: write 'dir::s3://bucket/folder', for example."
            )
        if inner is None:
            return self._instance(self._construct(DirFileSystem, dict(layer.options)))
        return _narrowed(inner, layer.path or str(layer.options.get("path", "")))

    def _over_filesystem(self, fs_class: type[Any], options: dict[str, Any], inner: Mount) -> Any:
        return self._construct(fs_class, {**options, "fs": inner.pool.instance})

    def _over_file(self, fs_class: type[Any], options: dict[str, Any], inner: Mount) -> Any:
        bounds = self.options
        limits = Limits(
            chunk_size=bounds.chunk_size,
            max_concurrency=bounds.max_concurrency,
            max_connections=bounds.max_connections,
            timeout=bounds.timeout,
            retries=bounds.retries,
        )
        opened = inner.connect(limits).open_seekable(inner.root)
        return self._construct(fs_class, {**options, "fo": opened})

    def _construct(self, fs_class: type[Any], options: dict[str, Any]) -> Any:
        try:
            return fs_class(**options, skip_instance_cache=True)
        except (TypeError, KeyError, ValueError) as error:
            raise OptionError(
                "fs_options", f"{fs_class.__name__} does not take them: {error}"
            ) from error

    def _tuned(self, adapter: type[Adapter], build: Callable[[], Any]) -> Any:
        fs = build()
        adapter.tune_instance(fs, timeout=self.options.timeout, retries=self.options.retries)
        return fs


def _is_dotted(text: str) -> bool:
    return "." in text and "://" not in text and "::" not in text


def _unfolded(layer: _Layer) -> list[_Layer]:
    """Return a layer that names its target the way fsspec does as a chain of two."""
    target = layer.options.get("target_protocol")
    if target is None or "fo" in layer.options:
        return [layer]
    outer = {k: v for k, v in layer.options.items() if k not in _TARGET_KEYS}
    below = dict(layer.options.get("target_options") or {})
    return [
        _Layer(layer.path, layer.fs_class, outer),
        _Layer("", protocol_class(str(target)), below),
    ]


def _narrowed(inner: Mount, path: str) -> Mount:
    root = f"{inner.root.rstrip('/')}/{path}" if inner.root else path
    return replace(inner, root=root.rstrip("/"))
