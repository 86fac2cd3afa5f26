"""What a cancelled caller leaves on the wire: requests that can't be recalled, only undone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from django_fsspec.core.log_fields import log_fields

T = TypeVar("T")

logger = logging.getLogger("django_fsspec")

#: seconds that a cancelled caller waits for its request to be undone; a process may end then
_PATIENCE = 4.0
_ending: set[asyncio.Task[None]] = set()


async def undoable(
    work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]], path: str
) -> T:
    """Await `work`, a request about `path`; when cancelled, let it end and undo it.

    `undo` is called with what `work` returned. A cancelled caller waits for both at most four
    seconds; after them they go on in the background. A warning names a file that may be left
    behind. Raises what `work` raises.
    """
    task = asyncio.ensure_future(work)

    async def end() -> None:
        try:
            await undo(await task)
        except (FileExistsError, FileNotFoundError, PermissionError) as error:
            # before the file was made, these say that it is not ours
            if task.exception() is None:
                _warn(path, error)
        except Exception as error:
            _warn(path, error)

    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.cancelled():
            ending = asyncio.ensure_future(end())
            _ending.add(ending)
            ending.add_done_callback(_ending.discard)
            await asyncio.wait({ending}, timeout=_PATIENCE)
        raise


def _warn(path: str, error: Exception) -> None:
    # only the type of the error: messages of client libraries may hold a secret
    logger.warning(
        "A cancelled save may have left the file %r behind (%s). Find unreferenced files with "
        "`manage.py sweep_files`.",
        path,
        type(error).__name__,
        extra=log_fields(name=path, operation="save", error=error),
    )
