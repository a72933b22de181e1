"""How a step's request gets out: each connection goes to an address that was checked, each body is read up to a limit.

For httpx and for httpx2, which libraries of language models use: both have the same shape, and a core of their own.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings

from workflows.errors import AnswerTooLarge, WorkflowStepError
from workflows.outgoing import addresses as outward
from workflows.outgoing.inflate import BITS, Inflate

#: Requests at once in one pool. A pool looks through all of its connections again and again, so many small ones are
#: quicker than one of 500; of these there are as many as it takes, since the engine bounds what runs at once.
SHARE = 8
TURN = 64  # pieces of a body, after which others have theirs: a body may come in millions of single bytes
IDLE_SECONDS = 2.0  # not for long: the other side may close a connection just as we take it


def transport(httpx: Any, httpcore: Any, certificates: Any) -> Any:
    """An httpx.AsyncBaseTransport. `certificates`: the ssl.SSLContext that says whom we believe."""

    class Transport(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self._pools = Pools(httpcore, certificates)

        async def handle_async_request(self, request: Any) -> Any:
            url = request.url
            outward.check_host(url.raw_host.decode(), outward.port_of(url))
            asked = httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
            pool = self._pools.take()
            try:
                with _as_httpx(httpx, httpcore):
                    answer = await pool.core.handle_async_request(asked)
            except BaseException:
                self._pools.give_back(pool)
                raise
            return self._read(answer, pool, request.method != "HEAD")

        def _read(self, answer: Any, pool: Pool, has_body: bool) -> Any:
            headers = httpx.Headers(answer.headers)
            length = _declared(headers) if has_body else 0
            body = Body(answer.stream, headers, length, partial(self._pools.give_back, pool))
            return httpx.Response(answer.status, headers=_plain(headers), stream=body, extensions=answer.extensions)

        async def aclose(self) -> None:
            await self._pools.close()

    class Body(httpx.AsyncByteStream):
        def __init__(self, stream: Any, headers: Any, declared: int, end: Callable[[], None]) -> None:
            self._stream, self._declared, self._end = stream, declared, end
            self._encoding = headers.get("content-encoding", "").strip().lower()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            _count(self._declared)  # it says so itself: nothing has to be read to know it
            with _as_httpx(httpx, httpcore):
                async for piece in _bounded(_unpacked(self._stream, self._encoding)):
                    yield piece

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                self._end()

    return Transport()


@dataclass(eq=False, slots=True)
class Pool:
    core: Any
    busy: int = 0
    idle_at: float = 0.0  # by the loop's clock


class Pools:
    """Connections of one event loop. What nobody used for a while is closed, also where nobody comes any more."""

    def __init__(self, httpcore: Any, certificates: Any) -> None:
        self._made = partial(
            httpcore.AsyncConnectionPool,
            ssl_context=certificates,
            max_connections=SHARE,
            max_keepalive_connections=SHARE,
            keepalive_expiry=IDLE_SECONDS,
            http2=False,
            network_backend=Dial(httpcore),
        )
        self._pools: list[Pool] = []
        self._closing: set[asyncio.Task[None]] = set()

    def take(self) -> Pool:
        """One with room: the first, so that its connections are used again."""
        pool = next((one for one in self._pools if one.busy < SHARE), None)
        if pool is None:
            pool = Pool(self._made())
            self._pools.append(pool)
        pool.busy += 1
        return pool

    def give_back(self, pool: Pool) -> None:
        pool.busy -= 1
        if not pool.busy:
            loop = asyncio.get_running_loop()
            pool.idle_at = loop.time()
            loop.call_later(IDLE_SECONDS, self._let_go, pool)

    async def close(self) -> None:
        pools, self._pools = self._pools, []
        for pool in pools:
            await pool.core.aclose()
        if self._closing:
            await asyncio.wait(self._closing)

    def _let_go(self, pool: Pool) -> None:
        loop = asyncio.get_running_loop()
        if pool not in self._pools or pool.busy or loop.time() < pool.idle_at + IDLE_SECONDS:
            return  # closed, or used again since
        self._pools.remove(pool)
        task = loop.create_task(pool.core.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class Dial:
    """httpcore's network backend: looks a name up once, and dials one of the very addresses that were checked."""

    def __init__(self, httpcore: Any) -> None:
        self._network, self._refused = httpcore.AnyIOBackend(), (httpcore.ConnectError, httpcore.ConnectTimeout)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Any:
        addresses = await outward.look_up(host, port, timeout)
        share = timeout / len(addresses) if timeout else timeout
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, share, local_address, socket_options)
            except self._refused:  # such as IPv6, where this machine has none
                continue
        return await self._network.connect_tcp(addresses[-1], port, share, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


@contextmanager
def _as_httpx(httpx: Any, httpcore: Any) -> Iterator[None]:
    """The core's errors have the same names one floor higher."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
    except httpcore.UnsupportedProtocol as error:
        raise httpx.UnsupportedProtocol(str(error)) from error


def _plain(headers: Any) -> Any:
    """Those of the body as it is handed on, which is unpacked."""
    if "content-encoding" not in headers:
        return headers
    return [pair for pair in headers.multi_items() if pair[0].lower() not in ("content-encoding", "content-length")]


async def _unpacked(stream: Any, encoding: str) -> AsyncIterator[bytes]:
    if encoding in ("", "identity"):
        async for chunk in stream:
            yield chunk
        return
    if encoding not in BITS:
        raise WorkflowStepError(f"The answer is packed as “{encoding[:40]}”, which was not asked for.")
    inflate = Inflate(encoding)
    try:
        async for chunk in _bounded(stream):  # what is packed counts too: it may unpack to nothing, for ever
            for piece in inflate.pieces(chunk):
                yield piece
        inflate.close()
    except zlib.error as error:
        raise WorkflowStepError(f"The answer cannot be unpacked ({encoding}): {error}.") from None


async def _bounded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = number = 0
    async for piece in pieces:
        size, number = size + len(piece), number + 1
        _count(size)
        if number % TURN == 0:
            await asyncio.sleep(0)
        yield piece


def _count(size: int) -> None:
    limit = settings.HTTP_BODY_BYTES
    if size > limit:
        raise AnswerTooLarge(f"The answer has more than {limit:,} bytes, the most that is read (HTTP_BODY_BYTES).")


def _declared(headers: Any) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0
