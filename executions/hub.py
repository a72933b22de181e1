"""The window's glass: one hub per event loop reads and renders each watched execution once, for all who watch it.

A Window joins the bell before its first read, so there is no gap; it reads on from the last number that it has, so
there is no doubt. A viewer takes the slice behind its own cursor. Bells may be lost, and from a worker in another
process without Redis none comes: one cheap look for all windows stands in for them, and a slow heartbeat reads anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connections
from django.db.models import OuterRef, Subquery

from executions import fragments, live
from executions.models import ExecutionLog, Kind, WorkflowExecution
from executions.plan import graph_of
from executions.planner import State, fold
from workflows.graph import Graph

log = logging.getLogger(__name__)

AT_ONCE = 500  # entries in one frame, and
FRAME_LENGTH = 256 * 1024  # characters of them; the server refuses to send much more than that
KEPT = 2_000  # rendered entries in memory, for viewers that lag a little
HEARTBEAT_S = 2.0
LOOK_S = 0.5
FLUSH_S = 0.03
BUSY_FLUSH_S = 0.2  # in a flood: fewer and larger frames, which a browser lays out once
BUSY = 50  # entries in one read

Items = list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class News:
    """What one read found: rendered entries, the last number, and the pieces where they may have changed."""

    items: Items
    seq: int
    pieces: fragments.Pieces | None


class Window:
    """One execution as it looks now. `read` runs in the hub's thread; what viewers take is set on the loop."""

    def __init__(self, execution_id: int) -> None:
        self.execution_id = execution_id
        self.viewers: set[Callable[[], None]] = set()
        self.bell = asyncio.Event()
        self.pieces: fragments.Pieces = {}
        self.seq = 0
        self.is_gone = self.is_busy = False
        self.read_at = -1e9  # by the loop's clock
        self._execution: WorkflowExecution | None = None
        self._graph, self._state = Graph([], []), State()
        self._kept: deque[tuple[int, str]] = deque(maxlen=KEPT)

    # In the thread

    def read(self) -> News | None:
        """What is new since the last read; None where the execution has been deleted."""
        rows = WorkflowExecution.objects.select_related("workflow", "version", "started_by", "paused_by")
        execution = rows.filter(pk=self.execution_id).first()
        if execution is None:
            return None
        new = self._read_on() if self._execution else self._begin(execution)
        self._execution = execution  # last: a first read that failed is made again
        only_lines = bool(new) and all(entry.kind == Kind.LOGGED for entry in new)
        pieces = None if only_lines else fragments.pieces(self._execution, self._graph, self._state)
        return News(self._rendered(new), self._state.seq, pieces)

    def earlier(self, after: int) -> Items:
        """What a viewer missed that is not kept any more."""
        missed = self._entries().filter(seq__gt=after, seq__lte=self.seq).order_by("seq")
        return fitting(self._rendered(list(missed[:AT_ONCE])))

    def _begin(self, execution: WorkflowExecution) -> list[ExecutionLog]:
        self._graph = graph_of(execution)
        last = self._entries().order_by("-seq").values_list("seq", flat=True).first() or 0
        self._state = fold(self._entries().told().filter(seq__lte=last).order_by("seq").iterator(1_000))
        self._state.seq = last
        return []

    def _read_on(self) -> list[ExecutionLog]:
        new = list(self._entries().filter(seq__gt=self._state.seq).order_by("seq")[:AT_ONCE])
        for entry in new:
            self._state.apply(entry)
        return new

    def _rendered(self, entries: list[ExecutionLog]) -> Items:
        assert self._execution is not None
        return fragments.entries(self._execution, self._graph, entries)

    def _entries(self) -> Any:
        return ExecutionLog.objects.filter(execution=self.execution_id)

    # On the loop

    def take(self, news: News) -> bool:
        """True where a viewer should look."""
        is_new = bool(news.items) or self.seq != news.seq or (news.pieces is not None and news.pieces != self.pieces)
        self._kept.extend(news.items)
        self.seq = news.seq
        self.is_busy = len(news.items) >= BUSY
        self.pieces = self.pieces if news.pieces is None else news.pieces
        if len(news.items) == AT_ONCE:
            self.bell.set()
        return is_new

    @property
    def is_final(self) -> bool:
        return self._execution is not None and self._execution.is_final

    @property
    def shown(self) -> tuple[int, int]:
        """(last number, nudges) as of the last read."""
        return self.seq, self._execution.nudges if self._execution else 0

    def kept_since(self, after: int) -> Items | None:
        """The next entries behind a cursor, from memory; None where they must be read."""
        if after >= self.seq:
            return []
        if not self._kept or self._kept[0][0] > after + 1:
            return None
        return fitting(item for item in self._kept if item[0] > after)

    def frame(self, items: Items, pieces: fragments.Pieces) -> str:
        assert self._execution is not None
        grown = fragments.appended(self._execution, [html for _, html in items])
        return grown + fragments.placed(self.execution_id, pieces)


def fitting(items: Iterable[tuple[int, str]]) -> Items:
    """As many as one frame takes; always one."""
    length, taken = 0, Items()
    for item in items:
        length += len(item[1])
        if taken and (length > FRAME_LENGTH or len(taken) == AT_ONCE):
            break
        taken.append(item)
    return taken


def last_shown(executions: list[int]) -> dict[int, tuple[int, int]]:
    """(last number, nudges) of each, as of now: one query that seeks in an index, however long the journals are."""
    entries = ExecutionLog.objects.filter(execution=OuterRef("pk")).order_by("-seq").values("seq")[:1]
    rows = WorkflowExecution.objects.filter(pk__in=executions).order_by()
    return {pk: (seq or 0, nudges) for pk, seq, nudges in rows.values_list("pk", Subquery(entries), "nudges")}


class Hub:
    """All windows of one event loop, the thread that reads for them, and the ear for the viewers' bell."""

    def __init__(self) -> None:
        self._windows: dict[int, Window] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ear: asyncio.Task[None] | None = None
        self._eye: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "hub")

    async def join(self, execution_id: int, viewer: Callable[[], None]) -> Window:
        """`viewer` is called, on the loop, whenever there is something to take."""
        window = self._windows.get(execution_id)
        if window is None:
            window = self._windows[execution_id] = Window(execution_id)
            self._tasks[execution_id] = asyncio.create_task(self._keep(window), name=f"window {execution_id}")
            self._ear = self._ear or asyncio.create_task(live.hear(live.VIEWERS, self._heard), name="viewers' bell")
            if self._eye is None or self._eye.done():
                self._eye = asyncio.create_task(self._look(), name="hub's look")
        window.viewers.add(viewer)
        viewer()
        return window

    def leave(self, window: Window, viewer: Callable[[], None]) -> None:
        window.viewers.discard(viewer)
        if not window.viewers and self._windows.get(window.execution_id) is window:
            del self._windows[window.execution_id]
            self._tasks.pop(window.execution_id).cancel()

    async def close(self) -> None:
        for task in (*self._tasks.values(), self._ear, self._eye):
            if task:
                task.cancel()
        await self.in_thread(connections.close_all)
        self._thread.shutdown(wait=False)

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """A thread and a connection of its own: the one that consumers share may be busy with somebody's page."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def _keep(self, window: Window) -> None:
        while True:
            window.bell.clear()
            if await self._read(window):
                for viewer in list(window.viewers):
                    viewer()
            await asyncio.sleep(BUSY_FLUSH_S if window.is_busy else FLUSH_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S * (10 if window.is_final else 1)):
                    await window.bell.wait()

    async def _read(self, window: Window) -> bool:
        try:
            window.read_at = asyncio.get_running_loop().time()
            news = await self.in_thread(window.read)
            window.is_gone = news is None
            return news is None or window.take(news)
        except Exception:
            # The pages stay as they are and say since when; the next heartbeat tries again on a fresh connection.
            log.exception("The page could not be read", extra={"execution": window.execution_id})
            await self.in_thread(connections.close_all)
            return False

    def _heard(self, executions: Iterable[int]) -> None:
        for execution_id in executions:
            if execution_id in self._windows:
                self._windows[execution_id].bell.set()

    async def _look(self) -> None:
        """While somebody watches: at what no bell has told of lately."""
        while self._windows:
            await asyncio.sleep(LOOK_S)
            since = asyncio.get_running_loop().time() - LOOK_S
            quiet = [key for key, window in self._windows.items() if window.read_at < since and not window.is_final]
            with contextlib.suppress(Exception):  # the windows say what is wrong
                now = await self.in_thread(last_shown, quiet) if quiet else {}
                self._heard(key for key in now if key in self._windows and self._windows[key].shown != now[key])


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current_hub() -> Hub:
    """The running event loop's hub; made at its first use."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
