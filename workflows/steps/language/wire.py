"""How a provider's library reaches its endpoint: by our own connections, with the headers and the key that we choose.

The libraries look into the environment for keys, organisations and headers of their own; nothing of that leaves. They
hold a stand-in for the key, which becomes the key on the way out, so that nothing they print or raise can have it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import httpx2

from workflows.errors import WorkflowStepError

STAND_IN = "the-key-is-put-in-on-the-way"
MOST_BYTES = 16 * 1024 * 1024  # of one answer, with all that is around its words
PASSED_ON = ("content-type", "accept", "user-agent", "anthropic-version", "anthropic-beta")
OF_THE_KEY = ("authorization", "x-api-key")


class Wire(httpx2.AsyncBaseTransport):
    """`key`: sent in the header in which the library has the stand-in. Without one, neither header is sent."""

    def __init__(self, transport: httpx.AsyncBaseTransport, key: str | None) -> None:
        self._transport, self._key = transport, key

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        sent = httpx.Request(
            request.method,
            str(request.url),
            headers=self._headers(request.headers),
            content=body,
            extensions={"timeout": request.extensions.get("timeout", {})},
        )
        with _as_theirs():
            answer = await self._transport.handle_async_request(sent)
        if wrong := _unasked(answer):
            await answer.aclose()
            raise wrong
        return httpx2.Response(
            answer.status_code,
            headers=[(name, value) for name, value in answer.headers.raw if name.lower() != b"content-encoding"],
            stream=_Body(answer),
            extensions={"http_version": answer.extensions.get("http_version", b"HTTP/1.1")},
        )

    def _headers(self, given: httpx2.Headers) -> dict[str, str]:
        sent = {name: given[name] for name in PASSED_ON if name in given}
        for name in OF_THE_KEY:
            if self._key and STAND_IN in given.get(name, ""):
                sent[name] = given[name].replace(STAND_IN, self._key)
        return {**sent, "accept-encoding": "identity"}


class _Body(httpx2.AsyncByteStream):
    """The answer as it comes, up to MOST_BYTES."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer, self._left = answer, MOST_BYTES

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_theirs():
            async for part in self._answer.aiter_raw():
                self._left -= len(part)
                if self._left < 0:
                    raise WorkflowStepError(
                        f"The answer is larger than {MOST_BYTES:,} bytes, so it was not read further.",
                        is_permanent=True,
                    )
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


def _unasked(answer: httpx.Response) -> WorkflowStepError | None:
    """An answer that is none of a model's: what the libraries say of these helps nobody."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    packed = answer.headers.get("content-encoding", "identity").strip().lower()
    status = answer.status_code
    if 300 <= status < 400:
        text = f"The server address answered {status}: it sends on to another address, which is not followed."
        return WorkflowStepError(text, {"status": status}, is_permanent=True)
    if packed not in ("", "identity"):
        return WorkflowStepError(f"The answer is packed ({packed[:40]}), which was not asked for.", {"status": status})
    if status < 300 and kind in ("text/html", "application/json"):
        text = f"The server address answered with {kind} and not with a stream of words. Is it the address of a model?"
        return WorkflowStepError(text, {"status": status, "content_type": kind})
    return None


@contextmanager
def _as_theirs() -> Iterator[None]:
    """What goes wrong below us, as the libraries above us know it."""
    try:
        yield
    except httpx.TransportError as error:
        theirs = getattr(httpx2, type(error).__name__, httpx2.TransportError)
        raise theirs(str(error)) from error
