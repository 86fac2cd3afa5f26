"""Other users of this machine, who are hostile or in the way.

As the superuser, a test gets a child process with another user id. Without, the same user stands
for the neighbour, and what only another user could change is open to all.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NOBODY = 65534


def as_neighbour(act: Callable[[], T]) -> T:
    """Call a function as another user, in a child process; return its result.

    Its exception is raised here, as far as it can be sent.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.umask(0)
            try:
                answer: tuple[bool, object] = (True, act())
            except Exception as error:
                answer = (False, error)
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        sent = pipe.read()
    os.waitpid(child, 0)
    succeeded, result = pickle.loads(sent)
    if not succeeded:
        raise result
    answered: T = result
    return answered


@contextlib.contextmanager
def common_ground() -> Iterator[Path]:
    """Make a folder that all users may write to, as /tmp is."""
    ground = Path(tempfile.mkdtemp(prefix="django-fsspec-common-"))
    ground.chmod(0o777)
    try:
        yield ground
    finally:
        shutil.rmtree(ground)
