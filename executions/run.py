"""One execution in one worker's hands, from the claim to its rest or its end.

Plan, note, work is the only loop in the house: the planner's moves and what the steps answered become entries, the
entries are committed as one unit, and only then do the steps start that depend on them. Steps run as tasks of their
own and tell what happened; everything else happens in this loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from django.conf import settings
from django.utils import timezone

from executions import blobs, budget, children, claim, limits, planner
from executions.alarm import Alarm, deadline, due, has_timed_out, next_due
from executions.crashpoints import reach
from executions.data import Ledger
from executions.entry import Entry
from executions.family import Families, Family
from executions.journal import Closing, Journal, NotCommitted, OwnershipLost, Unit
from executions.models import ExecutionStatus, ExecutionWait, Kind, WaitKind
from executions.models.execution import CANCELLED_BY_USER
from executions.opening import beginning
from executions.outcome import Setting, WorkerLost, commit_of, entry_for, keep, timed_out, usage_of
from executions.planner import Finish, GiveUp, Move, Rest, Resume, Skip, Start, State, Stop, next_moves
from executions.supplies import Supplies
from executions.tracing import current_execution
from executions.workshop import TIMED_OUT, USUAL, Ended, Line, Workshop, caught
from workflows.blueprint import Blueprint
from workflows.errors import WorkflowStepError
from workflows.steps.base import Call, Done, Each, Pause, Wait
from workflows.values import clean, copied

log = logging.getLogger(__name__)


class Host(Protocol):
    """What a run needs of the worker that it lives in."""

    journal: Journal

    @property
    def has_room(self) -> bool: ...
    def grew(self, execution_id: int) -> None: ...
    def due(self, at: datetime) -> None: ...
    def ring(self, executions: Collection[int]) -> None: ...
    def in_thread(self, function: Callable[[], Any]) -> Future[Any]: ...


class Run:
    def __init__(self, host: Host, held: claim.Held, blueprint: Blueprint) -> None:
        self.host = host
        self.execution_id, self.fence, self.nudges = held.execution_id, held.fence, held.nudges
        self.given = held.given
        self.blueprint, self.graph = blueprint, blueprint.graph
        self.state, self.ledger = State(), Ledger(blueprint.graph, held.given, blueprint.named)
        for entry in held.entries:
            self._apply(entry)
        self.state.seq = held.last_seq
        held.entries = ()  # what is still asked for is in the ledger
        self.closing: Closing | None = None  # how it was let go, once it is
        self._held = held
        self._pause_before = list(held.pause_before)
        self._supplies = Supplies(host.journal, held, blueprint, self.state, self.ledger)
        self._mask = self._supplies.mask
        self._weight, self._logged = held.weight, held.logged  # bytes, roughly
        self._families = Families(self._ring)
        self._workshop = Workshop(host.in_thread, self._is_large, self._stow, self._mask.text)
        self._alarm = Alarm(self.nudge)
        self._unit = self._new_unit()
        self._in_flight: Unit | None = None
        self._to_start: list[Start] = []
        self._ends: list[Ended] = []  # of steps that have writes of their own to be committed with them
        self._nudged = not held.has_begun and (bool(held.nudges) or self.state.started)  # before the claim
        self._is_lost = False
        self._limits = settings.ENGINE
        self._now = timezone.now()  # of the pass that is under way

    def _ring(self) -> None:
        self._workshop.bell.set()

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
            await self._supplies.learn()
            await self._take_over()
            while self.closing is None:
                if self._nudged or self._is_lost:
                    await self._look()
                self._plan()
                await self._commit()
                if self._ends:
                    await self._commit_ends()
                self._start_steps()
                if self.closing is None and not self._workshop.has_news:
                    await self._workshop.listen()
        except asyncio.CancelledError:
            await self._hand_back()
            raise
        finally:
            self._workshop.close()
            self._alarm.stop()
            self._families.stop()
            del self._workshop, self._alarm, self._families  # each knows us: the collector would have to find us all
            current_execution.reset(working_for)

    # Plan

    async def _take_over(self) -> None:
        """Steps that ran when their owner was lost run again, under the same idempotency key."""
        if self._held.has_begun:
            self._to_start = [Start(node_id) for node_id in self.state.active]
            self._alarm.set(self.state.expires_at)
            return
        lost = [node for node in self.state.active if self.state.nodes[node].status == "running"]
        if lost:
            self._note(Entry(Kind.TAKEN_OVER, data={"nodes": lost}))
            log.warning("Taken over with %d steps under way", len(lost))
            reach("take_over.noted")
        for node_id in lost:
            self._miss(node_id)
        for node_id in list(self.state.active):
            await self._watch(node_id)
        self._alarm.set(self.state.expires_at)

    def _miss(self, node_id: str) -> None:
        """Its time was over before anybody took it up again."""
        node, limit, now = self.state.nodes[node_id], deadline(self.blueprint, self.state, node_id), timezone.now()
        if limit and now >= limit:
            error = timed_out(self.blueprint.policy(node_id))
            self._note_outcome(Ended(node_id, node.attempt, error, 0, now))

    async def _watch(self, node_id: str) -> None:
        """A step that waits, as its journal tells it: for its time, and for its children."""
        node = self.state.nodes[node_id]
        if node.status == "waiting":
            self._alarm.set(due(self.blueprint, self.state, node_id))
            if node.waits_for == WaitKind.CHILD:
                await self._regain(node_id, node.attempt)

    async def _regain(self, node_id: str, attempt: int) -> None:
        fan_out = partial(caught, partial(self._fanned_out, node_id))
        is_quick = self._is_light and self._supplies.is_quick(node_id, True)
        outcome = fan_out() if is_quick else await self._supplies.apart(node_id)(fan_out)
        if isinstance(outcome, BaseException):
            self._unit.closed.append(node_id)
            self._unit.orphaned.append(node_id)
            self._note_outcome(Ended(node_id, attempt, outcome, 0, timezone.now()))
        else:
            self._families.add(Family(node_id, attempt, outcome))

    def _fanned_out(self, node_id: str) -> Each | Call:
        return self._supplies.step_again(node_id).fan_out(copied(self.ledger.incoming[node_id]))

    async def _look(self) -> None:
        """Reads what others did, where a nudge said so."""
        if self._is_lost:
            raise OwnershipLost
        self._nudged = False
        families = list(self._families.now)
        look = await self.host.journal.patiently(claim.look, self.execution_id, self.fence, families)
        if look is None:
            raise OwnershipLost
        self.nudges, self._pause_before = look.nudges, list(look.pause_before)
        if look.is_cancel_requested and not self.state.cancel_requested:
            self._note(Entry(Kind.CANCEL_REQUESTED, data={"by": look.cancelled_by}))
        self._note_pause(look)
        for wait in look.over:
            self._answer(wait)
        for family in families:
            await self._bring_up(family, look)

    def _note_pause(self, look: claim.Look) -> None:
        if look.is_paused and not self.state.paused_at:
            reason = {"reason": look.pause_reason} if look.pause_reason else {}
            self._note(Entry(Kind.PAUSED, data={"by": look.paused_by, **reason}))
        elif self.state.paused_at and not look.is_paused:
            expires_at = self.state.expires_at
            if expires_at:  # the limit stood still
                expires_at += timezone.now() - self.state.paused_at
                self._alarm.set(expires_at)
            data = {"by": look.paused_by, "expires_at": expires_at.isoformat() if expires_at else None}
            self._note(Entry(Kind.RESUMED, data=data))

    async def _bring_up(self, family: Family, look: claim.Look) -> None:
        """Some of its children may have ended: others take their places, or the step goes on with what they brought."""
        if family not in self._families.now:  # its step was stopped, or has failed
            return
        survey = look.surveys[family.node]
        family.made = survey.last + 1
        self._families.stir()
        if family.is_through(survey):
            await self._gather(family)
        elif family.gave_up(survey):
            self._unit.orphaned.append(family.node)
        elif not (self.state.is_stopping or self.state.paused_at):
            self._unit.children += family.orders(survey.live)

    async def _gather(self, family: Family) -> None:
        brought = children.Gathering()
        while brought.answer is None:
            await self.host.journal.patiently(children.gather, self.execution_id, family, brought)
        self._families.drop(family.node)
        self._unit.closed.append(family.node)
        self._resume(family.node, brought.answer)

    def _answer(self, wait: ExecutionWait) -> None:
        node = self.state.nodes.get(wait.node)
        if node is None or node.status != "waiting" or node.attempt != wait.attempt:
            return
        by = wait.answered_by.get_username() if wait.answered_by else None
        data: dict[str, Any] = {"by": by, "answer": wait.answer, "due": wait.answered_at is None}
        if wait.kind in (WaitKind.APPROVAL, WaitKind.CALLBACK):
            data["kind"] = wait.kind
        self._unit.closed.append(wait.node)
        if self._families.drop(wait.node):
            self._unit.orphaned.append(wait.node)
        self._note(Entry(Kind.ANSWERED, wait.node, wait.attempt, data))

    def _plan(self) -> None:
        self._now = timezone.now()
        if not self.state.started:
            self._begin()
        self._write_down()
        self._check_times()
        while self._unit.closing is None:
            planned = next_moves(self.graph, self.state, self._pause_before)
            moves = [move for move in planned if isinstance(move, Start) or not self._is_under_way(move)]
            if not moves or (moves == [Rest()] and (self._workshop.is_busy() or self._ends or self._lingers)):
                return
            for move in moves:
                self._act(move)
            if all(isinstance(move, Start) for move in moves) and not self.state.is_stopping:
                return  # nothing follows from a start before it ends

    def _begin(self) -> None:
        self._note(beginning(self._held.time_limit_s, self._supplies.variables, self._now))
        self._alarm.set(self.state.expires_at)

    def _check_times(self) -> None:
        """What runs for too long. A step that waits has its limit in its wait."""
        now, is_going_on = self._now, not (self.state.is_stopping or self.state.paused_at or self.state.status)
        if is_going_on and self.state.expires_at and now >= self.state.expires_at:
            self._note(limits.time_is_over(self._held.time_limit_s, now))
        for node_id in self.state.active:
            node = self.state.nodes[node_id]
            limit = deadline(self.blueprint, self.state, node_id) if node.status == "running" else None
            if limit and now >= limit:
                self._workshop.stop(node_id, node.attempt, TIMED_OUT)

    @property
    def _lingers(self) -> bool:
        """While children come and go quickly, letting go and taking up again would cost more than waiting here."""
        return self._families.are_lively and not self.state.paused_at and self.host.has_room

    def _write_down(self) -> None:
        """What the steps told, in its order."""
        for told in self._workshop.heard():
            if isinstance(told, Line):
                self._note_line(told)
            else:
                self._note_outcome(told)

    def _note_line(self, line: Line) -> None:
        """As long as there is room: a log that grows for ever would fill the disk."""
        limit, before = self._limits["LOG_BYTES"], self._logged
        self._logged += len(line.text)
        if self._logged <= limit:
            data = {"text": line.text} if line.level == USUAL else {"level": line.level, "text": line.text}
            entry = self._ready(Entry(Kind.LOGGED, line.node, line.attempt, data, at=line.at))
            self._unit.entries.append(entry)
            self.state.seq = entry.seq  # nothing else follows from a line
        elif before <= limit and not self.state.is_log_full:
            self._note(limits.log_is_full(limit, line.at))

    def _is_under_way(self, move: Move) -> bool:
        if isinstance(move, Resume):
            return self._workshop.is_busy(move.node)
        return isinstance(move, Stop) and self._workshop.is_stopping(move.node)

    def _act(self, move: Move) -> None:
        match move:
            case Start():
                self._start(move)
            case Skip():
                self._note(Entry(Kind.SKIPPED, move.node, at=self._now))
            case Resume():
                self._resume(move.node, self.state.nodes[move.node].answer)
            case planner.Pause():
                self._pause(move.node)
            case Stop():
                self._stop(move.node)
            case GiveUp():
                self._give_up(move.node)
            case Finish():
                self._finish(move.status)
            case Rest():
                self._rest()

    def _start(self, move: Start) -> None:
        limit = self._limits["STEPS"]
        if self.state.starts < limit:
            self._note(Entry(Kind.STARTED, move.node, move.attempt, at=self._now))
            self._to_start.append(move)
        elif not self.state.is_stopping:
            self._note(limits.too_many_steps(limit))

    def _resume(self, node_id: str, answer: Any) -> None:
        node, now = self.state.nodes[node_id], timezone.now()
        took = (now - node.started_at).total_seconds() if node.started_at else 0
        if not (self._is_light and self._supplies.is_quick(node_id, True) and blobs.is_small(answer)):
            resumed, began = partial(self._resumed, node_id, answer), perf_counter() - took
            self._workshop.go_on(node_id, node.attempt, resumed, began, self._supplies.apart(node_id))
            return
        try:
            outcome: Any = self._resumed(node_id, answer)
        except Exception as error:
            outcome = error
        if isinstance(outcome, Done) and not blobs.is_small(outcome.output):
            self._workshop.go_on(node_id, node.attempt, lambda: outcome, perf_counter() - took, asyncio.to_thread)
            return
        self._note_outcome(Ended(node_id, node.attempt, outcome, round(took * 1000), now))

    def _resumed(self, node_id: str, answer: Any) -> Any:
        """Perhaps in a thread: reads, and changes nothing."""
        if has_timed_out(self.blueprint, self.state, node_id):
            raise timed_out(self.blueprint.policy(node_id))
        is_child = self.state.nodes[node_id].waits_for == WaitKind.CHILD
        if is_child and isinstance(answer, dict) and set(answer) == {"refused"}:
            raise WorkflowStepError(answer["refused"])
        return self._supplies.step_again(node_id).resume(copied(self.ledger.incoming[node_id]), copied(answer))

    def _pause(self, node_id: str) -> None:
        """Before this step, as somebody asked."""
        self._pause_before = [other for other in self._pause_before if other != node_id]
        self._unit.paused_before = node_id
        self._note(Entry(Kind.PAUSED, data={"by": None, "before": node_id}))

    def _pause_for_budget(self, node_id: str, reason: str) -> None:
        """Its whole family pauses; the others hear of it from their rows."""
        self._unit.paused_for = reason
        if not self.state.paused_at:
            self._note(Entry(Kind.PAUSED, data={"by": None, "before": node_id, "reason": reason}))

    def _stop(self, node_id: str) -> None:
        attempt = self.state.nodes[node_id].attempt
        if not self._workshop.stop(node_id, attempt):  # it waits, or was noted as started and will not be
            self._to_start = [start for start in self._to_start if start.node != node_id]
            self._ends = [ended for ended in self._ends if ended.node != node_id]
            self._unit.opened = [wait for wait in self._unit.opened if wait.node != node_id]
            self._unit.children = [order for order in self._unit.children if order.node != node_id]
            self._unit.closed.append(node_id)
            if self.state.nodes[node_id].waits_for == WaitKind.CHILD:
                self._families.drop(node_id)
                self._unit.orphaned.append(node_id)
            self._note(Entry(Kind.CANCELLED, node_id, attempt))

    def _give_up(self, node_id: str) -> None:
        error = WorkerLost(f"The worker was lost {planner.MAX_LOSSES} times in a row while this step ran.")
        self._note_outcome(Ended(node_id, self.state.nodes[node_id].attempt, error, 0, timezone.now()))

    def _finish(self, status: str) -> None:
        now, error = self._now, self.state.failure if status == "failed" else None
        message = error["message"] if error else CANCELLED_BY_USER if status == "cancelled" else ""
        closing = self._closing(status, now)
        closing.completed_at, closing.error, closing.error_message = now, error, message
        closing.output = self.ledger.result() if status == "completed" else None
        closing.whatever = status == "cancelled"
        closing.has_aftermath = bool(self._held.parent_id or self._held.has_slot or error)
        closing.entries = [Entry(Kind.FINISHED, data={"status": status}, at=now)]
        self._unit.closing = closing
        reach("finish.before")

    def _rest(self) -> None:
        closing = self._closing(ExecutionStatus.WAITING, next_due(self.blueprint, self.state))
        closing.nudges = self.nudges
        self._unit.closing = closing
        reach("rest.before")

    def _closing(self, status: str, due_at: datetime) -> Closing:
        return Closing(status, due_at, self.state.steps_done, len(self.graph.nodes))

    # Note

    def _note(self, entry: Entry) -> None:
        """Everything that is written goes through here, and all that later steps see comes of it: no secret passes."""
        self._unit.entries.append(self._ready(entry))
        self._apply(entry)

    def _ready(self, entry: Entry) -> Entry:
        if not self._mask.is_empty and entry.added is None:  # what is large was masked in its thread
            entry.data = self._mask.data(entry.data)
        entry.seq = self.state.seq + 1
        return entry

    def _apply(self, entry: planner.Entry) -> None:
        self.ledger.apply(entry, self.state)
        self.state.apply(entry)

    def _note_outcome(self, ended: Ended) -> None:
        if commit_of(ended.outcome):
            self._ends.append(ended)
            return
        if isinstance(ended.outcome, Each) and not ended.outcome.items:
            self._note(
                Entry(Kind.WAITED, ended.node, ended.attempt, {"kind": WaitKind.CHILD, "until": None, "each": 0})
            )
            self._resume(ended.node, {"items": [], "failed": [], "count": 0})
            return
        self._note_end(ended, entry_for(ended, self._setting(ended)))

    def _setting(self, ended: Ended) -> Setting:
        return Setting(
            node=self.graph.nodes[ended.node],
            incoming=self.ledger.incoming[ended.node],
            handles=self.blueprint.handles(ended.node),
            policy=self.blueprint.policy(ended.node),
            failures=self.state.nodes[ended.node].failures,
            is_stopping=self.state.is_stopping,
            mask=self._mask,
        )

    def _note_end(self, ended: Ended, entry: Entry) -> None:
        self._note(entry)
        if usage := usage_of(ended.outcome):
            usage = replace(usage, model=self._mask.text(usage.model))
            self._unit.usages.append(budget.row(self.execution_id, self._held.root_id, ended, usage))
        if isinstance(ended.outcome, Pause) and entry.kind == Kind.ABANDONED and not self.state.is_stopping:
            self._pause_for_budget(ended.node, entry.data["reason"])
        if entry.kind in (Kind.WAITED, Kind.RETRIED):
            self._open_wait(ended, entry)

    def _open_wait(self, ended: Ended, entry: Entry) -> None:
        row = ExecutionWait(execution_id=self.execution_id, node=ended.node, attempt=ended.attempt)
        row.kind = self.state.nodes[ended.node].waits_for or WaitKind.TIME
        row.due_at = due(self.blueprint, self.state, ended.node)
        row.reason = str(entry.data.get("reason") or "")
        if isinstance(ended.outcome, Wait) and ended.outcome.ask:
            row.asks = self._mask.data(clean(asdict(ended.outcome.ask)))
        self._unit.opened.append(row)
        self._alarm.set(row.due_at)
        if isinstance(ended.outcome, Each | Call):
            self._raise(Family(ended.node, ended.attempt, self._masked(ended.outcome)))

    def _masked(self, outcome: Each | Call) -> Each | Call:
        """What children are given is written in rows of theirs, and they were never told what to hide."""
        if isinstance(outcome, Call):
            return replace(outcome, given=self._mask.data(outcome.given))
        return replace(outcome, items=self._mask.data(outcome.items), shared=self._mask.data(outcome.shared))

    def _raise(self, family: Family) -> None:
        self._families.add(family)
        if not self.state.paused_at:
            self._unit.children += family.orders()

    async def _commit(self) -> None:
        if self._unit.is_empty:
            return
        if self._unit.closing and not self._is_light:
            await self._stow_output(self._unit.closing)
        unit, self._unit = self._unit, self._new_unit()
        for number, entry in enumerate(unit.closing.entries if unit.closing else (), self.state.seq + 1):
            entry.seq = number
        self._in_flight = unit
        await self.host.journal.commit(unit)
        self._settle(unit)

    async def _commit_ends(self) -> None:
        """Each in a unit of its own: nothing may be planned upon an end before its step's own writes are made."""
        while self._ends and self.closing is None:
            ended = self._ends.pop(0)
            entry = entry_for(ended, self._setting(ended))
            if entry.kind != Kind.COMPLETED:
                self._note_end(ended, entry)
                await self._commit()
                continue
            unit = self._new_unit()
            unit.entries, unit.commit = [self._ready(entry)], commit_of(ended.outcome)
            if usage := usage_of(ended.outcome):
                unit.usages.append(budget.row(self.execution_id, self._held.root_id, ended, usage))
            self._in_flight = unit
            try:
                await self.host.journal.commit(unit)
            except NotCommitted as error:
                self._in_flight = None
                self._note_outcome(Ended(ended.node, ended.attempt, error.cause, ended.took_ms, ended.at))
                await self._commit()
            else:
                self._settle(unit)
            self._workshop.bell.set()

    async def _stow_output(self, closing: Closing) -> None:
        """While the unit is still ours to be handed back."""
        if closing.output is not None:
            split = partial(blobs.split, self.execution_id, closing.output, limit=sys.maxsize)
            closing.output, closing.output_blobs = await asyncio.to_thread(split)

    def _new_unit(self) -> Unit:
        return Unit(self.execution_id, self.fence, parent_id=self._held.parent_id)

    def _settle(self, unit: Unit) -> None:
        """What came of a unit that was written."""
        self._in_flight = None
        if unit.commit:
            self._apply(unit.entries[0])
        self.host.grew(self.execution_id)
        if unit.children or unit.woken:
            self.host.ring(unit.woken)
        if unit.closing and unit.result is True:
            self._close(unit.closing)
        elif unit.closing:
            self.nudge()  # somebody asked for something in that very moment: look, and plan again

    def _close(self, closing: Closing) -> None:
        for entry in closing.entries:
            self._apply(entry)
        self.closing = closing
        reach("finish.committed" if closing.completed_at else "rest.committed")
        if closing.error:
            log.info("Failed: %s", closing.error_message[:200])
        if closing.status == ExecutionStatus.WAITING:
            self.host.due(closing.due_at)

    # Work

    def _start_steps(self) -> None:
        starts, self._to_start, supplies = self._to_start, [], self._supplies
        for start in starts:
            context = supplies.context(start)
            if self._is_light and self.blueprint.is_instant(start.node):
                supplies.lend(start.node, context)
                self._workshop.do(partial(supplies.step, start.node), context)
                continue
            fill = partial(supplies.fill, start.node)
            if is_light := self._is_light and not supplies.spends(start.node):
                fill(context)
            apart = None if supplies.is_quick(start.node, self._is_light) else supplies.apart(start.node)
            self._workshop.start(partial(supplies.step, start.node), context, None if is_light else fill, apart)
            self._alarm.set(deadline(self.blueprint, self.state, start.node))

    def _is_large(self, outcome: Any) -> bool:
        """Whether a step hands on much; counts what it hands on."""
        if not isinstance(outcome, Done) or not isinstance(outcome.output, Mapping):
            return False
        weight = blobs.weight(outcome.output)
        self._weight += weight
        return weight > blobs.SMALL_BYTES

    async def _stow(self, node_id: str, outcome: Done) -> Any:
        """A large output is worked up in a thread, so that no other execution has to wait for it."""
        kept = partial(keep, self.execution_id, self.ledger.incoming[node_id], outcome, self._mask)
        return await asyncio.to_thread(caught, kept)

    @property
    def _is_light(self) -> bool:
        """Everything in it taken together is small, so nothing of it has to be looked at again."""
        return self._weight <= blobs.SMALL_BYTES

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
            reach("hand_back.noted")
            await self.host.journal.commit(self._unit)
            self.host.grew(self.execution_id)

    async def _settle_in_flight(self) -> None:
        """What was handed in is written, whoever is cancelled meanwhile, and we must know what came of it."""
        if self._in_flight:
            await self.host.journal.flush()
            if isinstance(self._in_flight.result, NotCommitted):
                self._in_flight = None
                return
            if isinstance(self._in_flight.result, Exception):
                raise self._in_flight.result
            self._settle(self._in_flight)
