"""Static files on any filesystem, for ``collectstatic``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.contrib.staticfiles.utils import check_settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage

from .core.content_types import guess_type
from .core.flows import Flow, call
from .core.stat import Stat
from .storage.collection import StaticCollection
from .storage.fsspec_storage import FSSpecStorage
from .storage.options import OptionError
from .storage.precompression import checked_codings, compressed, require_packages, variants_of


class NoStaticRoot(ImproperlyConfigured):
    """A storage on the local disk has no folder, because STATIC_ROOT is not set."""


class FSSpecStaticStorage(FSSpecStorage):
    """``FSSpecStorage`` with what static files need: exact names and unsigned URLs.

    Example::

        STORAGES = {
            "staticfiles": {
                "BACKEND": "django_fsspec.staticfiles.FSSpecStaticStorage",
                "OPTIONS": {"fs": "s3", "prefix": "bucket/static"},
            },
        }

    `precompressed` lists content codings: "gzip", "br" or both. ``collectstatic`` and ``save()``
    then store a compressed variant beside each file that gets smaller by 5 % or more:
    ``site.css.gz`` and ``site.css.br``, for web servers that look for them. "br" needs the extra
    `brotli`. Saving a file replaces its variants or deletes them, and so does ``delete()``.

    `allow_overwrite` is on, since collectstatic replaces files under their own names.
    `base_url` defaults to ``STATIC_URL``. On a local filesystem without a `prefix`, files go to
    ``STATIC_ROOT``; without that setting, every method but ``url()`` and ``sign()`` raises
    ``ImproperlyConfigured``, and ``manage.py check`` warns. URLs are never signed: they go into
    CSS files and manifests.

    Raises ``ImproperlyConfigured`` for `url_signer`, for a `prefix` that is a callable, for
    `precompressed` with `gzip` or with another coding, and for settings that Django's
    ``StaticFilesStorage`` refuses, such as one folder for ``STATIC_ROOT`` and ``MEDIA_ROOT``.
    """

    #: of a run of collectstatic
    _collection: StaticCollection | None = None

    def __init__(
        self, *, allow_overwrite: bool = True, precompressed: Collection[str] = (), **options: Any
    ) -> None:
        if options.get("base_url") is None:
            options["base_url"] = settings.STATIC_URL
        check_settings(options["base_url"])
        if options.pop("url_signer", None) is not None:
            # debug pages show what this frame holds
            del options
            raise self._misconfigured(
                OptionError("url_signer", "is for private files: URLs of static files are public.")
            )
        super().__init__(allow_overwrite=allow_overwrite, **options)
        try:
            self._codings = checked_codings(precompressed, gzip=self.options.gzip)
        except OptionError as error:
            raise self._misconfigured(error) from None
        if self.prefix_callables:
            raise self._misconfigured(
                OptionError("prefix", "can't be a callable: all tenants have one set of files.")
            )

    def _default_root(self) -> str:
        # never MEDIA_ROOT: static files would overwrite uploads
        if not settings.STATIC_ROOT:
            raise NoStaticRoot(
                f"{self.flows.errors.setting('prefix')} is empty and STATIC_ROOT is not set, so "
                "there is no folder for static files. Set STATIC_ROOT to the path of a folder."
            )
        return str(settings.STATIC_ROOT)

    @contextmanager
    def collecting(self) -> Iterator[StaticCollection]:
        """Answer ``collectstatic`` from one listing, and send files side by side.

        The ``collectstatic`` command of this app does it where ``django_fsspec`` stands before
        ``django.contrib.staticfiles`` in ``INSTALLED_APPS``. Until the block ends, ``exists()``,
        ``listdir()`` and ``get_modified_time()`` make no request but those of the listing: 1 per
        1000 files. ``save()`` sends nothing that is stored with the same size and checksum; up to
        32 others are sent at once by threads. ``delete()`` deletes at the end of the block, and
        nothing if it raises.

        Raises what a failed upload raised, from a later call or at the end, and
        ``ImproperlyConfigured`` without the package that `precompressed` needs.
        """
        if self._collection is not None:
            yield self._collection
            return
        require_packages(self._codings, self.flows.errors.setting("precompressed"))
        collection = self._collection = StaticCollection(self, self._replace)
        collection.variants = self._variants
        try:
            yield collection
            collection.finish()
        finally:
            self._collection = None
            collection.close()

    def _save(self, name: str, content: Any) -> str:
        if self._collection is None:
            return super()._save(name, content)
        self._collection.save(name, content)
        return name

    def _replace(self, name: str, content: Any) -> None:
        self.flows.run(self._replacing(name, content), "save", name)

    def _replacing(self, name: str, content: Any) -> Flow[Stat]:
        # the file goes last: if this run is killed, the next one sends it and its variants again
        yield from self._save_variants(name, content)
        # also without allow_overwrite: collectstatic has deleted the file that it replaces
        return (yield from self.flows.save(name, content, overwrite=True, checksum=False))

    def _saving(self, name: str, content: Any) -> Flow[Stat]:
        if self.options.allow_overwrite:
            yield from self._save_variants(name, content)
            return (yield from super()._saving(name, content))
        stat = yield from super()._saving(name, content)
        yield from self._save_variants(stat.name, content)
        return stat

    def _save_variants(self, name: str, content: Any) -> Flow[None]:
        """Store the variants that are small enough, and delete those of earlier content."""
        if not self._codings:
            return
        stale = []
        wanted = self._codings if self._has_variants(name, content) else ()
        for variant, coding in self._variants(name).items():
            packed = None
            if coding in wanted:
                packed = yield from call(compressed, content, coding)
            if packed is not None:
                yield from self._save_variant(name, variant, coding, packed)
            elif self._collection is None or self._collection.is_listed(variant):
                stale.append(variant)
        if stale:
            yield from self.flows.delete_many(stale)

    def _save_variant(self, name: str, variant: str, coding: str, packed: File[Any]) -> Flow[None]:
        headers = {"content_type": guess_type(name)}
        if "content_encoding" in self.flows.adapter.dialect.headers:
            headers["content_encoding"] = coding
        with packed:
            yield from self.flows.save(
                variant, packed, overwrite=True, checksum=False, own_options=headers
            )
        if self._collection is not None:
            self._collection.keep(variant)

    def _has_variants(self, name: str, content: Any) -> bool:
        """Return whether a file gets variants; subclasses may leave some out."""
        return True

    def _variants(self, name: str) -> dict[str, str]:
        """Return the names of variants that a file may have, each with its coding.

        Not a name that is itself a static file of the site.
        """
        variants = variants_of(name) if self._codings else {}
        return {
            variant: coding for coding, variant in variants.items() if not finders.find(variant)
        }

    def _open(self, name: str, mode: str = "rb") -> Any:
        collected = self._collection.open(name) if self._collection and mode == "rb" else None
        return super()._open(name, mode) if collected is None else collected

    def delete(self, name: str) -> None:
        """Delete a file and its variants: 1 request, while collecting none.

        A missing file is not an error.
        """
        if self._collection is not None:
            self._collection.delete(name)
        elif variants := self._variants(name):
            self.delete_many([name, *variants])
        else:
            super().delete(name)

    async def adelete(self, name: str) -> None:
        """See delete()."""
        if variants := self._variants(name):
            await self.adelete_many([name, *variants])
        else:
            await super().adelete(name)

    def get_modified_time(self, name: str) -> datetime:
        """See ``FSSpecStorage.get_modified_time()``. While collecting, no request."""
        if self._collection is None:
            return super().get_modified_time(name)
        return self._time(self._collection.stat(name), "last_modified")

    def exists(self, name: str) -> bool:
        """Return whether there is a file or a directory: 1 request, for a directory or nothing 2.

        ``collectstatic --clear`` asks for each directory before it descends into it; "" is the
        root, which always exists. While collecting, no request.
        """
        if self._collection is not None:
            return self._collection.exists(name)
        return self.flows.run(self._existing(name), "exists", name)

    async def aexists(self, name: str) -> bool:
        """See exists()."""
        return await self.flows.arun(self._existing(name), "exists", name)

    def _existing(self, name: str) -> Flow[bool]:
        if (yield from self.flows.exists(name)):
            return True
        return (yield from self.flows.is_directory(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of directories and of files in `path`, without links to directories.

        ``collectstatic --clear`` deletes all files that it gets to by this. Raises
        ``FileNotFoundError`` when there is no such directory. While collecting, no request.
        """
        if self._collection is not None:
            return self._collection.listdir(path)
        return self.flows.run(self.flows.listdir(path, links=False), "listdir")

    async def alistdir(self, path: str) -> tuple[list[str], list[str]]:
        """See listdir()."""
        return await self.flows.arun(self.flows.listdir(path, links=False), "listdir")

    def check(self) -> list[checks.CheckMessage]:
        """Return what `manage.py check` reports about the options. No request."""
        try:
            return super().check()
        except NoStaticRoot as error:
            return [checks.Warning(str(error), id="django_fsspec.W003")]


class FSSpecManifestStaticStorage(ManifestFilesMixin, FSSpecStaticStorage):  # type: ignore[misc]
    """``FSSpecStaticStorage`` with hashed names, as Django's ``ManifestStaticFilesStorage``.

    Give hashed files a long life with ``object_options``:
    ``lambda name: {"cache_control": "max-age=31536000, immutable"}``.

    Django reads the manifest when the storage is made. ``manage.py check`` makes it too, and must
    make no request: here it is read when first used.

    ``post_process()`` collects (see ``collecting()``): each file is sent once, under its last
    name, and the manifest after all others. Until then the site is served by the one before.
    """

    def __init__(self, *, manifest_storage: Storage | None = None, **options: Any) -> None:
        # not ManifestFilesMixin's own, which reads the manifest
        super(ManifestFilesMixin, self).__init__(**options)
        self.manifest_storage = self if manifest_storage is None else manifest_storage
        # of HashedFilesMixin: empty, in place of those below
        del self.hashed_files

    @cached_property
    def _manifest(self) -> Any:
        return self.load_manifest()

    @cached_property
    def hashed_files(self) -> Any:  # type: ignore[override]
        """The hashed name of each file, as a dict."""
        return self._manifest[0]

    @cached_property
    def manifest_hash(self) -> Any:  # type: ignore[override]
        """The hash over the names in the manifest, a str."""
        return self._manifest[1]

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Iterator[Any]:
        """Yield name, hashed name and whether it is new of each file, as Django does.

        1 request per 1000 files of the storage, and 1 for each file that is new.
        """
        with self.collecting() as collection:
            collection.sources = paths
            # Django refers in them to files whose hashes it may not know yet
            collection.is_preliminary = self._is_adjusted
            collection.follows = self._is_hash_of
            yield from super().post_process(paths, dry_run=dry_run, **options)

    def _is_adjusted(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern, _ in self.patterns)

    def _is_hash_of(self, name: str, content: bytes) -> bool:
        return self._has_variants(name, ContentFile(content))

    def _has_variants(self, name: str, content: Any) -> bool:
        # visitors get files under their hashed names
        hashed = self.file_hash(name, content)
        return bool(hashed) and f".{hashed}" in name

    def save_manifest(self) -> None:
        """Save the manifest; while collecting, after all files that it names are stored."""
        if self._collection is not None:
            self._collection.upload()
        super().save_manifest()
