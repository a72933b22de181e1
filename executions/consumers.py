"""Two doors: the engine's, on the channel "engine", and the viewers', one for each open page.

They hear and pass on; they decide and write nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from importlib import import_module
from typing import Any

from channels.auth import get_user
from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from executions import fragments, live
from executions.hub import FLUSH_S, Window, current_hub
from executions.models import WorkflowExecution
from executions.worker import Worker, current_worker
from workflows.permissions import visible

SessionStore = import_module(settings.SESSION_ENGINE).SessionStore
NONSENSE, SIGNED_OUT, NO_RIGHT, UNKNOWN = 4400, 4401, 4403, 4404  # 44xx tells a page not to come back
FAILED = 4011  # ours is the fault: the page comes back
RECHECK_S = 10.0
log = logging.getLogger(__name__)


class ExecutionWorker(AsyncConsumer):
    """The background consumer. Its handlers only wake the worker: one that was slow or raised would cost others
    their messages."""

    async def engine_start(self, message: dict[str, Any]) -> None:
        """From the process that serves: begins to look for work; then joins the bell, which only makes it quicker."""
        await self.worker.start()
        await self.channel_layer.group_add(live.ENGINES, self.channel_name)

    async def engine_wake(self, message: dict[str, Any]) -> None:
        self.worker.wake(message.get("execution"))

    @property
    def worker(self) -> Worker:
        return current_worker()


class ExecutionViewer(AsyncWebsocketConsumer):
    """One page that watches one execution. It says the last number that it shows; from there on it gets the rest."""

    window: Window | None = None
    pump: asyncio.Task[None] | None = None
    is_closed = False

    async def connect(self) -> None:
        self.execution_id: int = self.scope["url_route"]["kwargs"]["execution_id"]
        self.cursor: int | None = None
        self.seen: fragments.Pieces = {}
        self.bell = asyncio.Event()
        await self.accept()
        if refusal := await self._refusal():
            await self.close(refusal)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        after = _after(text_data)
        if self.is_closed:
            return
        if after is None:
            await self.close(NONSENSE)
        elif self.pump is None and not await self._refusal():
            self.cursor = after
            self.window = await current_hub().join(self.execution_id, self.bell.set)
            self.pump = asyncio.create_task(self._pump(self.window), name=f"viewer of {self.execution_id}")

    async def disconnect(self, code: int) -> None:
        if self.pump:
            self.pump.cancel()
        if self.window:
            current_hub().leave(self.window, self.bell.set)

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Nothing is sent after it."""
        self.is_closed = True
        await super().close(code, reason)

    async def _pump(self, window: Window) -> None:
        try:
            await self._stream(window)
        except Exception:
            log.exception("A page is let go and comes back", extra={"execution": self.execution_id})
            await self.close(FAILED)

    async def _stream(self, window: Window) -> None:
        checked = asyncio.get_running_loop().time()
        while not self.is_closed:
            await self._wait()
            if asyncio.get_running_loop().time() - checked > RECHECK_S:
                if refusal := await self._refusal():
                    await self.close(refusal)
                    return
                checked = asyncio.get_running_loop().time()
            if not self.is_closed:
                await self._send_news(window)

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_S):
                await self.bell.wait()
        self.bell.clear()

    async def _send_news(self, window: Window) -> None:
        if window.is_gone:
            await self.close(UNKNOWN)
        elif window.pieces:  # else it has not been read for the first time yet
            await self._send_slice(window)

    async def _send_slice(self, window: Window) -> None:
        items = window.kept_since(self.cursor or 0)
        if items is None:
            items = await current_hub().in_thread(window.earlier, self.cursor)
        changed = fragments.changed(window.pieces, self.seen)
        if items or changed:
            await self.send(window.frame(items, changed))
        self.seen = window.pieces
        if items:
            self.cursor = items[-1][0]
        if self.cursor is not None and self.cursor < window.seq:
            await asyncio.sleep(FLUSH_S)
            self.bell.set()

    async def _refusal(self) -> int | None:
        """Why this visitor may not watch, as a close code. Asked again and again: sessions end, rights change."""
        session = SessionStore(self.scope["session"].session_key)  # as it is now, not as when the socket was opened
        user = await get_user({"session": session})
        if not user.is_authenticated or not user.is_active:
            return SIGNED_OUT
        return await database_sync_to_async(_refusal_of)(user, self.execution_id)


def _after(text: str | None) -> int | None:
    try:
        after = json.loads(text or "")["after"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return after if type(after) is int and 0 <= after < 2**31 else None


def _refusal_of(user: Any, execution_id: int) -> int | None:
    executions = WorkflowExecution.objects.filter(pk=execution_id)
    if executions.filter(visible(user, "workflow__")).exists():
        return None
    return NO_RIGHT if executions.exists() else UNKNOWN
