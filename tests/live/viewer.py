"""A page as the server sees it: a session's cookie, an origin, a hello, and the frames that come back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Self

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from executions import live
from executions.models import ExecutionLog
from workflowsite.asgi import application

PATIENCE_S = 15.0  # a bound for what must happen soon; nothing asserts how soon
QUIET_S = 0.3  # so long nothing must come, where nothing may come
OURS = "http://localhost"


class Viewer:
    def __init__(self, execution_id: int | str, cookie: str = "", origin: str | None = OURS) -> None:
        headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]
        headers += [(b"origin", origin.encode())] if origin is not None else []
        self.socket = WebsocketCommunicator(application, f"/ws/executions/{execution_id}/", headers=headers)
        self.session = cookie.rpartition("=")[2]
        self.seen: list[int] = []
        self.frames: list[str] = []
        self.is_accepted = False
        self.code: int | None = None

    @classmethod
    async def of(cls, user: User | None, execution_id: int | str, **how: Any) -> Self:
        return cls(execution_id, await sync_to_async(cookie_of)(user) if user else "", **how)

    async def open(self) -> None:
        self.is_accepted, self.code = await self.socket.connect(timeout=PATIENCE_S)

    async def hello(self, after: Any = 0) -> None:
        await self.say(json.dumps({"after": after}))

    async def say(self, what: str | bytes) -> None:
        told = {"text": what} if isinstance(what, str) else {"bytes": what}
        await self.socket.send_input({"type": "websocket.receive", **told})

    async def frame(self) -> str:
        """The next one; a refusal in its place is a failure."""
        told = await self.socket.receive_output(PATIENCE_S)
        assert told["type"] == "websocket.send", told
        self.frames.append(told["text"])
        self.seen += numbers(told["text"])
        return str(told["text"])

    async def until(self, is_enough: Callable[[str], bool]) -> str:
        while not is_enough(frame := await self.frame()):
            pass
        return frame

    async def sees(self, last: int) -> list[int]:
        """The numbers of all entries that came, once `last` is among them."""
        while last not in self.seen:
            await self.frame()
        return self.seen

    async def hears_nothing(self) -> bool:
        return bool(await self.socket.receive_nothing(timeout=QUIET_S))

    async def rest(self) -> list[str]:
        """What still comes, until nothing does."""
        before = len(self.frames)
        while not await self.hears_nothing():
            await self.frame()
        return self.frames[before:]

    async def closed_with(self) -> int:
        """The code with which the server closes; what comes before is kept."""
        while True:
            told = await self.socket.receive_output(PATIENCE_S)
            if told["type"] == "websocket.close":
                self.code = told["code"]
                return int(told["code"])
            self.frames.append(told["text"])

    async def leave(self) -> None:
        """As a browser does. Raises what the consumer raised."""
        if not self.socket.future.done():
            await self.socket.disconnect(timeout=PATIENCE_S)


def numbers(frame: str) -> list[int]:
    return [int(number) for number in re.findall(r'data-seq="(\d+)"', frame)]


def cookie_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


async def grow(execution_id: int, lines: int = 1, text: str = "line", rung: int = 1) -> int:
    """Writes so many log lines as an owner would, and rings the viewers' bell so often. The last entry's number."""
    last = await sync_to_async(_grow)(execution_id, lines, text)
    for _ in range(rung):
        await live.ring(live.VIEWERS, {"type": "journal.grew", "executions": [execution_id]})
    return last


async def last_of(execution_id: int) -> int:
    return await sync_to_async(_last_of)(execution_id)


def _last_of(execution_id: int) -> int:
    return ExecutionLog.objects.filter(execution=execution_id).order_by("-seq").values_list("seq", flat=True)[0]


def _grow(execution_id: int, lines: int, text: str) -> int:
    first = _last_of(execution_id) + 1
    common = {"execution_id": execution_id, "kind": "logged", "node": "work", "attempt": 1, "at": timezone.now()}
    ExecutionLog.objects.bulk_create(
        ExecutionLog(seq=seq, data={"level": "info", "text": f"{text} {seq}"}, **common)
        for seq in range(first, first + lines)
    )
    return first + lines - 1
