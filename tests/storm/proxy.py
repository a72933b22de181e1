"""Stands between the engine and PostgreSQL, and now and then cuts the line at a COMMIT: before the server has got it,
or after it has, so that the answer never comes. Whoever asked cannot know which.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from pathlib import Path

COMMIT = b"COMMIT\x00"  # how psycopg sends it, as a message of its own
WAYS = ("before", "reply", "reply", "late")
LATE_S = 1.0
End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Listens at once; run() in a process of its own. It cuts once there is a file `cuts`, line by line."""

    def __init__(self, server: int, cuts: Path, chance: float) -> None:
        self._server, self._cuts, self._chance = server, cuts, chance
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._socket.getsockname()[1]

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._socket)
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there = await asyncio.open_connection("127.0.0.1", self._server)
            await Line(self, (reader, writer), there).carry()
            there[1].close()
        writer.close()

    def way(self) -> str:
        """How the line is to be cut at this COMMIT; mostly not at all."""
        if random.random() >= self._chance or not self._cuts.exists():
            return ""
        way = random.choice(WAYS)
        with self._cuts.open("a") as file:
            file.write(f"{way}\n")
        return way


class Line:
    """One connection of the engine's, until either end or a cut ends it."""

    def __init__(self, proxy: Proxy, engine: End, server: End) -> None:
        self._proxy, self._engine, self._server = proxy, engine, server
        self._way = ""

    async def carry(self) -> None:
        both = {asyncio.create_task(self._ask()), asyncio.create_task(self._answer())}
        _, others = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        await asyncio.gather(*both, return_exceptions=True)

    async def _ask(self) -> None:
        while part := await self._engine[0].read(65536):
            if part.endswith(COMMIT):
                self._way = self._proxy.way()
            if self._way == "before":
                return
            self._server[1].write(part)
            await self._server[1].drain()

    async def _answer(self) -> None:
        while part := await self._server[0].read(65536):
            if self._way:  # the server has committed, and nobody is told
                await asyncio.sleep(LATE_S if self._way == "late" else 0)
                return
            self._engine[1].write(part)
            await self._engine[1].drain()
