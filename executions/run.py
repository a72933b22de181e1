"""One execution in one worker's hands, from the claim to its rest or its end.

Plan, note, work is the only loop in the house: the planner's moves and what the steps answered become entries, the
entries are committed as one unit, and only then do the steps start that depend on them. Steps run as tasks of their
own and tell what happened; everything else happens in this loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from django.utils import timezone

from executions import claim, planner
from executions.data import Ledger, pack
from executions.entry import Entry
from executions.journal import Closing, Journal, OwnershipLost, Unit
from executions.models import ExecutionStatus, ExecutionWait, Kind
from executions.models.execution import CANCELLED_BY_USER
from executions.planner import Finish, GiveUp, Move, Rest, Resume, Skip, Start, State, Stop, next_moves
from executions.tracing import current_execution
from workflows.blueprint import Blueprint
from workflows.errors import WorkflowStepError
from workflows.steps.base import Done, Outcome, Step, StepContext, Wait
from workflows.values import clean, clean_text, copied

log = logging.getLogger(__name__)

LINE_BYTES = 16_384
LINES_AT_ONCE = 500  # a flood of lines becomes several units, so that it holds up nobody's commit for long
LINES_NOW = 64
LINES_LATEST_S = 0.05
STOP_GRACE_S = 2.0  # what a step may take to end after it was cancelled
FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)


class StillRunning(Exception):
    """A step was told to stop, and something of it goes on."""


class Host(Protocol):
    """What a run needs of the worker that it lives in."""

    journal: Journal

    def grew(self, execution_id: int) -> None: ...
    def due(self, at: datetime) -> None: ...
    def in_thread(self, function: Callable[[], Any]) -> Future[Any]: ...


@dataclass(slots=True)
class Line:
    node: str
    attempt: int
    level: str
    text: str
    at: datetime


@dataclass(slots=True)
class Ended:
    """A step's attempt is over: its outcome, or why there is none."""

    node: str
    attempt: int
    outcome: Outcome | BaseException
    took_ms: int
    at: datetime


class Run:
    def __init__(self, host: Host, held: claim.Held, blueprint: Blueprint) -> None:
        self.host = host
        self.execution_id, self.fence, self.nudges = held.execution_id, held.fence, held.nudges
        self.given = held.given
        self.blueprint, self.graph = blueprint, blueprint.graph
        self.state, self.ledger = State(), Ledger(blueprint.graph, held.given)
        for entry in held.entries:
            self._apply(entry)
        self.state.seq = held.last_seq
        self.closing: Closing | None = None  # how it was let go, once it is
        self._told: deque[Line | Ended] = deque()
        self._unit = Unit(self.execution_id, self.fence)
        self._in_flight: Unit | None = None
        self._to_start: list[Start] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[str] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._lines_timer: asyncio.TimerHandle | None = None
        self._bell = asyncio.Event()
        self._nudged = True  # what happened before the claim is looked at first

    # What others may call, on the loop's thread

    def nudge(self) -> None:
        self._nudged = True
        self._bell.set()

    async def walk(self) -> None:
        """To rest or end; `closing` then says which. Cancelled: it hands the execution back. Raises OwnershipLost."""
        current_execution.set(self.execution_id)
        try:
            self._take_over()
            while self.closing is None:
                await self._look()
                self._plan()
                await self._commit()
                self._start_steps()
                await self._hear()
        except asyncio.CancelledError:
            await self._hand_back()
            raise
        finally:
            self._drop_everything()

    # Plan

    def _take_over(self) -> None:
        """Steps that ran when their owner was lost run again, under the same idempotency key."""
        lost = [node for node in self.state.active if self.state.nodes[node].status == "running"]
        if lost:
            self._note(Entry(Kind.TAKEN_OVER, data={"nodes": lost}))
            log.warning("Taken over with %d steps under way", len(lost))
        for node in self.state.nodes.values():
            if node.status == "waiting" and node.until:
                self._wake_at(node.until)

    async def _look(self) -> None:
        """Reads what others did, where a nudge said so."""
        fresh = not self.state.started
        if not self._nudged or (fresh and not self.nudges):
            self._nudged = False
            return
        self._nudged = False
        look = await self.host.journal.run(claim.look, self.execution_id, self.fence)
        if look is None:
            raise OwnershipLost
        self.nudges = look.nudges
        if look.is_cancel_requested and not self.state.cancel_requested:
            self._note(Entry(Kind.CANCEL_REQUESTED, data={"by": look.cancelled_by}))
        for wait in look.over:
            self._answer(wait)

    def _answer(self, wait: ExecutionWait) -> None:
        node = self.state.nodes.get(wait.node)
        if node is None or node.status != "waiting" or node.attempt != wait.attempt:
            return
        by = wait.answered_by.get_username() if wait.answered_by else None
        data = {"by": by, "answer": wait.answer, "due": wait.answered_at is None}
        self._unit.closed.append(wait.node)
        self._note(Entry(Kind.ANSWERED, wait.node, wait.attempt, data))

    def _plan(self) -> None:
        if not self.state.started:
            self._note(Entry(Kind.STARTED))
        self._write_down()
        while self._unit.closing is None:
            moves = [move for move in next_moves(self.graph, self.state) if not self._is_under_way(move)]
            if not moves:
                return
            for move in moves:
                self._act(move)
            if all(isinstance(move, Start) for move in moves):
                return  # nothing follows from a start before it ends

    def _write_down(self) -> None:
        """What the steps told, in its order."""
        for _ in range(min(len(self._told), LINES_AT_ONCE)):
            told = self._told.popleft()
            if isinstance(told, Line):
                data = {"level": told.level, "text": told.text}
                self._note(Entry(Kind.LOGGED, told.node, told.attempt, data, at=told.at))
            elif self._tasks.pop(told.node, None) is not None:
                self._stopping.discard(told.node)
                self._note_outcome(told)
        if self._told:
            self._bell.set()

    def _is_under_way(self, move: Move) -> bool:
        return isinstance(move, Stop) and move.node in self._stopping

    def _act(self, move: Move) -> None:
        match move:
            case Start():
                self._note(Entry(Kind.STARTED, move.node, move.attempt))
                self._to_start.append(move)
            case Skip():
                self._note(Entry(Kind.SKIPPED, move.node))
            case Resume():
                self._resume(move.node)
            case Stop():
                self._stop(move.node)
            case GiveUp():
                self._give_up(move.node)
            case Finish():
                self._finish(move.status)
            case Rest():
                self._rest()

    def _resume(self, node_id: str) -> None:
        node = self.state.nodes[node_id]
        try:
            outcome: Any = self.blueprint.step(node_id).resume(self.ledger.incoming[node_id], node.answer)
        except Exception as error:
            outcome = error
        took = (timezone.now() - node.started_at).total_seconds() if node.started_at else 0
        self._note_outcome(Ended(node_id, node.attempt, outcome, round(took * 1000), timezone.now()))

    def _stop(self, node_id: str) -> None:
        task = self._tasks.get(node_id)
        if task is None:  # it waits, or was noted as started and will not be
            self._to_start = [start for start in self._to_start if start.node != node_id]
            self._unit.closed.append(node_id)
            self._note(Entry(Kind.CANCELLED, node_id, self.state.nodes[node_id].attempt))
            return
        self._stopping.add(node_id)
        task.cancel()
        self._later(STOP_GRACE_S, lambda: self._abandon(node_id, task))

    def _abandon(self, node_id: str, task: asyncio.Task[None]) -> None:
        """It does not stop, as a thread cannot: from now on its result is refused."""
        if self._tasks.get(node_id) is task:
            error = StillRunning(f"It did not stop within {STOP_GRACE_S:g} s; what it answers is refused.")
            self._tell(Ended(node_id, self.state.nodes[node_id].attempt, error, 0, timezone.now()))

    def _give_up(self, node_id: str) -> None:
        attempt = self.state.nodes[node_id].attempt
        text = f"The worker was lost {planner.MAX_LOSSES} times in a row while this step ran."
        error = self._error("WorkerLost", text, node_id, attempt)
        self._note(Entry(Kind.FAILED, node_id, attempt, {"error": error}))

    def _finish(self, status: str) -> None:
        now, error = timezone.now(), self.state.failure if status == "failed" else None
        message = error["message"] if error else CANCELLED_BY_USER if status == "cancelled" else ""
        closing = self._closing(status, now)
        closing.completed_at, closing.error, closing.error_message = now, error, message
        closing.output = self.ledger.result(self.state) if status == "completed" else None
        closing.whatever = status == "cancelled"
        closing.entries = [Entry(Kind.FINISHED, data={"status": status}, at=now)]
        self._unit.closing = closing

    def _rest(self) -> None:
        waiting = [self.state.nodes[node_id] for node_id in self.state.active]
        closing = self._closing(ExecutionStatus.WAITING, min(node.until or FAR_FUTURE for node in waiting))
        closing.nudges = self.nudges
        self._unit.closing = closing

    def _closing(self, status: str, due_at: datetime) -> Closing:
        return Closing(status, due_at, self.state.steps_done, len(self.graph.nodes))

    # Note

    def _note(self, entry: Entry) -> None:
        entry.seq = self.state.seq + 1
        self._unit.entries.append(entry)
        self._apply(entry)

    def _apply(self, entry: planner.Entry) -> None:
        self.ledger.apply(entry, self.state)
        self.state.apply(entry)

    def _note_outcome(self, ended: Ended) -> None:
        try:
            entry = self._entry_for(ended)
        except Exception as error:  # the output cannot be kept, and that is the step's failure
            ended.outcome = error
            entry = self._entry_for(ended)
        entry.at = ended.at
        self._note(entry)

    def _entry_for(self, ended: Ended) -> Entry:
        node, attempt, took = ended.node, ended.attempt, ended.took_ms
        match ended.outcome:
            case Done(output=Mapping() as output, handle=handle) if handle in self.blueprint.step(node).handles:
                packed = pack(self.ledger.incoming[node], clean(dict(output)), handle)
                return Entry(Kind.COMPLETED, node, attempt, packed, took)
            case Wait() as wait:
                return self._wait(node, attempt, wait)
            case asyncio.CancelledError() if self.state.is_stopping:
                return Entry(Kind.CANCELLED, node, attempt, None, took)
            case StillRunning() as error:
                return Entry(Kind.ABANDONED, node, attempt, {"reason": str(error)}, took)
            case BaseException() as error:
                return Entry(Kind.FAILED, node, attempt, {"error": self._error_of(error, node, attempt)}, took)
            case other:
                text = f"A step must answer with Done(an object, one of its handles) or Wait(…), not {other!r:.200}."
                return Entry(Kind.FAILED, node, attempt, {"error": self._error("TypeError", text, node, attempt)}, took)

    def _wait(self, node: str, attempt: int, wait: Wait) -> Entry:
        row = ExecutionWait(
            execution_id=self.execution_id, node=node, attempt=attempt, reason=wait.reason[:200], due_at=wait.until
        )
        self._unit.opened.append(row)
        if wait.until:
            self._wake_at(wait.until)
        until = wait.until.isoformat() if wait.until else None
        return Entry(Kind.WAITED, node, attempt, {"until": until, "reason": wait.reason})

    def _error_of(self, error: BaseException, node: str, attempt: int) -> dict[str, Any]:
        message = clean_text(str(error)) or type(error).__name__
        if isinstance(error, asyncio.CancelledError):
            message = "The step cancelled itself."
        details = clean(error.details) if isinstance(error, WorkflowStepError) else {}
        trace = clean_text("".join(traceback.format_exception(error)))
        return self._error(type(error).__name__, message, node, attempt, trace[-20_000:], details)

    def _error(
        self, kind: str, message: str, node: str, attempt: int, trace: str = "", details: Any = None
    ) -> dict[str, Any]:
        return {
            "type": kind,
            "message": message[:LINE_BYTES],
            "node": node,
            "step_name": self.graph.nodes[node].label,
            "attempt": attempt,
            "traceback": trace,
            "details": details or {},
        }

    async def _commit(self) -> None:
        unit, self._unit = self._unit, Unit(self.execution_id, self.fence)
        if not unit.entries and unit.closing is None:
            return
        for number, entry in enumerate(unit.closing.entries if unit.closing else (), self.state.seq + 1):
            entry.seq = number
        self._in_flight = unit
        await self.host.journal.commit(unit)
        self._settle(unit)

    def _settle(self, unit: Unit) -> None:
        """What came of a unit that was written."""
        self._in_flight = None
        self.host.grew(self.execution_id)
        if unit.closing and unit.result is True:
            self._close(unit.closing)
        elif unit.closing:
            self.nudge()  # somebody asked for something in that very moment: look, and plan again

    def _close(self, closing: Closing) -> None:
        for entry in closing.entries:
            self._apply(entry)
        self.closing = closing
        if closing.error:
            log.info("Failed: %s", closing.error_message[:200])
        if closing.status == ExecutionStatus.WAITING:
            self.host.due(closing.due_at)

    # Work

    def _start_steps(self) -> None:
        starts, self._to_start = self._to_start, []
        for start in starts:
            ctx = self._context(start)
            work = self._work(start.node, ctx)
            self._tasks[start.node] = asyncio.create_task(work, name=f"#{self.execution_id} {start.node}")

    def _context(self, start: Start) -> StepContext:
        node, attempt = start.node, start.attempt
        return StepContext(
            input=copied(self.given),
            data=copied(self.ledger.incoming[node]),
            node=node,
            attempt=attempt,
            now=timezone.now(),
            idempotency_key=f"{self.execution_id}:{node}:0",
            write=lambda level, text: self._tell(Line(node, attempt, level, _shortened(text), timezone.now())),
        )

    async def _work(self, node: str, ctx: StepContext) -> None:
        began = perf_counter()
        try:
            outcome: Any = await self._answer_of(self.blueprint.step(node), ctx)
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            outcome = error
        took = round((perf_counter() - began) * 1000)
        self._tell(Ended(node, ctx.attempt, outcome, took, timezone.now()))

    async def _answer_of(self, step: Step[Any], ctx: StepContext) -> Any:
        if inspect.iscoroutinefunction(step.run):
            return await step.run(ctx)
        loop, tell = asyncio.get_running_loop(), ctx.write
        ctx.write = lambda level, text: _discard(loop.call_soon_threadsafe(tell, level, text))
        future = self.host.in_thread(partial(copy_context().run, step.run, ctx))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.running():
                text = "A thread cannot be stopped: it runs on to its end, and what it answers is refused."
                raise StillRunning(text) from None
            raise

    # Hear

    def _tell(self, told: Line | Ended) -> None:
        self._told.append(told)
        if isinstance(told, Ended) or len(self._told) >= LINES_NOW:
            self._bell.set()
        elif self._lines_timer is None:
            self._lines_timer = asyncio.get_running_loop().call_later(LINES_LATEST_S, self._write_lines)

    def _write_lines(self) -> None:
        self._lines_timer = None
        self._bell.set()

    async def _hear(self) -> None:
        if self.closing is None:
            await self._bell.wait()
            self._bell.clear()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, call))

    def _wake_at(self, until: datetime) -> None:
        self._later(min(max(0.0, (until - timezone.now()).total_seconds()), 86_400), self.nudge)

    # Let go

    async def _hand_back(self) -> None:
        """Stops the steps and makes the execution due for whoever is next. What cannot be written, the lease ends."""
        with contextlib.suppress(Exception):
            await self._settle_in_flight()
            if self.closing:
                return
            await self._stop_tasks()
            self._write_down()
            for node_id in [node for node in self.state.active if self.state.nodes[node].status == "running"]:
                attempt = self.state.nodes[node_id].attempt
                self._note(Entry(Kind.ABANDONED, node_id, attempt, {"reason": "the worker was stopped"}))
            self._unit.closing = self._closing(ExecutionStatus.PENDING, timezone.now())
            self._unit.closing.whatever = True
            await self.host.journal.commit(self._unit)
            self.host.grew(self.execution_id)

    async def _settle_in_flight(self) -> None:
        """What was handed in is written, whoever is cancelled meanwhile, and we must know what came of it."""
        if self._in_flight:
            await self.host.journal.flush()
            if isinstance(self._in_flight.result, Exception):
                raise self._in_flight.result
            self._settle(self._in_flight)

    async def _stop_tasks(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_GRACE_S)
        # They were told to stop by us, not by anybody's wish: what they answer to that is no result.
        self._told = deque(told for told in self._told if not _is_cancelled(told))

    def _drop_everything(self) -> None:
        for timer in (*self._timers, self._lines_timer):
            if timer:
                timer.cancel()
        for task in self._tasks.values():
            task.cancel()


def _discard(_: object) -> None:
    """A step's log() answers nothing."""


def _is_cancelled(told: Line | Ended) -> bool:
    return isinstance(told, Ended) and isinstance(told.outcome, asyncio.CancelledError)


def _shortened(text: str) -> str:
    text = clean_text(str(text))
    return text if len(text) <= LINE_BYTES else f"{text[:LINE_BYTES]} … ({len(text):,} characters in all)"
