"""The engine's verbs in any order that chance finds: owners that die and come late, people who cancel, answer, pause
and repair, time that passes. After each of them the rows must still make sense, and in the end everything ends.

MACHINE_SEQUENCES: how many (1,000); MACHINE_STEPS: rules in each (10). Those that failed are tried again first.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from executions import claim, slots
from executions.data import Ledger
from executions.engine import WorkflowEngine
from executions.models import FINAL, ExecutionLog, ExecutionWait, WorkflowExecution
from executions.planner import State
from executions.repair import Repair
from tests.executions.conftest import chain, drawn, node, published
from tests.executions.owners import AT_WORK, Clock, Loop, Owner
from tests.storm.invariants import gapless_and_legal, halves, recorded_once
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import InputError, WorkflowExecutionError, WorkflowStepError
from workflows.models import Workflow
from workflows.steps.base import Ask, Done, Wait

pytestmark = pytest.mark.django_db

SEQUENCES = int(os.environ.get("MACHINE_SEQUENCES", "1000"))
SHRINKS = not os.environ.get("MACHINE_HASTE")
STEPS = int(os.environ.get("MACHINE_STEPS", "10"))
ANY = st.integers(0, 11)  # which one of those that there are, counted round
workflows: list[Workflow] = []


def work(node_id: str, **policy: Any) -> dict[str, Any]:
    return node(node_id, "test_told", **({"policy": policy} if policy else {}))


def publish_all() -> None:
    """Small ones, each with another of the engine's strengths."""
    retried = chain(work("a", attempts=2, backoff_s=10, timeout_s=60), work("b"))
    handled = drawn(
        [work("a"), work("b", on_failure="continue"), work("c", on_failure="error"), work("d"), work("e")],
        *("a>b", "a:other>c", "b>d", "c>d", "c:error>e"),
    )
    each = drawn(
        [node("each", "test_told_each", policy={"attempts": 2, "timeout_s": 600}), work("x"), work("y"), work("z")],
        *("each:each>x", "x>y", "each:done>z"),
    )
    strict = drawn([node("each", "test_told_each", stop_on_failure=True), work("x"), work("w")], "each:each>x")
    workflows.append(published(retried, time_limit_s=3_600))
    workflows.append(published(handled, max_parallel=2, on_failure=workflows[0]))
    workflows.append(published(each, time_limit_s=7_200))
    workflows.append(published(strict))
    workflows.append(published(chain(work("a"), work("b")), concurrency=1, on_failure=workflows[0]))
    workflows.append(published(chain(work("a")), concurrency=2, concurrency_key="k", priority=1))
    workflows.append(published(chain(node("call", "test_told_call", target=workflows[0].pk), work("b"))))


class Machine(RuleBasedStateMachine):
    # Setting up and down

    seen: dict[int, WorkflowExecution] = {}  # the rows as they were after the last rule

    @initialize(deaf=st.booleans(), which=st.integers(0, 6))
    def begin(self, deaf: bool, which: int) -> None:
        self.clock = Clock()
        self.stack = ExitStack()
        self.stack.enter_context(patch("django.utils.timezone.now", self.clock))
        self.stack.enter_context(transaction.atomic())
        self.stack.callback(transaction.set_rollback, True)
        self.stack.enter_context(connection.execute_wrapper(self.hear_sql))
        self.has_changed = True
        self.loop = Loop(self.clock)
        self.engine, self.owners, self.is_deaf = WorkflowEngine(), list[Owner](), deaf
        for has_room in (True, False):
            self.new_owner(has_room)
        self.states: dict[int, State] = {}
        self.last_read = 0
        self.completed: Counter[tuple[int, str]] = Counter()
        self.told: set[tuple[int, str, int, str]] = set()
        self.final: dict[int, tuple[Any, ...]] = {}
        self.answered: Counter[int] = Counter()
        self.cancelled: set[int] = set()
        self.submitted = 1
        self.engine.submit(workflows[which].pk, {"k": 1})

    def hear_sql(self, execute: Any, sql: str, *rest: Any) -> Any:
        self.has_changed |= not sql.startswith(("SELECT", "SAVEPOINT", "RELEASE"))
        return execute(sql, *rest)

    def new_owner(self, has_room: bool) -> None:
        Owner(self.owners, has_room).is_deaf = self.is_deaf

    def teardown(self) -> None:
        if not hasattr(self, "stack"):
            return
        try:
            self.everything_ends()
        finally:
            for owner in list(self.owners):
                self.loop.run_until_complete(owner.die())
            self.loop.close()
            AT_WORK.clear()
            self.stack.close()

    # What chance may choose

    @precondition(lambda self: self.submitted < 4)
    @rule(which=st.integers(0, 6), key=st.sampled_from([1, 2]), before=st.sampled_from([[], [], ["b"], ["a", "z"]]))
    def submit(self, which: int, key: int, before: list[str]) -> None:
        self.submitted += 1
        self.engine.submit(workflows[which].pk, {"k": key}, pause_before=before)

    @rule(which=ANY, limit=st.integers(1, 3))
    def claim(self, which: int, limit: int) -> None:
        owner = self.owners[which % len(self.owners)]
        self.loop.run_until_complete(owner.claim(limit))
        self.loop.settle()

    @precondition(lambda self: bool(AT_WORK))
    @rule(which=ANY, how=st.sampled_from(["done", "done", "other", "fail", "bad", "time", "ask", "late"]))
    def step_ends(self, which: int, how: str) -> None:
        order = sorted(AT_WORK, key=lambda number: (AT_WORK[number][:2], number))
        _, _, future = AT_WORK[order[which % len(order)]]
        if not future.done():
            future.set_result(self.outcome(how))
        self.loop.settle()

    def outcome(self, how: str) -> Any:
        return {
            "done": Done({"made": 1}),
            "other": Done({"made": 2}, "other"),
            "fail": WorkflowStepError("it went wrong"),
            "bad": WorkflowStepError("for good", is_permanent=True),
            "time": Wait(self.clock.now + timedelta(seconds=30), "a while"),
            "ask": Wait(self.clock.now + timedelta(days=30), "a question", Ask("Well?")),
            "late": Wait(self.clock.now - timedelta(seconds=1), "over before it begins"),
        }[how]

    @precondition(lambda self: self.any_row(lambda row: row.status in ("waiting", "running")))
    @rule(which=ANY, answer=st.sampled_from(["yes", "yes", "fail", "again"]), twice=st.booleans())
    def answer(self, which: int, answer: str, twice: bool) -> None:
        waits = ExecutionWait.objects.select_related("execution").exclude(kind="child").order_by("closed_at", "pk")
        if chosen := self.chosen(list(waits), which):
            for _ in range(1 + twice):
                self.answered[chosen.pk] += chosen.answer_once(answer)
            self.bell(chosen.execution_id)

    @precondition(lambda self: self.any_row(lambda row: not row.is_final))
    @rule(which=ANY)
    def cancel(self, which: int) -> None:
        if chosen := self.chosen(self.rows(), which):
            if self.engine.cancel(chosen.pk):
                self.cancelled.add(chosen.pk)
            self.bell(chosen.pk)

    @precondition(lambda self: self.any_row(lambda row: not row.is_final))
    @rule(which=ANY)
    def pause(self, which: int) -> None:
        if chosen := self.chosen(self.rows(), which):
            self.engine.pause(chosen.pk)
            self.bell(chosen.pk)

    @precondition(lambda self: self.any_row(lambda row: row.paused_at is not None and not row.is_final))
    @rule(which=ANY)
    def resume(self, which: int) -> None:
        if chosen := self.chosen(self.rows().filter(paused_at__isnull=False), which):
            self.engine.resume(chosen.pk)
            self.bell(chosen.pk)

    @precondition(lambda self: self.any_row(lambda row: not row.is_final))
    @rule(which=ANY, nodes=st.sets(st.sampled_from("abz")))
    def pause_before(self, which: int, nodes: set[str]) -> None:
        if chosen := self.chosen(self.rows(), which):
            self.engine.pause_before(chosen.pk, nodes)
            self.bell(chosen.pk)

    @precondition(lambda self: self.any_row(lambda row: row.status == "failed"))
    @rule(which=ANY, how=st.sampled_from([{}, {"given": {"other": 1}}, {"output": {"by": "hand"}}]))
    def repair(self, which: int, how: dict[str, Any]) -> None:
        if chosen := self.chosen(self.rows().filter(status="failed"), which):
            try:
                self.engine.repair(chosen.pk, Repair(**how))
            except (WorkflowExecutionError, InputError):
                return
            del self.final[chosen.pk]

    @precondition(lambda self: self.submitted < 4 and self.any_row(lambda row: row.is_final and not row.parent_id))
    @rule(which=ANY, node_id=st.sampled_from("abz"))
    def run_again(self, which: int, node_id: str) -> None:
        if chosen := self.chosen(self.rows().filter(status__in=FINAL, parent=None), which):
            self.submitted += 1
            try:
                self.engine.run_again(chosen.pk, from_node=node_id)
            except WorkflowExecutionError:
                return

    @rule(seconds=st.sampled_from([1, 3, 12, 31, 31, 61, 700, 3_601, 31 * 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.clock.passes(seconds)
        self.loop.settle()

    @rule(which=ANY)
    def renew(self, which: int) -> None:
        self.owners[which % len(self.owners)].renew()
        self.loop.settle()

    @rule(which=ANY, seen=st.booleans())
    def owner_dies(self, which: int, seen: bool) -> None:
        owner = self.owners[which % len(self.owners)]
        self.loop.run_until_complete(owner.die())
        self.new_owner(owner.has_room)
        if seen:
            claim.release_dead([owner.owner])

    @rule(which=ANY, breaths=st.integers(0, 4))
    def owner_is_about_to_die(self, which: int, breaths: int) -> None:
        """In the middle of something: between a look and the commit, say."""
        self.owners[which % len(self.owners)].breaths = breaths

    @rule(which=ANY)
    def owner_stops(self, which: int) -> None:
        self.loop.run_until_complete(self.owners[which % len(self.owners)].stop())

    @rule(which=ANY, how_many=st.integers(1, 3))
    def answers_of_commits_are_lost(self, which: int, how_many: int) -> None:
        self.owners[which % len(self.owners)].loses_answers = how_many

    @rule()
    def sweep(self) -> None:
        slots.admit_all()

    # Words for rules

    def rows(self) -> Any:
        return WorkflowExecution.objects.order_by("pk")

    def any_row(self, is_meant: Callable[[WorkflowExecution], bool]) -> bool:
        return any(map(is_meant, self.seen.values()))

    def chosen(self, rows: Any, which: int) -> Any:
        found = list(rows)
        return found[which % len(found)] if found else None

    def bell(self, execution_id: int) -> None:
        for owner in self.owners:
            owner.hear(execution_id)
        self.loop.settle()

    # What must hold after each

    @invariant()
    def all_is_well(self) -> None:
        for owner in list(self.owners):
            for error in owner.errors:
                raise error
            if owner.is_dead:
                self.loop.run_until_complete(owner.die())
                self.new_owner(owner.has_room)
        if not self.has_changed:
            return
        self.has_changed = False
        self.read_on()
        self.seen = rows = {row.pk: row for row in WorkflowExecution.objects.all()}
        waits = list(ExecutionWait.objects.all())
        for row in rows.values():
            self.row_agrees_with_its_journal(row, self.states[row.pk])
        self.what_has_ended_stays(rows)
        self.waits_agree_with_the_journals(rows, waits)
        self.nothing_sleeps_for_ever(rows, waits)
        self.slots_are_kept(rows)

    def read_on(self) -> None:
        """The new entries: numbered without a gap, folded, counted."""
        for entry in ExecutionLog.objects.filter(pk__gt=self.last_read).order_by("execution", "seq"):
            state = self.states.setdefault(entry.execution_id, State())
            assert entry.seq == state.seq + 1, f"#{entry.execution_id}.{entry.seq} comes after {state.seq}"
            self.read(entry, state)
            self.last_read = max(self.last_read, entry.pk)

    def read(self, entry: ExecutionLog, state: State) -> None:
        key = (entry.execution_id, entry.node or "")
        before = state.nodes.get(entry.node or "")
        if entry.kind in ("completed", "reused"):
            self.completed[key] += 1
            assert self.completed[key] == 1, f"{key} completed twice"
            assert entry.kind == "reused" or (before and before.status in ("running", "answered", "waiting")), key
        if entry.kind == "started" and entry.node:
            assert before is None or before.status not in ("completed", "running", "waiting", "skipped"), key
            assert before is None or entry.attempt == before.attempt + 1, key
        self.told.add((*key, entry.attempt or 0, entry.kind))
        state.apply(entry)

    def row_agrees_with_its_journal(self, row: WorkflowExecution, state: State) -> None:
        assert state.status == (row.status if row.is_final else None), f"#{row.pk}: {state.status}, row {row.status}"
        assert row.is_final == (row.status in FINAL)
        if row.owner is None and not row.is_final:
            assert row.status != "running" and not state.running, f"#{row.pk} has steps at work and no owner"
        if row.owner is None and (row.is_final or row.status == "waiting"):
            assert row.steps_done == state.steps_done, f"#{row.pk}: progress"
        if row.pk in self.cancelled:
            assert row.status not in ("completed", "failed"), f"#{row.pk} ended so although a cancel was accepted"
        if row.is_final:
            assert not state.active, f"#{row.pk} has ended, and a step has not"

    def what_has_ended_stays(self, rows: dict[int, WorkflowExecution]) -> None:
        for row in rows.values():
            if row.is_final:
                facts = (row.status, row.completed_at, row.output_data, row.error, row.error_message, row.fence)
                assert self.final.setdefault(row.pk, facts) == facts, f"#{row.pk} changed after its end"
            if row.parent_id and rows[row.parent_id].is_final:
                assert row.is_final or row.cancel_requested_at, f"#{row.pk} goes on after its parent"

    def waits_agree_with_the_journals(self, rows: dict[int, WorkflowExecution], waits: list[ExecutionWait]) -> None:
        told = {(pk, name) for pk, state in self.states.items() for name in state.active}
        told = {(pk, name) for pk, name in told if self.states[pk].nodes[name].status == "waiting"}
        assert {(wait.execution_id, wait.node) for wait in waits if wait.closed_at is None} == told
        for wait in waits:
            assert self.answered[wait.pk] <= 1, "two answers counted"
            is_late = wait.lapsed_at or (wait.due_at and wait.answered_at and wait.answered_at >= wait.due_at)
            assert not (wait.answered_at and is_late), "answered after its time"
            if self.answered[wait.pk] and wait.closed_at:
                where = (wait.execution_id, wait.node, wait.attempt)
                assert {(*where, "answered"), (*where, "cancelled")} & self.told, "an answer that counted got lost"

    def nothing_sleeps_for_ever(self, rows: dict[int, WorkflowExecution], waits: list[ExecutionWait]) -> None:
        """Whoever waits and is held by nobody is due by the first of its times, and at once where something is over."""
        now = self.clock.now
        parents = {row.parent_id for row in rows.values() if not row.is_final}
        for row in rows.values():
            if row.is_final or row.owner or row.paused_at or row.has_slot is False or row.due_at <= now:
                continue
            mine = [wait for wait in waits if wait.execution_id == row.pk and wait.closed_at is None]
            assert mine, f"#{row.pk} waits for nothing"
            for wait in mine:
                assert not wait.answered_at and not wait.lapsed_at, f"#{row.pk} sleeps over an answer"
                assert wait.due_at is None or row.due_at <= wait.due_at, f"#{row.pk} sleeps too long"
                assert wait.kind != "child" or row.pk in parents, f"#{row.pk} missed the end of its children"
            expires_at = self.states[row.pk].expires_at
            assert expires_at is None or row.due_at <= expires_at, f"#{row.pk} sleeps over its limit"

    def slots_are_kept(self, rows: dict[int, WorkflowExecution]) -> None:
        live = [row for row in rows.values() if not row.is_final and row.parent_id is None]
        for workflow in workflows:
            mine = [row for row in live if row.workflow_id == workflow.pk]
            held = Counter(row.slot_key for row in mine if row.has_slot)
            assert workflow.concurrency is None or held.total() <= workflow.concurrency
            assert not workflow.concurrency_key or max(held.values(), default=0) <= workflow.concurrency_per_key
            for row in mine:
                if row.has_slot is False and not row.paused_at:
                    is_full = workflow.concurrency is not None and held.total() >= workflow.concurrency
                    is_key_full = workflow.concurrency_key and held[row.slot_key] >= workflow.concurrency_per_key
                    assert is_full or is_key_full, f"#{row.pk} waits for a slot that is free"

    # In the end

    def everything_ends(self) -> None:
        """With people who answer and resume, steps that end, and owners that look again and again: so does all."""
        for _ in range(120):
            if not WorkflowExecution.objects.live().exists():
                break
            self.one_more_round()
        live = [(row.pk, row.status, row.due_at, row.owner) for row in WorkflowExecution.objects.live()]
        assert not live, f"these never end: {live}"
        self.all_is_well()
        assert not halves_and_faults(), "the table of the storms says otherwise"
        for row in self.rows().filter(status="completed").select_related("workflow", "version"):
            assert rebuilt(row) == row.output_data, f"#{row.pk}: its output is not what its journal says"

    def one_more_round(self) -> None:
        for row in self.rows().live().filter(paused_at__isnull=False):
            self.engine.resume(row.pk)
        for wait in ExecutionWait.objects.open().exclude(kind="child").select_related("execution"):
            self.answered[wait.pk] += wait.answer_once("yes")
        for _, _, future in list(AT_WORK.values()):
            if not future.done():
                future.set_result(Done({"made": 1}))
        self.loop.settle()
        for owner in self.owners:
            owner.breaths = None
            owner.renew()
        self.clock.passes(11)
        self.loop.settle()
        for owner in self.owners:
            self.loop.run_until_complete(owner.claim(100))
        self.loop.settle()


def halves_and_faults() -> list[str]:
    """By the invariants that storms are judged by, which know nothing of the engine."""
    at = connection.connection
    return [*gapless_and_legal(at), *halves(at), *recorded_once(at)]


def rebuilt(row: WorkflowExecution) -> Any:
    blueprint = blueprint_of(row.version, row.workflow.max_parallel, row.body)
    assert isinstance(blueprint, Blueprint)
    ledger, state = Ledger(blueprint.graph, row.input_data), State()
    for entry in row.entries.told().order_by("seq"):
        ledger.apply(entry, state)
        state.apply(entry)
    return ledger.result()


@pytest.fixture
def published_workflows(db: None) -> Iterator[None]:
    publish_all()
    yield
    workflows.clear()


def test_whatever_happens_in_whatever_order(published_workflows: None) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    phases = list(Phase)[: 5 if SHRINKS else 3]
    how = settings(
        max_examples=SEQUENCES,
        stateful_step_count=STEPS,
        phases=phases,
        deadline=None,
        suppress_health_check=checks,
    )
    run_state_machine_as_test(Machine, settings=how)
