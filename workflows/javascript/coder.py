"""JavaScript that people write: each piece runs once, in a jailed child of its own that was started beforehand.

Data goes in and comes out as JSON, lines of the log come as they are written, and whatever happens the child is gone
at the end. No Django; the first child starts with the first piece.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from workflows.jail import children as jail

WARM = 2  # children that wait for work
AT_ONCE = 4  # pieces that run in this process; the others wait for their turn
OF_ONE = 2  # of these, for one owner: whoever writes endless loops holds up nobody else
MEMORY = 128 * 1024 * 1024  # bytes that V8 may hold
INPUT_BYTES = 4 * 1024 * 1024
SPARE_S, START_S = 1.0, 30.0
MOST_LINES, LINE_LENGTH = 1_100, 4_100  # of its log: it is told to end a little before
UNREADABLE = object()
LONGEST_LINE = 16 * 1024 * 1024  # of what the child answers, escaped

Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class End:
    """How it ended: done, nothing, no JSON, pending, failed, syntax, late, memory, large, deep, killed, not started."""

    how: str
    value: Any = None
    told: dict[str, Any] = field(default_factory=dict)


class Warm:
    """Children that have started and wait. Any loop; all are started and taken by one thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[jail.Child] = deque()
        self._working: set[jail.Child] = set()
        self._hand: ThreadPoolExecutor | None = None

    def take(self) -> Future[jail.Child]:
        """The oldest, or a new one where none waits. Gives OSError where none can be started."""
        taken = self._by_hand().submit(self._take)
        self._by_hand().submit(self._fill_up)
        return taken

    def _by_hand(self) -> ThreadPoolExecutor:
        with self._lock:
            self._hand = self._hand or ThreadPoolExecutor(1, thread_name_prefix="code children")
            return self._hand

    def _take(self) -> jail.Child:
        child = self._oldest() or _spawned()
        with self._lock:
            self._working.add(child)
        return child

    def _oldest(self) -> jail.Child | None:
        with self._lock:
            while self._waiting:
                child = self._waiting.popleft()
                if child.poll() is None:
                    return child
                jail.kill(child)  # it died meanwhile
        return None

    def _fill_up(self) -> None:
        try:
            while len(self._waiting) < WARM:
                child = _spawned()
                with self._lock:
                    self._waiting.append(child)
        except (OSError, ImportError, RuntimeError):
            return  # the next one who needs a child is told

    def end(self, child: jail.Child) -> None:
        jail.kill(child)
        with self._lock:
            self._working.discard(child)

    def close(self) -> None:
        """Ends all, those at work too."""
        if self._hand:
            self._hand.shutdown()
        with self._lock:
            for child in (*self._waiting, *self._working):
                jail.kill(child)
            self._waiting.clear()
            self._working.clear()
            self._hand = None

    def pids(self) -> list[int]:
        return [child.pid for child in (*self._waiting, *self._working)]

    def renew(self) -> None:
        """In a forked process."""
        for child in (*self._waiting, *self._working):
            jail.forget(child)
        self.__init__()  # type: ignore[misc]


def _spawned() -> jail.Child:
    return jail.spawn("javascript/child", "py_mini_racer")


WARM_ONES = Warm()


class Turns:
    """Of one event loop, in the order in which they came."""

    def __init__(self) -> None:
        self._together = asyncio.Semaphore(AT_ONCE)
        self._by_owner: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def taken(self, owner: str) -> AsyncIterator[None]:
        own = (self._by_owner.get(owner) if owner else None) or asyncio.Semaphore(OF_ONE)
        self._by_owner[owner] = own
        async with own, self._together:
            yield


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()
atexit.register(WARM_ONES.close)
os.register_at_fork(after_in_child=WARM_ONES.renew)


async def run(source: str, given: str, timeout_s: float, say: Say, owner: str = "") -> End:
    """Runs a function body with `given`, the JSON text of {"data", "input", "now", "key"}. `say` gets level and text.
    `owner`: whose it is, such as a workflow.

    Cancelled, it takes the child with it.
    """
    turns = _turns.setdefault(asyncio.get_running_loop(), Turns())
    async with turns.taken(owner), _child() as child:
        if child is None:
            return End("not started")
        return await _talk(child, source, given, timeout_s, say)


@asynccontextmanager
async def _child() -> AsyncIterator[jail.Child | None]:
    taking = WARM_ONES.take()
    try:
        child = await asyncio.shield(asyncio.wrap_future(taking))
    except asyncio.CancelledError:
        taking.add_done_callback(_unwanted)  # in that thread: this loop may be over before
        raise
    except (OSError, ImportError, RuntimeError):
        yield None
        return
    try:
        yield child
    finally:
        WARM_ONES.end(child)


def _unwanted(taking: Future[jail.Child]) -> None:
    if not taking.cancelled() and taking.exception() is None:
        WARM_ONES.end(taking.result())


async def _talk(child: jail.Child, source: str, given: str, timeout_s: float, say: Say) -> End:
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader(limit=LONGEST_LINE)
    reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), child.stdout)
    writing, _ = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, child.stdin)
    try:
        async with asyncio.timeout(START_S):
            if not await lines.readline():
                return End("not started")
        request = {"source": source, "given": given, "timeout_s": timeout_s, "memory": MEMORY}
        writing.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(timeout_s + SPARE_S):
            return await _listen(lines, say)
    except TimeoutError:
        return End("late")
    except (ValueError, TypeError, ConnectionError):  # no line of ours
        return End("killed")
    finally:
        reading.close()
        if not writing.is_closing():
            writing.abort()  # what was not taken yet too: the pipe is gone in a moment, and the loop must not watch it


async def _listen(lines: asyncio.StreamReader, say: Say) -> End:
    """What it says is believed as little as what it runs: it may be V8 itself that was taken over."""
    left = MOST_LINES
    while line := await lines.readline():
        told = _read(line)
        if not isinstance(told, dict):
            return End("killed")
        for level, text in told.get("log", ())[:left]:
            say(str(level), str(text)[:LINE_LENGTH])
        left -= len(told.get("log", ()))
        if "end" in told:
            return _end(told)
    return End("killed")


def _end(told: dict[str, Any]) -> End:
    how = str(told["end"])
    if how != "done":
        return End(how, told=told)
    value = _read(str(told.get("json")))
    return End("deep") if value is UNREADABLE else End(how, value)


def _read(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return UNREADABLE
