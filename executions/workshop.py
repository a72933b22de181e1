"""The steps of one execution at work: a task each, and what they tell, in its order.

A step is told to stop by cancelling its task. What does not stop in time, as a thread cannot, is left to its end and
whatever it answers is refused; that it has ended at last is said in the server's log, and in the execution's while it
is still under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any

from django.utils import timezone

from executions.crashpoints import reach
from workflows.steps.base import Step, StepContext
from workflows.values import clean_text

log = logging.getLogger(__name__)

LINE_LENGTH = 16_384  # characters
LINES_AT_ONCE = 500  # a flood of lines becomes several units, so that it holds up nobody's commit for long
LINES_NOW = 64
LINES_LATEST_S = 0.05
STOP_GRACE_S = 2.0  # what a step may take to end after it was told to stop

CANCELLED, TIMED_OUT = "cancelled", "timed out"
LEVELS, USUAL = ("debug", "info", "warning", "error"), "info"  # nearly all lines: it is not written down

IsLarge = Callable[[Any], bool]
Stow = Callable[[str, Any], Awaitable[Any]]
Fill = Callable[[StepContext], None]
Apart = Callable[[Callable[[], Any]], Awaitable[Any]]  # does something beside the loop
InThread = Callable[[Callable[[], Any]], Future[Any]]


class StillRunning(Exception):
    """A step was told to stop, and something of it goes on."""


@dataclass(slots=True)
class Line:
    """A step wrote into the log."""

    node: str
    attempt: int
    level: str
    text: str
    at: datetime


@dataclass(slots=True)
class Ended:
    """A step's attempt is over: its outcome, or the exception that it ended with."""

    node: str
    attempt: int
    outcome: Any
    took_ms: int
    at: datetime
    was_stopped: str = ""  # CANCELLED or TIMED_OUT, where it was told to stop


class Workshop:
    def __init__(self, in_thread: InThread, is_large: IsLarge, stow: Stow, mask: Callable[[str], str] = str) -> None:
        """`is_large` gets each step's outcome once, and `stow` gives a large one as it shall be told. `mask`: hides
        secrets in a line."""
        self.bell = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._in_thread, self._is_large, self._stow, self._mask = in_thread, is_large, stow, mask
        self._told: deque[Line | Ended] = deque()
        self._tasks: dict[str, tuple[int, asyncio.Task[None] | None]] = {}  # (attempt, its task, where it has one)
        self._is_closed = False
        self._stopping: dict[str, str] = {}
        self._timers: list[asyncio.TimerHandle] = []
        self._lines_timer: asyncio.TimerHandle | None = None

    def start(
        self, make: Callable[[], Step[Any]], ctx: StepContext, fill: Fill | None = None, apart: Apart | None = None
    ) -> None:
        """`make` gives the step; where it cannot be made, that is what the attempt ends with.

        `fill`: what puts its data into the context, in a thread, where that takes time. `apart`: how `make` is
        done where it takes time as well; None: on the loop.
        """
        ctx.write = partial(self._write, ctx.node, ctx.attempt)
        work = self._work(ctx.node, ctx.attempt, partial(self._run, make, ctx, fill, apart))
        self._begin(ctx.node, ctx.attempt, work, f"step {ctx.idempotency_key}")

    def do(self, step: Callable[[], Step[Any]], ctx: StepContext) -> None:
        """A step that is over at once, here and now: a task of its own would cost more than the step."""
        began, lines = perf_counter(), list[tuple[str, str]]()
        ctx.write = lambda level, text: lines.append((level, text))
        try:
            outcome: Any = _at_once(step, ctx)
        except BaseException as error:  # whatever a step does, its run must hear of it
            outcome = error
        now = timezone.now()
        self._told.extend(self._line(ctx.node, ctx.attempt, *line, now) for line in lines)
        if self._is_large(outcome):
            work = self._work(ctx.node, ctx.attempt, partial(self._stow, ctx.node, outcome), began)
            self._begin(ctx.node, ctx.attempt, work, f"step {ctx.node} is stowed")
            return
        self._tasks[ctx.node] = ctx.attempt, None
        took = round((perf_counter() - began) * 1000)
        self._told.append(Ended(ctx.node, ctx.attempt, outcome, took, now))

    def go_on(self, node: str, attempt: int, answer: Callable[[], Any], began: float, apart: Apart) -> None:
        """A step whose wait is over and whose data is large: what follows is worked out in a thread.

        `began`: by perf_counter(), when the attempt did.
        """
        work = self._work(node, attempt, partial(apart, partial(caught, answer)), began)
        self._begin(node, attempt, work, f"step {node} goes on")

    def _begin(self, node: str, attempt: int, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks[node] = attempt, task
        task.add_done_callback(partial(self._ended_before_it_began, node, attempt))

    def _ended_before_it_began(self, node: str, attempt: int, task: asyncio.Task[None]) -> None:
        """A task that is cancelled in the moment in which it is made never comes to its first line."""
        if task.cancelled():
            self._tell(Ended(node, attempt, asyncio.CancelledError(), 0, timezone.now()))

    def stop(self, node: str, attempt: int, why: str = CANCELLED) -> bool:
        """Tells a step to stop; False where it is not at work."""
        if node not in self._tasks:
            return False
        _, task = self._tasks[node]
        if task is None or node in self._stopping:  # it was told before; the first reason stays
            return True
        self._stopping[node] = why
        task.cancel()
        self.later(STOP_GRACE_S, lambda: self._abandon(node, attempt, task))
        return True

    def is_busy(self, node: str | None = None) -> bool:
        """With this step; with any."""
        return bool(self._tasks) if node is None else node in self._tasks

    def is_stopping(self, node: str) -> bool:
        return node in self._stopping

    def heard(self) -> Iterator[Line | Ended]:
        """What was told since the last time, at most LINES_AT_ONCE; of a late answer only that it came."""
        for _ in range(min(len(self._told), LINES_AT_ONCE)):
            told = self._told.popleft()
            if isinstance(told, Ended):
                if not self._is_at_work(told):
                    if not isinstance(told.outcome, StillRunning):
                        yield self._late(told.node, told.attempt)
                    continue
                del self._tasks[told.node]
                told.was_stopped = self._stopping.pop(told.node, "")
            yield told
        if self._told:
            self.bell.set()

    def _is_at_work(self, told: Ended) -> bool:
        """An attempt that was given up may answer while the next one is under way."""
        return told.node in self._tasks and self._tasks[told.node][0] == told.attempt

    def _late(self, node: str, attempt: int) -> Line:
        text = "It has ended now, after it was told to stop. What it answered is refused."
        log.warning("A step has ended after it was told to stop; its answer is refused: %s, attempt %d", node, attempt)
        return Line(node, attempt, "warning", text, timezone.now())

    @property
    def has_news(self) -> bool:
        return bool(self._told)

    async def listen(self) -> None:
        """Until something was told, or the bell was rung."""
        await self.bell.wait()
        self.bell.clear()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, call))

    async def stop_all(self) -> None:
        """For the worker's own end: what steps answer to that is no result, so they run again elsewhere."""
        before, tasks = len(self._told), [task for _, task in self._tasks.values() if task]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_GRACE_S)
        self._told = deque(told for place, told in enumerate(self._told) if place < before or not _is_error(told))

    def close(self) -> None:
        self._is_closed = True
        for timer in (*self._timers, self._lines_timer):
            if timer:
                timer.cancel()
        for _, task in self._tasks.values():
            if task:
                task.cancel()

    async def _work(
        self, node: str, attempt: int, answer: Callable[[], Awaitable[Any]], began: float | None = None
    ) -> None:
        began = perf_counter() if began is None else began
        try:
            outcome: Any = await answer()
            if self._is_large(outcome):
                outcome = await self._stow(node, outcome)
            reach("step.returned")
        except BaseException as error:  # whatever a step does, its run must hear of it
            outcome = error
        took = round((perf_counter() - began) * 1000)
        self._tell(Ended(node, attempt, outcome, took, timezone.now()))

    async def _run(
        self, make: Callable[[], Step[Any]], ctx: StepContext, fill: Fill | None, apart: Apart | None
    ) -> Any:
        if fill:
            await asyncio.to_thread(fill, ctx)
        return await self._outcome(await apart(make) if apart else make(), ctx)

    async def _outcome(self, step: Step[Any], ctx: StepContext) -> Any:
        reach("step.before")
        if inspect.iscoroutinefunction(step.run):
            return await step.run(ctx)
        future = self._in_thread(partial(copy_context().run, caught, partial(step.run, ctx)))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.running():
                late = partial(self._thread_ended, ctx.node, ctx.attempt)
                future.add_done_callback(partial(_in_loop, asyncio.get_running_loop(), copy_context(), late))
                text = "A thread cannot be stopped: it runs on to its end, and what it answers is refused."
                raise StillRunning(text) from None
            raise

    def _thread_ended(self, node: str, attempt: int) -> None:
        self._tell(self._late(node, attempt))

    def _abandon(self, node: str, attempt: int, task: asyncio.Task[None]) -> None:
        if self._tasks.get(node) == (attempt, task):
            error = StillRunning(f"It did not stop within {STOP_GRACE_S:g} s; what it answers is refused.")
            self._tell(Ended(node, attempt, error, 0, timezone.now()))

    def _write(self, node: str, attempt: int, level: str, text: str) -> None:
        """From the loop, or from whatever thread the step has begun."""
        tell = partial(self._tell, self._line(node, attempt, level, text, timezone.now()))
        if _is_in(self._loop):
            tell()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
                self._loop.call_soon_threadsafe(tell)

    def _line(self, node: str, attempt: int, level: str, text: str, at: datetime) -> Line:
        shown = _shortened(self._mask(clean_text(str(text))))
        return Line(node, attempt, level if level in LEVELS else USUAL, shown, at)

    def _tell(self, told: Line | Ended) -> None:
        if self._is_closed:
            if isinstance(told, Ended) and not self._is_at_work(told):
                self._late(told.node, told.attempt)
            return
        self._told.append(told)
        if isinstance(told, Ended) or len(self._told) >= LINES_NOW:
            self.bell.set()
        elif self._lines_timer is None:
            self._lines_timer = asyncio.get_running_loop().call_later(LINES_LATEST_S, self._ring_for_lines)

    def _ring_for_lines(self) -> None:
        self._lines_timer = None
        self.bell.set()


def _at_once(make: Callable[[], Step[Any]], ctx: StepContext) -> Any:
    """Its coroutine's whole way in one go."""
    step = make()
    work = step.run(ctx)
    try:
        work.send(None)  # type: ignore[union-attr]
    except StopIteration as end:
        return end.value
    work.close()  # type: ignore[union-attr]
    raise TypeError(f"{type(step).__name__} says that it is instant, and awaits something.")


def caught(answer: Callable[[], Any]) -> Any:
    """In a thread. Exceptions go out as values: a future refuses some of them, such as StopIteration."""
    try:
        return answer()
    except BaseException as error:
        return error


def _is_in(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _in_loop(loop: asyncio.AbstractEventLoop, context: Context, call: Callable[[], None], future: Future[Any]) -> None:
    """From the thread; where the loop is closed, nobody is left to hear it."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, context=context)


def _is_error(told: Line | Ended) -> bool:
    """Many libraries turn a cancel into an error of their own."""
    return isinstance(told, Ended) and isinstance(told.outcome, BaseException)


def _shortened(text: str) -> str:
    return text if len(text) <= LINE_LENGTH else f"{text[:LINE_LENGTH]} … ({len(text):,} characters in all)"
