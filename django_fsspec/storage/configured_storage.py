"""``ConfiguredStorage``: the options of a storage, its prefix of now, its alias and its checks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Self

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage
from django.core.signals import setting_changed

from .aliases import alias_of, storage_of
from .error_translation import ErrorTranslator
from .flows import StorageFlows
from .options import Arguments, ObjectOptions, OptionError, StorageOptions, check_names
from .prefixes import PrefixCallable
from .url_options import MaskedURL, holds_secret, read_url
from .urls import StorageURLs

#: settings of Django's that storages of local files follow
_DJANGO_SETTINGS = frozenset(
    {
        "MEDIA_ROOT",
        "MEDIA_URL",
        "STATIC_ROOT",
        "FILE_UPLOAD_PERMISSIONS",
        "FILE_UPLOAD_DIRECTORY_PERMISSIONS",
    }
)
#: option -> id of the check that finds it wrong; E001 for the others
_CHECK_IDS = {
    "fs": "django_fsspec.E003",
    "fs_options": "django_fsspec.E004",
    "prefix": "django_fsspec.E005",
    "object_options": "django_fsspec.E006",
    "gzip": "django_fsspec.E007",
    "url_signer": "django_fsspec.E008",
}
#: tenants whose prefixes a storage has at hand
_TENANTS = 256


class _Operations(NamedTuple):
    """The operations and the URLs under one prefix."""

    flows: StorageFlows
    urls: StorageURLs


@checks.register(checks.Tags.files)
def check_installed(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that the app of the storages in use is installed, which registers all other checks."""
    if apps.is_installed("django_fsspec"):
        return []
    return [
        checks.Error(
            "STORAGES uses django_fsspec, which is not in INSTALLED_APPS.",
            hint="Add 'django_fsspec' to INSTALLED_APPS.",
            id="django_fsspec.E002",
        )
    ]


class ConfiguredStorage(Storage):
    """What ``FSSpecStorage`` is before it does anything: options, alias, flows and URLs."""

    #: the options as passed, by which the alias is found
    _arguments: Arguments
    #: whether `fs` is a URL with a secret that settings pages show
    _shows_secret = False

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Remember the options before a subclass' ``__init__()`` changes them."""
        storage = super().__new__(cls)
        # an alias passes OPTIONS by name: positional ones make a storage that no alias has
        storage._arguments = Arguments({**options, "*": args} if args else options)
        return storage

    def __init__(
        self,
        *,
        fs: Any = None,
        fs_options: Mapping[str, Any] | None = None,
        prefix: str | Callable[[], str] = "",
        base_url: str | None = None,
        url_expires_in: int = 3600,
        url_signer: Any = None,
        allow_overwrite: bool = False,
        object_options: ObjectOptions | None = None,
        gzip: bool | Collection[str] = False,
        checksum: str | None = "sha256",
        chunk_size: int = 8 * 1024 * 1024,
        max_concurrency: int = 4,
        max_connections: int = 64,
        timeout: float = 30,
        retries: int = 2,
        file_permissions_mode: int | None = None,
        directory_permissions_mode: int | None = None,
        label: Any = "",
        **unknown: Any,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k in StorageOptions.__slots__}
        try:
            check_names([*unknown, *(["fs"] if fs is not None else [])])
            arguments |= {"fs_options": fs_options or {}, "object_options": object_options or {}}
            arguments |= self._read_url(arguments)
            self.options = StorageOptions(**arguments)
        except OptionError as error:
            # debug pages show what this frame holds
            del fs, fs_options, prefix, base_url, object_options, url_signer, unknown, arguments
            raise self._misconfigured(error) from None
        self._reset()
        setting_changed.connect(self._setting_changed)

    def _read_url(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the URL in `fs` says, of which the options beside it say nothing."""
        fs, fs_options = arguments["fs"], arguments["fs_options"]
        if not isinstance(fs, str) or not isinstance(fs_options, Mapping):
            return {}
        read = read_url(fs, fs_options)
        for name in read.options:
            if name in self._arguments.values:
                raise OptionError("fs", f"has {name!r}, which is set twice: leave one out.")
        self._shows_secret = not isinstance(fs, MaskedURL) and holds_secret(read, fs_options)
        return {**read.options, "fs": read.fs, "fs_options": read.fs_options}

    def _misconfigured(self, error: OptionError) -> ImproperlyConfigured:
        alias = alias_of(self, self._arguments)
        return ErrorTranslator({}, alias, 0, 0).misconfigured(error)

    def _reset(self) -> None:
        flows = StorageFlows(self, self.options, self._arguments)
        #: without a prefix that a callable tells
        self.base_flows = flows
        self._prefix_callable = PrefixCallable.of(self.options.prefix)
        if self._prefix_callable is None:
            self._fixed = _Operations(flows, StorageURLs(flows))
        else:
            # the work of each tenant is bound to its prefix, wherever it goes on
            remembered: dict[Any, Any] = {}
            self._under = functools.lru_cache(maxsize=_TENANTS)(
                lambda prefix: _Operations(
                    bound := flows.under(prefix), StorageURLs(bound, remembered)
                )
            )

    @property
    def flows(self) -> StorageFlows:
        """The operations, under the prefix of now where a callable tells it.

        Then it raises ``ImproperlyConfigured`` where that tells none.
        """
        return self._current().flows

    @property
    def urls(self) -> StorageURLs:
        """The URLs of files, under the prefix of now where a callable tells it. See `flows`."""
        return self._current().urls

    def _current(self) -> _Operations:
        if self._prefix_callable is None:
            return self._fixed
        try:
            return self._under(self._prefix_callable())
        except OptionError as error:
            raise self.base_flows.errors.misconfigured(error) from error.__cause__

    @property
    def prefix_callables(self) -> tuple[PrefixCallable, ...]:
        """The callable that tells the prefix, where there is one."""
        return () if self._prefix_callable is None else (self._prefix_callable,)

    @property
    def current_prefixes(self) -> tuple[str, ...]:
        """The prefix of now, where a callable tells it. Raises ``ImproperlyConfigured``."""
        return () if self._prefix_callable is None else (str(self.flows.options.prefix),)

    def pinned(self) -> Self:
        """Return this storage under the prefix of now, for work that goes on elsewhere.

        Raises ``ImproperlyConfigured`` where a callable tells no prefix.
        """
        return self if self._prefix_callable is None else self._copy_of(self._current())

    @property
    def is_pinned(self) -> bool:
        """Whether ``pinned()`` gave this storage, with a prefix that a callable told."""
        return self._prefix_callable is None and self._fixed.flows is not self.base_flows

    def _at_base(self) -> Self:
        """Return this storage rooted where the folders of all tenants are, for a trial file."""
        flows = self.base_flows.under("")
        return self._copy_of(_Operations(flows, StorageURLs(flows)))

    def _copy_of(self, operations: _Operations) -> Self:
        # not by copy(), which gives the storage of the alias, as pickle does
        storage = object.__new__(type(self))
        vars(storage).update(vars(self))
        storage._fixed, storage._prefix_callable = operations, None
        storage.options = operations.flows.options
        return storage

    def _setting_changed(self, *, setting: str, **kwargs: Any) -> None:
        if setting in _DJANGO_SETTINGS:
            self._reset()

    @property
    def alias(self) -> str | None:
        """The alias in ``settings.STORAGES``, or None for a storage made by hand."""
        return self.base_flows.alias

    def _default_root(self) -> str:
        """Return the folder of a local storage whose options name none: MEDIA_ROOT."""
        return str(settings.MEDIA_ROOT)

    def __repr__(self) -> str:
        if not hasattr(self, "base_flows"):
            return f"<{type(self).__name__} with wrong options>"
        fs = self.options.fs
        shown = self.base_flows.errors.hidden(fs) if isinstance(fs, str) else type(fs).__name__
        return f"<{type(self).__name__} {shown} alias={self.alias!r}>"

    def deconstruct(self) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """Return ``storage_of`` and the alias, for migrations: options may hold secrets.

        Raises ``ImproperlyConfigured`` for a storage that is not in ``settings.STORAGES``.
        """
        if self.alias is None:
            raise ImproperlyConfigured(
                "A FSSpecStorage made by hand can't go into a migration, where its secrets would "
                "be written down: configure it in STORAGES and pass storages['alias'] or a "
                "callable that returns it."
            )
        return "django_fsspec.storage.storage_of", (self.alias,), {}

    def __reduce__(self) -> tuple[Any, ...]:
        _, arguments, _ = self.deconstruct()
        return storage_of, arguments

    def check(self) -> list[checks.CheckMessage]:
        """Return what `manage.py check` reports about the options. No request."""
        errors = self.base_flows.errors
        try:
            self.base_flows.validate()
            StorageURLs(self.base_flows).validate()
        except OptionError as error:
            check_id = _CHECK_IDS.get(error.option, "django_fsspec.E001")
            return [checks.Error(str(errors.misconfigured(error)), id=check_id)]
        messages: list[checks.CheckMessage] = []
        if self._shows_secret:
            messages.append(
                checks.Warning(
                    f"{errors.setting('fs')} is a URL with a secret, which Django's debug pages "
                    "and diffsettings show.",
                    hint="Write django_fsspec.from_url('…') in its place, or set the secret in "
                    "'fs_options'.",
                    id="django_fsspec.W010",
                )
            )
        urls = StorageURLs(self.base_flows)
        if urls.need_views and not urls.have_views:
            messages.append(
                checks.Warning(
                    f"{errors.where} has no way to make URLs: the service signs none and "
                    "django_fsspec.urls is not in the URLconf.",
                    hint=f"Set {errors.setting('base_url')}, or add "
                    "path('files/', include('django_fsspec.urls')) to the URLconf.",
                    id="django_fsspec.W001",
                )
            )
        return messages
