"""One execution in one worker's hands, from the claim to its rest or its end.

Plan, note, work is the only loop in the house: the planner's moves and what the steps answered become entries, the
entries are committed as one unit, and only then do the steps start that depend on them. Steps run as tasks of their
own and tell what happened; everything else happens in this loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from django.utils import timezone

from executions import claim, planner
from executions.data import Ledger
from executions.entry import Entry
from executions.journal import Closing, Journal, OwnershipLost, Unit
from executions.models import ExecutionStatus, ExecutionWait, Kind, WaitKind
from executions.models.execution import CANCELLED_BY_USER
from executions.outcome import WorkerLost, entry_for, kind_of
from executions.planner import Finish, GiveUp, Move, Rest, Resume, Skip, Start, State, Stop, next_moves
from executions.tracing import current_execution
from executions.workshop import Ended, Line, Workshop
from workflows import steps
from workflows.blueprint import Blueprint
from workflows.steps.base import StepContext, Wait
from workflows.values import clean, clean_text, copied

log = logging.getLogger(__name__)

FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)
A_DAY_S = 86_400.0


class Host(Protocol):
    """What a run needs of the worker that it lives in."""

    journal: Journal

    def grew(self, execution_id: int) -> None: ...
    def due(self, at: datetime) -> None: ...
    def in_thread(self, function: Callable[[], Any]) -> Future[Any]: ...


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
        self._workshop = Workshop(host.in_thread)
        self._unit = Unit(self.execution_id, self.fence)
        self._in_flight: Unit | None = None
        self._to_start: list[Start] = []
        self._nudged = bool(held.nudges) or self.state.started  # what was done to it before the claim
        self._is_lost = False

    # What others may call, on the loop's thread

    def nudge(self) -> None:
        self._nudged = True
        self._workshop.bell.set()

    def lose(self) -> None:
        """The lease could not be renewed: stop the steps and write no more."""
        self._is_lost = True
        self._workshop.bell.set()

    async def walk(self) -> None:
        """To rest or end; `closing` then says which. Cancelled: it hands the execution back. Raises OwnershipLost."""
        working_for = current_execution.set(self.execution_id)
        try:
            self._take_over()
            while self.closing is None:
                await self._look()
                self._plan()
                await self._commit()
                self._start_steps()
                if self.closing is None:
                    await self._workshop.listen()
        except asyncio.CancelledError:
            await self._hand_back()
            raise
        finally:
            self._workshop.close()
            current_execution.reset(working_for)

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
        if self._is_lost:
            raise OwnershipLost
        if not self._nudged:
            return
        self._nudged = False
        look = await self.host.journal.patiently(claim.look, self.execution_id, self.fence)
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
        data: dict[str, Any] = {"by": by, "answer": wait.answer, "due": wait.answered_at is None}
        if wait.kind in (WaitKind.APPROVAL, WaitKind.CALLBACK):
            data["kind"] = wait.kind
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
        for told in self._workshop.heard():
            if isinstance(told, Line):
                data = {"level": told.level, "text": told.text}
                self._note(Entry(Kind.LOGGED, told.node, told.attempt, data, at=told.at))
            else:
                self._note_outcome(told)

    def _is_under_way(self, move: Move) -> bool:
        return isinstance(move, Stop) and self._workshop.is_stopping(move.node)

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
            outcome: Any = self.blueprint.step(node_id).resume(
                copied(self.ledger.incoming[node_id]), copied(node.answer)
            )
        except Exception as error:
            outcome = error
        took = (timezone.now() - node.started_at).total_seconds() if node.started_at else 0
        self._note_outcome(Ended(node_id, node.attempt, outcome, round(took * 1000), timezone.now()))

    def _stop(self, node_id: str) -> None:
        attempt = self.state.nodes[node_id].attempt
        if not self._workshop.stop(node_id, attempt):  # it waits, or was noted as started and will not be
            self._to_start = [start for start in self._to_start if start.node != node_id]
            self._unit.opened = [wait for wait in self._unit.opened if wait.node != node_id]
            self._unit.closed.append(node_id)
            self._note(Entry(Kind.CANCELLED, node_id, attempt))

    def _give_up(self, node_id: str) -> None:
        error = WorkerLost(f"The worker was lost {planner.MAX_LOSSES} times in a row while this step ran.")
        self._note_outcome(Ended(node_id, self.state.nodes[node_id].attempt, error, 0, timezone.now()))

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
        node, incoming = self.graph.nodes[ended.node], self.ledger.incoming[ended.node]
        handles = steps.kind_of(node).handles
        entry = entry_for(ended, node, incoming, handles, self.state.is_stopping)
        if entry.kind == Kind.WAITED:
            self._open_wait(ended.node, ended.attempt, ended.outcome)
        self._note(entry)

    def _open_wait(self, node: str, attempt: int, wait: Wait) -> None:
        row = ExecutionWait(execution_id=self.execution_id, node=node, attempt=attempt, due_at=wait.until)
        row.reason, row.kind = clean_text(wait.reason)[:200], kind_of(wait)
        if wait.ask:
            asks = {"title": wait.ask.title, "message": wait.ask.message, "fields": list(wait.ask.fields)}
            row.asks, row.named = clean(asks), (wait.ask.people, wait.ask.groups)
        self._unit.opened.append(row)
        if wait.until:
            self._wake_at(wait.until)

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
            self._workshop.start(partial(self.blueprint.step, start.node), self._context(start))

    def _context(self, start: Start) -> StepContext:
        return StepContext(
            input=copied(self.given),
            data=copied(self.ledger.incoming[start.node]),
            node=start.node,
            attempt=start.attempt,
            now=timezone.now(),
            idempotency_key=f"{self.execution_id}:{start.node}:0",
        )

    def _wake_at(self, until: datetime) -> None:
        left = (until - timezone.now()).total_seconds()
        self._workshop.later(min(max(0.0, left), A_DAY_S), lambda: self._wake(until))

    def _wake(self, until: datetime) -> None:
        """A timer of more than a day, or a clock that was set back, rings too early."""
        if until > timezone.now():
            self._wake_at(until)
        else:
            self.nudge()

    # Let go

    async def _hand_back(self) -> None:
        """Stops the steps and makes the execution due for whoever is next. What cannot be written, the lease ends."""
        with contextlib.suppress(Exception):
            await self._settle_in_flight()
            if self.closing:
                return
            await self._workshop.stop_all()
            while self._workshop.has_news:
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
