"""Another system, for real: a server on loopback in a thread of its own, as good or as bad as it is told to be.

It speaks HTTP by hand, so that it can also break it. It remembers whatever it was asked.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One request. `headers` by lower-case names."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    raw: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")


Behave = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


class Gone(Exception):
    """The behaviour has ended the connection."""


def answer(body: bytes | str = b"", status: int = 200, reason: str = "OK", **headers: str | None) -> Behave:
    """A whole, well-formed answer; the connection stays. Headers by names with “_”."""
    return raw(said(body, status, reason, **headers), close=False)


def as_json(value: Any, status: int = 200, reason: str = "OK", **headers: str) -> Behave:
    return answer(json.dumps(value), status, reason, content_type="application/json", **headers)


def said(body: bytes | str = b"", status: int = 200, reason: str = "OK", **headers: str | None) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} {reason}"]
    named = {"content_length": str(len(content)), **headers}
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in named.items() if value is not None]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def packed(body: bytes, encoding: str = "gzip", pack: Callable[[bytes], bytes] = gzip.compress) -> Behave:
    return answer(pack(body), content_encoding=encoding, content_type="text/plain")


def moved(to: str, status: int = 302) -> Behave:
    return answer(status=status, reason="Moved", location=to)


def raw(*pieces: bytes, close: bool = True, reset: bool = False) -> Behave:
    """Exactly these bytes; then the connection ends, politely or by a reset."""

    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        if close or reset:
            raise Gone

    return behave


def drip(head: bytes, piece: bytes, pause_s: float = 0.02) -> Behave:
    """Begins, and then never ends: a piece, a pause, a piece …"""

    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return behave


def flood(head: bytes, piece: bytes) -> Behave:
    return drip(head, piece, 0)


async def silence(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Takes the question, and says nothing."""
    await asyncio.Event().wait()


class Gate:
    """Holds answers back until the test opens it."""

    def __init__(self, then: Behave) -> None:
        self._then, self._is_open = then, asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        assert self._loop, "nobody has come to the gate"
        self._loop.call_soon_threadsafe(self._is_open.set)

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        self._loop = asyncio.get_running_loop()
        await self._is_open.wait()
        await self._then(seen, writer)


class Remote:
    """`seen`: all requests in their order. `most`: how many were under way at once. `lost`: connections that the other
    side ended in the middle of an answer. `open`: connections that are there now."""

    def __init__(self, host: str = "127.0.0.1", certificate: ssl.SSLContext | None = None) -> None:
        self.host, self.port = host, 0
        self.seen: list[Seen] = []
        self.connections = self.open = self.now = self.most = self.lost = 0
        self.changed = threading.Condition()
        self._certificate = certificate
        self._roads: dict[str, list[Behave]] = {}
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote", daemon=True)

    # For tests

    @property
    def url(self) -> str:
        return f"{'https' if self._certificate else 'http'}://{self.host}:{self.port}"

    @property
    def rule(self) -> str:
        """For HTTP_ALLOW."""
        return f"{self.host}:{self.port}"

    @property
    def keys(self) -> Counter[str]:
        return Counter(seen.key for seen in self.seen)

    def on(self, path: str, *behave: Behave) -> str:
        """What this path answers, one after the other; the last one stays. Gives the URL."""
        self._roads[path] = list(behave)
        return self.url + path

    def until(self, holds: Callable[[Remote], bool]) -> None:
        """Until something is so; nothing asserts how soon."""
        with self.changed:
            assert self.changed.wait_for(lambda: holds(self), PATIENCE_S), f"{self.now} under way, {self.lost} lost"

    # Life

    def start(self) -> None:
        self._thread.start()
        made = asyncio.start_server(self._serve, self.host, 0, ssl=self._certificate, backlog=2_000, limit=1 << 20)
        self._server = asyncio.run_coroutine_threadsafe(made, self._loop).result(PATIENCE_S)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self.connections += 1
        self._count(1)
        begun = b""
        try:
            while seen := await _read(reader, begun):
                begun = await self._answer(seen, reader, writer)
        except (Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            self._count(-1)

    async def _answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Gives what has come of the next request meanwhile."""
        self._note(seen, 1)
        work = asyncio.ensure_future(self._road(seen)(seen, writer))
        more = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((work, more), return_when=asyncio.FIRST_COMPLETED)
            if not work.done() or isinstance(work.exception(), ConnectionError):  # or it noticed by itself, as it wrote
                self.lost += 1
                raise ConnectionResetError
            await work
            return more.result() if more.done() else b""
        finally:
            more.cancel()
            work.cancel()
            await asyncio.wait((work, more))
            _ = work.cancelled() or work.exception(), more.cancelled() or more.exception()
            self._note(None, -1)

    def _road(self, seen: Seen) -> Behave:
        road = self._roads.get(seen.path) or self._roads.get("*") or [answer("no such path", 404, "Not Found")]
        return road.pop(0) if len(road) > 1 else road[0]

    def _count(self, more: int) -> None:
        with self.changed:
            self.open += more
            self.changed.notify_all()

    def _note(self, seen: Seen | None, more: int) -> None:
        with self.changed:
            if seen:
                self.seen.append(seen)
            self.now += more
            self.most = max(self.most, self.now)
            self.changed.notify_all()


async def _read(reader: asyncio.StreamReader, begun: bytes) -> Seen | None:
    """The next request of a connection; None where it has ended."""
    try:
        head = begun + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, target, headers, body, head)


@contextmanager
def running(remote: Remote) -> Iterator[Remote]:
    remote.start()
    try:
        yield remote
    finally:
        remote.stop()
