"""How a step's request gets out: each connection goes to an address that was checked, each body is read up to a limit.

For httpx and for httpx2, which libraries of language models use: both have the same shape, and a core of their own.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from workflows import outward
from workflows.errors import AnswerTooLarge, WorkflowStepError
from workflows.inflate import BITS, Inflate

CONNECTIONS = 1_000  # at once, in one event loop
#: Few and not for long: looking through idle ones costs time, and the other side may close one as we take it.
IDLE, IDLE_SECONDS = 50, 2.0


def transport(httpx: Any, httpcore: Any, certificates: Any) -> Any:
    """An httpx.AsyncBaseTransport. `certificates`: the ssl.SSLContext that says whom we believe."""

    class Transport(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=certificates,
                max_connections=CONNECTIONS,
                max_keepalive_connections=IDLE,
                keepalive_expiry=IDLE_SECONDS,
                http2=False,
                network_backend=Dial(httpcore),
            )

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
            with _as_httpx(httpx, httpcore):
                answer = await self._pool.handle_async_request(asked)
            headers = httpx.Headers(answer.headers)
            encoding, length = _encoding(headers), _declared(headers)
            return httpx.Response(
                answer.status,
                headers=_of_plain_body(headers) if encoding else headers,
                stream=Body(answer.stream, encoding, 0 if request.method == "HEAD" else length),
                extensions=answer.extensions,
            )

        async def aclose(self) -> None:
            await self._pool.aclose()

    class Body(httpx.AsyncByteStream):
        def __init__(self, stream: Any, encoding: str, declared: int) -> None:
            self._stream, self._encoding, self._declared = stream, encoding, declared

        async def __aiter__(self) -> AsyncIterator[bytes]:
            _count(self._declared)  # it says so itself: nothing has to be read to know it
            with _as_httpx(httpx, httpcore):
                async for piece in _bounded(_unpacked(self._stream, self._encoding)):
                    yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Transport()


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


def _encoding(headers: Any) -> str:
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return ""
    if encoding not in BITS:
        raise WorkflowStepError(f"The answer is packed as “{encoding[:40]}”, which was not asked for.")
    return str(encoding)


def _of_plain_body(headers: Any) -> Any:
    """What is handed on is unpacked already."""
    for name in ("content-encoding", "content-length"):
        headers.pop(name, None)
    return headers


async def _unpacked(stream: Any, encoding: str) -> AsyncIterator[bytes]:
    if not encoding:
        async for chunk in stream:
            yield chunk
        return
    inflate = Inflate(encoding)
    try:
        async for chunk in stream:
            for piece in inflate.pieces(chunk):
                yield piece
        inflate.close()
    except zlib.error as error:
        raise WorkflowStepError(f"The answer cannot be unpacked ({encoding}): {error}.") from None


async def _bounded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for piece in pieces:
        size += len(piece)
        _count(size)
        yield piece


def _count(size: int) -> None:
    limit = settings.HTTP_BODY_BYTES
    if size > limit:
        raise AnswerTooLarge(f"The answer has more than {limit:,} bytes, the most that is read (HTTP_BODY_BYTES).")


def _declared(headers: Any) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0
