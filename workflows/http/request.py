"""What is asked of another system, and how the question gets there: redirects by hand, one time limit over all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from workflows.errors import AddressRefused, WorkflowStepError
from workflows.http.answer import Answer
from workflows.http.showing import in_short
from workflows.outgoing import client

if TYPE_CHECKING:
    import httpx

REDIRECTS = 5
LARGE = 64 * 1024  # bytes, beyond which an answer is looked through in a thread
GOES_ON = frozenset((301, 302, 303, 307, 308))
#: All that another origin may see. Anything else may hold what lets somebody in.
FOR_ANYBODY = frozenset(("accept", "accept-encoding", "accept-language", "content-type", "user-agent"))


@dataclass(frozen=True, slots=True)
class Request:
    """`headers`: (name, value), checked. `hidden`: the name in the query whose value nobody may see. `hide`: takes the
    values of secrets out of a text, before it is cut short."""

    method: str
    url: httpx.URL
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    follows: bool = True
    hidden: str = ""
    hide: Callable[[Any], Any] = field(default=lambda told: told, repr=False, compare=False)

    @property
    def shown(self) -> str:
        return f"{self.method} {self.short(self.url)}"

    def short(self, url: object) -> str:
        return in_short(url, self.hidden, hide=self.hide)


@dataclass(slots=True)
class Sending:
    """How far a request got. `was_sent`: its first byte may have arrived, so what it asks for may have been done."""

    request: Request
    tell: Callable[[str], object] = field(default=lambda text: None)
    was_sent: bool = False

    async def answer(self, within_s: float) -> Answer:
        """Raises TimeoutError, httpx.HTTPError, and WorkflowStepError where it may not or cannot go on."""
        began = perf_counter()
        async with asyncio.timeout(within_s):
            answer = await self._followed()
        hidden = partial(answer.hidden, self.request.hide)
        answer = await asyncio.to_thread(hidden) if len(answer.body) > LARGE else hidden()
        return replace(answer, took_ms=round((perf_counter() - began) * 1_000))

    async def _followed(self) -> Answer:
        for _ in range(REDIRECTS + 1):
            answer = await self._asked()
            onward = answer.headers.get("location") if answer.status in GOES_ON else None
            if not onward or not self.request.follows:
                return answer
            self.request = redirected(self.request, answer.status, onward)
            self.tell(f"{answer.status}: goes on to {self.request.short(self.request.url)}")
        raise WorkflowStepError(f"It was sent on more than {REDIRECTS} times (redirects).", is_permanent=True)

    async def _asked(self) -> Answer:
        http, asked = client.client(), self.request
        made = http.build_request(
            asked.method,
            asked.url,
            headers=[("Accept-Encoding", "gzip"), *asked.headers],
            content=asked.body or None,
            extensions={"trace": self._trace},
        )
        response = await http.send(made, stream=True)
        try:
            is_onward = response.status_code in GOES_ON and asked.follows and "location" in response.headers
            body = b"" if is_onward else await _read(response)
        finally:
            await response.aclose()
        return Answer(response.status_code, response.reason_phrase, _headers(response), body, str(response.url))

    async def _trace(self, event: str, info: Any) -> None:
        if event == "http11.send_request_headers.started":
            self.was_sent = True


def redirected(request: Request, status: int, location: str) -> Request:
    """The same once more, to where it was sent on; to another origin without what lets somebody in."""
    url = _onward(request, location)
    if request.url.scheme == "https" and url.scheme == "http":
        text = f"It was sent on from https to {request.short(url)}, where everybody could read along."
        raise WorkflowStepError(text, is_permanent=True)
    made = replace(request, url=url)
    if _origin(url) != _origin(request.url):
        made = replace(made, headers=tuple(pair for pair in made.headers if pair[0].lower() in FOR_ANYBODY))
    if (status == 303 and request.method != "HEAD") or (status in (301, 302) and request.method == "POST"):
        made = replace(made, method="GET", body=b"", headers=_without_body(made.headers))
    return made


def _onward(request: Request, location: str) -> httpx.URL:
    """Checked as one that somebody typed."""
    try:
        onward = str(request.url.join(location))
    except Exception:  # httpx has several for what is no URL
        text = f"It was sent on to “{request.hide(location)[:200]}”, which is no URL."
        raise WorkflowStepError(text, is_permanent=True) from None
    try:
        return client.check_url(onward)
    except AddressRefused as error:
        shown = request.hide(onward)
        why = error.message if shown == onward else f"“{shown[:200]}”"  # that sentence may have cut a secret
        raise AddressRefused(f"It was sent on to where it may not go: {why}") from None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _without_body(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in headers if not pair[0].lower().startswith(("content-", "idempotency-")))


async def _read(response: httpx.Response) -> bytes:
    """Raw: it is unpacked, counted and cut off below us."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
    return bytes(body)


def _headers(response: httpx.Response) -> dict[str, str]:
    """By lower-case names; without cookies, which let their owner in. What came twice is joined by commas."""
    return {name.lower(): value for name, value in response.headers.items() if name.lower() != "set-cookie"}
