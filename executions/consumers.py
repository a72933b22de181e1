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
from executions.board import Hello, Margin, Page, current_board, seen_by
from executions.catalogue import sight_of
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
        for execution_id in message.get("executions") or (None,):
            self.worker.wake(execution_id)

    @property
    def worker(self) -> Worker:
        return current_worker()


class Viewer(AsyncWebsocketConsumer):
    """One open page. Nothing is told before its hello; who may not look is let go, also when rights change later.

    It has no channel of its own in the layer: the hub hears the bells for all, and a page lives on while Redis is away.
    """

    channel_layer_alias = ""  # the name of none
    pump: asyncio.Task[None] | None = None
    is_closed = False

    async def connect(self) -> None:
        self.bell = asyncio.Event()
        await self.accept()
        if refusal := await self._refusal():
            await self.close(refusal)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.is_closed:
            return
        hello = self.understood(text_data)
        if hello is None:
            await self.close(NONSENSE)
        elif self.pump is None and not await self._refusal():
            await self.begin(hello)
            self.pump = asyncio.create_task(self._pump(), name=f"viewer at {self.scope['path']}")

    async def disconnect(self, code: int) -> None:
        if self.pump:
            self.pump.cancel()
        self.end()

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Nothing is sent after it."""
        self.is_closed = True
        await super().close(code, reason)

    # What each kind of page does in its own way

    def understood(self, text: str | None) -> Any:
        """The page's hello; None for anything that no page of ours says."""
        raise NotImplementedError

    async def begin(self, hello: Any) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    async def send_news(self) -> None:
        raise NotImplementedError

    def refusal_of(self, user: Any) -> int | None:
        """Why this user may not look, as a close code. Runs in a thread."""
        raise NotImplementedError

    # The pump

    async def _pump(self) -> None:
        try:
            await self._stream()
        except Exception:
            log.exception("A page is let go and comes back", extra={"path": self.scope["path"]})
            await self.close(FAILED)

    async def _stream(self) -> None:
        checked = asyncio.get_running_loop().time()
        while not self.is_closed:
            await self._wait()
            if asyncio.get_running_loop().time() - checked > RECHECK_S:
                if refusal := await self._refusal():
                    await self.close(refusal)
                    return
                checked = asyncio.get_running_loop().time()
            if not self.is_closed:
                await self.send_news()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_S):
                await self.bell.wait()
        self.bell.clear()

    async def _refusal(self) -> int | None:
        """Why this visitor may not watch, as a close code. Asked again and again: sessions end, rights change."""
        session = SessionStore(self.scope["session"].session_key)  # as it is now, not as when the socket was opened
        user = await get_user({"session": session})
        if not user.is_authenticated or not user.is_active:
            return SIGNED_OUT
        return await database_sync_to_async(self.refusal_of)(user)


class ExecutionViewer(Viewer):
    """One page that watches one execution. It says the last number that it shows; from there on it gets the rest."""

    window: Window | None = None

    @property
    def execution_id(self) -> int:
        return int(self.scope["url_route"]["kwargs"]["execution_id"])

    def understood(self, text: str | None) -> int | None:
        after = _said(text).get("after")
        return after if type(after) is int and 0 <= after < 2**31 else None

    async def begin(self, hello: int) -> None:
        self.cursor, self.seen = hello, fragments.Pieces()
        self.window = await current_hub().join(self.execution_id, self.bell.set)

    def end(self) -> None:
        if self.window:
            current_hub().leave(self.window, self.bell.set)

    async def send_news(self) -> None:
        window = self.window
        if window is None or window.is_gone:
            await self.close(UNKNOWN)
        elif window.pieces:  # else it has not been read for the first time yet
            await self._send_slice(window)

    async def _send_slice(self, window: Window) -> None:
        items = window.kept_since(self.cursor)
        if items is None:
            items = await current_hub().in_thread(window.earlier, self.cursor)
        changed = fragments.changed(window.pieces, self.seen)
        if items or changed:
            await self.send(window.frame(items, changed))
        self.seen = window.pieces
        if items:
            self.cursor = items[-1][0]
        if self.cursor < window.seq:
            await asyncio.sleep(FLUSH_S)
            self.bell.set()

    def refusal_of(self, user: Any) -> int | None:
        executions = WorkflowExecution.objects.filter(pk=self.execution_id)
        if executions.filter(visible(user, "workflow__")).exists():
            return None
        return NO_RIGHT if executions.exists() else UNKNOWN


class ListViewer(Viewer):
    """One page with a list. It says which rows it shows, and gets those that change, as long as it may see them."""

    page: Page | None = None
    user: Any = None

    def understood(self, text: str | None) -> Hello | None:
        return Hello.of(_said(text))

    async def begin(self, hello: Hello) -> None:
        self.page = Page(self.bell.set, hello.marks)
        self.asked, self.bottom = hello.asked, hello.bottom
        await database_sync_to_async(self._look_around)(self.user)
        current_board().join(self.page)

    def end(self) -> None:
        if self.page:
            current_board().leave(self.page)

    async def send_news(self) -> None:
        if self.page and (frame := current_board().news_for(self.page)):
            await self.send(frame)

    def refusal_of(self, user: Any) -> int | None:
        """Nobody who is signed in is refused: a list holds what one may see."""
        self.user = user
        if self.page:
            self._look_around(user)
        return None

    def _look_around(self, user: Any) -> None:
        """What may be seen, as of now: rows that may not are forgotten."""
        assert self.page is not None
        self.page.marks = seen_by(user, self.page.marks)
        if self.asked is not None:
            self.page.margin = Margin(self.asked, sight_of(user), self.bottom)


def _said(text: str | None) -> dict[str, Any]:
    """The JSON object that a page says; empty for anything else."""
    try:
        said = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
