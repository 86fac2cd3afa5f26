"""A way to a database that breaks."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from .middleman import Middleman


class Line(Middleman):
    """Stands before a database: breaks at commits, before they are made or when they are.

    Outside of a transaction an INSERT is its own commit.
    """

    CHANCES: ClassVar = {"COMMIT": 0.1, "INSERT": 0.02}
    #: at most so many commits in a row pass, or a short run may see none break
    SPARED = 10
    _spared = 0

    def _breaks(self, kind: str) -> bool:
        breaks = self._random.random() < self.CHANCES[kind]
        if kind == "COMMIT":
            breaks = breaks or self._spared == self.SPARED
            self._spared = 0 if breaks else self._spared + 1
        return breaks

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        ends = False

        async def asks() -> None:
            nonlocal ends
            while data := await reader.read(1 << 16):
                kind = "COMMIT" if data.rstrip(b"\0").endswith(b"COMMIT") else ""
                kind = "INSERT" if b"INSERT INTO" in data else kind
                if kind and self._breaks(kind):
                    ends = self._random.random() < 0.5
                    self.faults[f"lost {'after' if ends else 'before'} {kind}"] += 1
                    if not ends:
                        raise EOFError
                back.write(data)
                await back.drain()

        async def answers() -> None:
            while data := await there.read(1 << 16):
                if ends:
                    raise EOFError
                writer.write(data)
                await writer.drain()

        directions = [asyncio.ensure_future(asks()), asyncio.ensure_future(answers())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.transport.abort()
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
