"""FileObject by await: each method that asks a storage has a twin."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from django_fsspec import FileObject
from tests.helpers import file_objects
from tests.helpers.file_objects import ALL, DATA

aliases = file_objects.aliases


@pytest.mark.parametrize("alias", ALL)
def test_the_twins(alias: str) -> None:
    async def run() -> None:
        file = await FileObject(alias, "t/a.txt", content=DATA).asave()
        assert await file.aexists()
        assert await file.averify()
        assert await file.arefresh() is file
        assert await file.asign()
        assert await file.aread(5) == DATA[:5]
        assert await file.aread() == DATA[5:]
        assert b"".join([piece async for piece in file.achunks(1000)]) == DATA
        assert b"".join([piece async for piece in file.astream(5, 700)]) == DATA[5:700]
        await file.aclose()
        async with await file.aopen() as opened:
            assert await opened.aread() == DATA
        assert file.closed
        assert await file.get_content_async(1, 3) == DATA[1:3]
        await file.delete_async()
        assert not await file.aexists()

    asyncio.run(run())


PURE = {"multiple_chunks", "readable", "seekable", "writable", "to_dict"}
ALIASES = {"save_async", "get_content_async", "sign_async", "delete_async"}


def test_every_io_method_has_a_twin() -> None:
    members = inspect.getmembers(FileObject, inspect.isfunction)
    methods = {name: member for name, member in members if not name.startswith("_")}
    for name in ALIASES:
        assert methods.pop(name) is methods[f"a{name.removesuffix('_async')}"]
    twins = {name for name in methods if name[0] == "a" and name[1:] in methods}
    for name in set(methods) - PURE - twins:
        ours, theirs = (inspect.signature(methods[n]).parameters for n in (name, f"a{name}"))
        assert list(ours.values()) == list(theirs.values()), name
        assert (methods[f"a{name}"].__doc__ or "").startswith(f"See {name}()."), name
