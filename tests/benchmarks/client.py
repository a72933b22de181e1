"""A browser's part of the benches, as little of it as costs next to nothing: HTTP on kept connections, WebSockets."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from typing import Self
from urllib.parse import urlsplit


class Connection:
    """One kept connection to the server, signed in by a cookie. `async with`."""

    def __init__(self, url: str, cookie: str = "") -> None:
        place = urlsplit(url)
        self.host, self.port, self.cookie = place.hostname or "", place.port or 80, cookie
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=2**22)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()

    async def get(self, path: str) -> bytes:
        """The body of a page that is there, as it came over the wire."""
        self._ask(path)
        status, headers = await self._head()
        body = await self._body(headers)
        if status != 200:
            raise RuntimeError(f"{path} answered with {status}")
        return body

    def _ask(self, path: str, *more: str) -> None:
        lines = (f"GET {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Cookie: {self.cookie}", *more, "", "")
        self.writer.write("\r\n".join(lines).encode())

    async def _head(self) -> tuple[int, dict[str, str]]:
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        told = (line.partition(":") for line in lines if line)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in told}

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return body


class Socket(Connection):
    """A page's socket: `path` in place of a page, then frames."""

    async def open(self, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        more = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
        self._ask(path, *more, f"Origin: http://{self.host}:{self.port}")
        status, _ = await self._head()
        if status != 101:
            raise RuntimeError(f"{path} answered with {status}")

    def say(self, what: object) -> None:
        text, mask = json.dumps(what).encode(), os.urandom(4)
        assert len(text) < 126
        hidden = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text))
        self.writer.write(bytes((0x81, 0x80 | len(text))) + mask + hidden)

    async def frame(self) -> str:
        """The next text; a server that closes is an error."""
        while True:
            kind, length = await self.reader.readexactly(2)
            if length >= 126:
                form, size = ("!H", 2) if length == 126 else ("!Q", 8)
                (length,) = struct.unpack(form, await self.reader.readexactly(size))
            told = await self.reader.readexactly(length)
            if kind == 0x81:
                return told.decode()
            if kind == 0x88:
                raise RuntimeError(f"the server closed the socket: {told!r}")
