"""How a provider's library reaches its endpoint: by our own connections, with the headers and the key that we choose.

The libraries look into the environment for keys, organisations and headers of their own; nothing of that leaves. They
hold a stand-in for the key, which becomes the key on the way out, so that nothing they print or raise can have it.
"""

from __future__ import annotations

import httpx2

from workflows.errors import WorkflowStepError

STAND_IN = "the-key-is-put-in-on-the-way"
PASSED_ON = ("content-type", "accept", "user-agent", "anthropic-version", "anthropic-beta")
OF_THE_KEY = ("authorization", "x-api-key")


class Wire(httpx2.AsyncBaseTransport):
    """`key`: sent in the header in which the library has the stand-in. Without one, neither header is sent."""

    def __init__(self, client: httpx2.AsyncClient, key: str | None) -> None:
        self._client, self._key = client, key

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers, body = self._headers(request.headers), await request.aread()
        extensions = {"timeout": request.extensions.get("timeout", {})}
        sent = httpx2.Request(request.method, request.url, headers=headers, content=body, extensions=extensions)
        answer = await self._client.send(sent, stream=True)
        if wrong := _unasked(answer):
            await answer.aclose()
            raise wrong
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=answer.stream)

    def _headers(self, given: httpx2.Headers) -> dict[str, str]:
        sent = {name: given[name] for name in PASSED_ON if name in given}
        for name in OF_THE_KEY:
            if self._key and STAND_IN in given.get(name, ""):
                sent[name] = given[name].replace(STAND_IN, self._key)
        return {**sent, "accept-encoding": "identity"}


def _unasked(answer: httpx2.Response) -> WorkflowStepError | None:
    """An answer that is none of a model's: what the libraries say of these helps nobody."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    status = answer.status_code
    if 300 <= status < 400:
        text = f"The server address answered {status}: it sends on to another address, which is not followed."
        return WorkflowStepError(text, {"status": status}, is_permanent=True)
    if status < 300 and kind in ("text/html", "application/json"):
        text = f"The server address answered with {kind} and not with a stream of words. Is it the address of a model?"
        return WorkflowStepError(text, {"status": status, "content_type": kind})
    return None
