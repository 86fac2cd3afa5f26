"""The operations of a storage as flows: those that read or save are in modules of their own."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any

from django_fsspec.adapters.base import STREAM_CHUNK
from django_fsspec.adapters.errors import AnswerLost
from django_fsspec.core import names
from django_fsspec.core.flows import Flow, call
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported, StorageError

from .open_files import DiskFile, ReadFile, WriteFile
from .reading_flows import ReadingFlows
from .saving_flows import MAX_CANDIDATES, SavingFlows


class StorageFlows(ReadingFlows, SavingFlows):
    """The operations of one storage, as flows over names relative to its prefix.

    ``FSSpecStorage`` drives them by ``run()`` and ``iterate()``, or by their async twins.
    """

    def open(self, name: str, mode: str) -> Flow[DiskFile | ReadFile | WriteFile]:
        """Open a file for reading (1 request), or for writing: stored when it is closed."""
        plain = mode.replace("b", "").replace("t", "")
        if plain == "r" and self.adapter.opens_files:
            return DiskFile(
                self,
                name,
                mode,
                (yield from call(self.adapter.open_file, self.path_to_read(name))),
            )
        if plain == "r":
            return ReadFile(self, name, mode, (yield from self.stream(name)))
        if plain not in ("w", "x", "a", "r+", "w+", "x+", "a+"):
            raise ValueError(f"invalid mode: {mode!r}")
        self.path(name)
        self.require_writable()
        if plain[0] == "x" and (yield from self.exists(name)):
            raise FileExistsError(errno.EEXIST, "File exists", name)
        file = WriteFile(self, name, mode)
        if plain[0] in "ra":
            yield from self._fill(file, name, missing_ok=plain[0] == "a")
        return file

    def _fill(self, file: WriteFile, name: str, *, missing_ok: bool) -> Flow[None]:
        try:
            stream = yield from self.stream(name)
        except FileNotFoundError:
            if missing_ok:
                return
            file.discard()
            raise
        try:
            while chunk := (yield from stream.read(STREAM_CHUNK)):
                file.fill(chunk)
        except BaseException:
            file.discard()
            raise
        finally:
            stream.close()
        file.start(at_end=missing_ok)

    def delete(self, name: str) -> Flow[None]:
        """Delete a file; a missing one is no error. Raises ``ValueError`` for an empty name."""
        if not name:
            raise ValueError("The name must be given to delete().")
        self.require_writable()
        yield from call(self.adapter.delete, self.path(name))

    def delete_many(self, deleted: Sequence[str]) -> Flow[None]:
        """Delete files; raise ``StorageError`` for those that are left after all were tried."""
        self.require_writable()
        paths = [self.path(name) for name in deleted]
        size = max(self.adapter.dialect.delete_batch, self.options.max_concurrency)
        failed: dict[str, Exception] = {}
        for start in range(0, len(paths), size):
            try:
                failed |= yield from call(self.adapter.delete_many, paths[start : start + size])
            except Exception as refusal:
                if len(failed) == start:  # nothing was deleted: the error says it all
                    raise
                failed |= dict.fromkeys(paths[start:], refusal)
                break
        if failed:
            path, error = next(iter(failed.items()))
            summary = StorageError(
                f"{self.errors.where}: {len(failed)} of {len(paths)} files could not be deleted, "
                f"first {names.relative(self.root, path)!r}: {self.errors.hidden(str(error))}"
            )
            summary.names = [name for name, at in zip(deleted, paths, strict=True) if at in failed]
            raise summary

    def copy(
        self,
        source: str,
        target: str,
        origin: StorageFlows | None = None,
        *,
        overwrite: bool | None = None,
        exact: bool = False,
    ) -> Flow[str]:
        """Copy a file and return the copy's name.

        The service copies; where it can't, the bytes are read and written here. `origin` are the
        flows of the storage of `source` when it is another one. `overwrite` is by default the
        option `allow_overwrite`. Raises ``NotSupported`` unless both storages share a mount, and
        with `exact` ``FileExistsError`` for a name that is taken.
        """
        self.path(target)
        self.require_writable()
        if overwrite is None:
            overwrite = self.options.allow_overwrite
        if origin is not None and not self._reads_as(origin):
            raise NotSupported(f"{self.errors.where} can't copy from {origin.errors.where}.")
        path = (origin or self).path_to_read(source)
        for candidate in [target] if overwrite or exact else self.candidates(target, None):
            try:
                copied = yield from self._copy_to(
                    candidate, path, overwrite=overwrite, exact=exact
                )
            except FileNotFoundError:
                # of the two storages, the source is where a file is missing
                where = (origin or self).errors.where
                raise FileNotFoundError(errno.ENOENT, f"No such file in {where}", source) from None
            except NotSupported:
                if origin is not None:
                    raise
                return (yield from self._copy_through(source, target))
            if copied:
                return candidate
        raise StorageError(
            f"{self.errors.where}: {MAX_CANDIDATES} names like {target!r} are taken."
        )

    def _copy_to(self, name: str, source: str, *, overwrite: bool, exact: bool) -> Flow[bool]:
        """Copy what is at the path `source`; return whether `name` was free.

        With `exact` a name that is taken raises ``FileExistsError``.
        """
        target = self.path(name)
        try:
            yield from call(self.adapter.copy, source, target, exclusive=not overwrite)
        except FileExistsError as error:
            if isinstance(error, AnswerLost) and (yield from self._is_own_copy(source, target)):
                return True
            if exact:
                raise
            return False
        return True

    def _is_own_copy(self, source: str, target: str) -> Flow[bool]:
        """Return whether `target` is the copy whose making was not answered.

        Services copy metadata as it is, so no token tells: a random part and the same bytes do.
        """
        if not names.has_random_part(target):
            return False
        try:
            copied: Stat = yield from call(self.adapter.stat, source)
            stat: Stat = yield from call(self.adapter.stat, target)
        except (FileNotFoundError, PermissionError):
            return False
        if copied.save_token is None and stat.etag != copied.etag:
            return False
        return (stat.size, stat.save_token) == (copied.size, copied.save_token)

    def _reads_as(self, other: StorageFlows) -> bool:
        """Whether bytes that `other` stored are what this storage would read."""
        same = self.options.gzip == other.options.gzip
        return same and self.mount.pool is other.mount.pool

    def _copy_through(self, source: str, target: str) -> Flow[str]:
        # spooled: the stream must outlive retries under other names
        file = WriteFile(self, target, "wb")
        try:
            yield from self._fill(file, source, missing_ok=False)
            stat = yield from self.save(
                target, file.spooled, overwrite=self.options.allow_overwrite, checksum=False
            )
        finally:
            file.discard()
        return stat.name

    def sign(
        self, name: str, expires_in: int, *, for_upload: bool, sent: Mapping[str, Any]
    ) -> Flow[tuple[str, float] | None]:
        """Return a URL that the service signs and the seconds that it lives; or None."""
        dialect, path = self.adapter.dialect, self.path(name)
        if not (dialect.signs_put if for_upload else dialect.signs_get):
            return None
        how: dict[str, Any] = {"for_upload": for_upload, "headers": sent}
        if signed := self.adapter.sign_at_once(path, expires_in, **how):
            return signed
        # asked before it is signed: credentials are renewed meanwhile, they grow no older
        life: float = yield from call(self.adapter.signature_life, expires_in)
        url: str | None = yield from call(self.adapter.sign, path, expires_in, **how)
        return (url, life) if url else None
