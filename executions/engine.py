"""WorkflowEngine: the one door to running, watching and cancelling executions.

Making one costs nothing; tasks, journal and slots belong to the running event loop (worker.py). The door checks,
writes the row, rings; the worker does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from executions import blobs, children, claim, ending, large, live, slots, story
from executions.aftermath import record
from executions.claim import Held
from executions.crashpoints import committing
from executions.large import input_of, output_of
from executions.models import ExecutionLog, ExecutionStatus, ExecutionWait, Kind, WorkflowExecution
from executions.opening import Opening, Queued
from executions.planner import State, fold
from executions.repair import Repair
from executions.repair import repair as repaired
from executions.rerun import Plan, Reused, is_given, plan, reused_entries
from executions.story import known
from executions.worker import Worker, worker_for_caller
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import DefinitionError, WorkflowExecutionError, WorkflowStepError
from workflows.models import Workflow, WorkflowVersion
from workflows.values import require_object

__all__ = ["ExecutionResult", "ExecutionStatus", "WorkflowEngine", "WorkflowExecutionError", "WorkflowStepError"]

CANCEL_WAIT_S = 2.0
LOOK_S = 1.0
FAMILY_AT_ONCE = 100  # of a family are carried by a caller who waits for it
FAMILY = 1_000  # as many of its live relatives are rung for; the others are found by the look each second


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How an execution ended. `output_data` is None unless it completed; `error_message` is "" where it did."""

    execution_id: int
    status: str
    output_data: dict[str, Any] | None
    error_message: str


class WorkflowEngine:
    async def execute_workflow(
        self, workflow_id: int, input_data: dict[str, Any] | None = None, *, by: Any = None
    ) -> ExecutionResult:
        """Runs the workflow to its end, in this event loop while steps are ready.

        Raises WorkflowExecutionError for a workflow that is missing, inactive, empty or cyclic, and for an execution
        that failed; InputError for an input that cannot be kept or does not fit the declared fields. A cancelled
        execution is returned as such. Cancelling the caller leaves the execution to the workers.
        """
        worker = await worker_for_caller()
        given = _checked(input_data) if blobs.is_small(input_data) else await asyncio.to_thread(_checked, input_data)
        opening = Opening(known(workflow_id), given, worker.owner, by)
        begun = await self._opened(worker, opening)
        closing = await worker.walk(begun) if isinstance(begun, Held) else None
        if closing is None or closing.completed_at is None or closing.output_blobs:
            await self._await_end(worker, begun.execution_id)
            return await worker.journal.run(_result, begun.execution_id)
        return _ended(begun.execution_id, closing.status, closing.output, closing.error, closing.error_message)

    async def see_through(self, execution_id: int) -> ExecutionResult:
        """To the end of an execution that was submitted: run in this event loop, unless a worker has taken it.

        Raises WorkflowExecutionError where it failed.
        """
        worker = await worker_for_caller()
        await self._await_end(worker, execution_id)
        return await worker.journal.run(_result, execution_id)

    async def submit_workflow(self, workflow_id: int, input_data: dict[str, Any] | None = None, **how: Any) -> int:
        """Records the execution for the background consumer and returns its id at once. As submit()."""
        return await sync_to_async(self.submit)(workflow_id, input_data, **how)

    def submit(
        self,
        workflow_id: int,
        input_data: dict[str, Any] | None = None,
        *,
        by: Any = None,
        idempotency_key: str | None = None,
        retry_of: WorkflowExecution | None = None,
        version: WorkflowVersion | None = None,
        pause_before: Sequence[str] = (),
        reused: Sequence[Reused] = (),
    ) -> int:
        """Records the execution on the caller's own connection, so it rolls back with the caller's transaction.

        The same `idempotency_key` for the same workflow gives the same execution. `retry_of` keeps its version.
        `version`: another than the published one; a draft can be tried while its workflow is inactive.
        `pause_before`: the steps before which it is to pause.
        Raises WorkflowExecutionError and InputError as execute_workflow() does.
        """
        given = _checked(input_data)
        workflow = _workflow(workflow_id, version := retry_of.version if retry_of else version)
        version = version or workflow.published
        assert version is not None
        blueprint = _blueprint(version, workflow)
        if retry_of is None or given != retry_of.input_data:  # else this very version has accepted it before
            given = blueprint.checked(given)
        steps_total = len(blueprint.graph.nodes)
        row = WorkflowExecution(workflow=workflow, version=version, input_data=given, steps_total=steps_total)
        row.started_by, row.retry_of, row.idempotency_key = by, retry_of, idempotency_key or None
        row.pause_before = [node_id for node_id in pause_before if node_id in blueprint.graph.nodes]
        try:
            return _record(row, reused)
        except IntegrityError:
            if not idempotency_key:
                raise
            # Somebody was first with this key, perhaps a moment ago.
            return workflow.executions.values_list("pk", flat=True).get(idempotency_key=idempotency_key)

    def run_again(
        self,
        execution_id: int,
        input_data: dict[str, Any] | None = None,
        *,
        by: Any = None,
        from_node: str | None = None,
        pause_before: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> int:
        """The same version as a new execution that names the old one: on the same input, or on `input_data`.

        `from_node`: what came before that step is not run but taken over; rerun_plan() says which. Raises
        WorkflowExecutionError where that cannot be.
        """
        old = _rerunnable(execution_id)
        if from_node is None:
            given = input_of(old) if input_data is None else input_data
            how: dict[str, Any] = {"by": by, "retry_of": old, "pause_before": pause_before}
            return self.submit(old.workflow_id, given, idempotency_key=idempotency_key, **how)
        if input_data is not None:
            raise WorkflowExecutionError("Another input changes every step: run it again from the beginning.")
        entries = list(old.entries.told().order_by("seq"))
        mended = {entry.node for entry in entries if is_given(entry)}
        entries = [large.filled(entry) if entry.node in mended else entry for entry in entries]
        reused = reused_entries(entries, _plan(old, fold(entries), from_node).reused)
        how = {"by": by, "retry_of": old, "pause_before": pause_before, "reused": reused}
        return self.submit(old.workflow_id, input_of(old), idempotency_key=idempotency_key, **how)

    def rerun_plan(self, execution_id: int, from_node: str | None = None) -> Plan:
        """What run_again() would reuse and run, and what of that has effects outside. Raises as it does."""
        old = _rerunnable(execution_id)
        return _plan(old, fold(old.entries.told().order_by("seq")), from_node)

    def repair(self, execution_id: int, repair: Repair, *, by: Any = None) -> None:
        """Lets a failed execution go on: see repair.py. Raises WorkflowExecutionError and InputError."""
        _checked(repair.given)
        _checked(repair.output, "output_data")
        with committing("repair"):
            _ring_later(repaired(known(execution_id), repair, by))

    async def cancel_execution(self, execution_id: int, *, by: Any = None) -> bool:
        """Asks for the end and waits up to two seconds for it. True where this call asked first."""
        if not await sync_to_async(self.cancel)(execution_id, by=by):
            return False
        pause, until = 0.01, asyncio.get_running_loop().time() + CANCEL_WAIT_S
        while not await sync_to_async(_has_ended)(execution_id) and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(pause)
            pause = min(0.2, pause * 2)
        return True

    def cancel(self, execution_id: int, *, by: Any = None) -> bool:
        """Asks for the end, without waiting for it. Where nobody holds the execution, it has ended on return."""
        with committing("cancel"):
            execution = children.family_of(known(execution_id))
            if execution is None or not execution.request_cancel(by):
                return False
            children.cancel(execution.pk, by=by)
            execution.refresh_from_db(fields=["owner", "due_at"])  # after our update nobody else can change them
            if not execution.is_owned:
                ending.cancel_unowned(execution, by)
            _ring_later(execution)
        return True

    def pause(self, execution_id: int, *, by: Any = None) -> bool:
        """Running steps end, nothing new begins, and its time limit stands still, until resume(). True where this call
        changed that; children pause with it."""
        return self._set_paused(execution_id, by, paused=True)

    def resume(self, execution_id: int, *, by: Any = None) -> bool:
        """Goes on where it was paused. True where this call changed that."""
        return self._set_paused(execution_id, by, paused=False)

    def pause_before(self, execution_id: int, nodes: Collection[str], *, by: Any = None) -> bool:
        """Exactly these are the steps before which it is going to pause. False where it has ended."""
        with committing("breakpoints"):
            execution = WorkflowExecution.objects.select_for_update(no_key=True).filter(pk=known(execution_id)).first()
            if execution is None or not execution.nudge(pause_before=sorted(nodes)):
                return False
            _ring_later(execution)
        return True

    def _set_paused(self, execution_id: int, by: Any, *, paused: bool) -> bool:
        with committing("pause"):
            execution = children.family_of(known(execution_id))
            if execution is None or not execution.set_paused(paused, by):
                return False
            children.pause(execution.pk, by, paused=paused)
            if execution.has_slot is False:
                slots.admit(execution.workflow_id)
            _ring_later(execution)
        return True

    def answer_wait(self, wait_id: int, answer: Any, *, by: Any = None) -> bool:
        """Ends a wait by an answer; the execution goes on. True for the one call that did, and only while it is open.

        Whether `by` may answer, and whether the answer fits, is answering.py's to say. Raises InputError for an answer
        that cannot be kept.
        """
        with committing("answer"):
            wait = ExecutionWait.objects.select_related("execution").filter(pk=known(wait_id)).first()
            if wait is None or not wait.answer_once(answer, by):
                return False
            transaction.on_commit(lambda: live.ring_engines(wait.execution_id))
        return True

    async def get_execution_status(self, execution_id: int) -> dict[str, Any] | None:
        """The execution's row as a dict, times as datetimes; None where it is unknown."""
        return await sync_to_async(story.status)(execution_id)

    async def get_execution_logs(
        self, execution_id: int, limit: int | None = None, *, after: int = 0, everything: bool = False
    ) -> list[dict[str, Any]]:
        """One dict per step attempt that ended, oldest first, with what it saw and made; [] where unknown.

        `everything`: every entry instead, as the journal has it. `after`: only entries with a larger seq.
        """
        logs = story.every_entry if everything else story.attempts
        return await sync_to_async(logs)(execution_id, limit, after)

    def step_data(self, execution_id: int, node_id: str) -> dict[str, Any]:
        """{"input", "output"} of the last attempt of a step that ended; None where there is nothing yet."""
        return {which: blobs.whole(value) for which, value in story.step_data(execution_id, node_id).items()}

    async def _opened(self, worker: Worker, opening: Opening) -> Held | Queued:
        try:
            held: Held | Queued = await worker.journal.commit(opening)
        except asyncio.CancelledError:
            await worker.journal.flush()
            if isinstance(opening.result, Held):  # the caller has gone; what was made is for the workers
                await worker.journal.run(claim.hand_back, worker.owner, opening.result.execution_id)
            raise
        return held

    async def _await_end(self, worker: Worker, execution_id: int) -> None:
        """By a look each second, and by running it and its children on where they are due and nobody takes them.

        Each in a task of its own: while one is at work, another may be due, such as a parent by its time limit.
        """
        walks: Walks = set()
        try:
            while not await worker.journal.run(_has_ended, execution_id):
                room = FAMILY_AT_ONCE - len(walks)
                due = await worker.journal.run(claim.claim_family, worker.owner, execution_id, room)
                walks |= {asyncio.create_task(worker.walk(held)) for held in due}
                pause = await worker.journal.run(_pause_until_due, execution_id)
                walks = await _going_on(walks, pause)
            walks = await _going_on(walks, CANCEL_WAIT_S, asyncio.ALL_COMPLETED)  # children that its end has cancelled
        finally:
            for walk in walks:
                walk.cancel()
            await asyncio.gather(*walks, return_exceptions=True)


Walks = set[asyncio.Task[Any]]


async def _going_on(walks: Walks, pause: float, until: str = asyncio.FIRST_COMPLETED) -> Walks:
    """Those that still do when one of them has ended, or after the pause."""
    if not walks:
        if until == asyncio.FIRST_COMPLETED:
            await asyncio.sleep(pause)
        return walks
    return (await asyncio.wait(walks, timeout=pause, return_when=until))[1]


def _rerunnable(execution_id: int) -> WorkflowExecution:
    old = WorkflowExecution.objects.select_related("version", "workflow").filter(pk=known(execution_id)).first()
    if old is None:
        raise WorkflowExecutionError(f"Execution {execution_id} not found.")
    if old.parent_id:
        raise WorkflowExecutionError(f"Execution {old.pk} is a part of execution {old.root_id}: run that one again.")
    return old


def _plan(old: WorkflowExecution, state: State, from_node: str | None) -> Plan:
    blueprint = _blueprint(old.version, old.workflow)
    if from_node is not None and from_node not in blueprint.graph.nodes:
        raise WorkflowExecutionError(f"Execution {old.pk} has no step “{from_node[:64]}” to run again from.", old.pk)
    if from_node is not None and not old.is_final:
        raise WorkflowExecutionError(f"Execution {old.pk} has not ended yet.", old.pk)
    return plan(blueprint, state, from_node)


def _record(row: WorkflowExecution, reused: Sequence[Reused] = ()) -> int:
    """The row, its first entry, and the bell, which rings only if the caller's transaction commits."""
    with committing("submit"):
        record(row)
        entries = [
            ExecutionLog(execution=row, seq=seq, kind=Kind.REUSED, node=node, attempt=attempt, data=_kept(row, data))
            for seq, (node, attempt, data) in enumerate(reused, 2)
        ]
        ExecutionLog.objects.bulk_create(entries)
        if reused and row.retry_of_id:
            large.copy(row.retry_of_id, row.pk, (data for _, _, data in reused))
        transaction.on_commit(live.ring_engines)
    return row.pk


def _kept(row: WorkflowExecution, data: dict[str, Any]) -> dict[str, Any]:
    """What was put together anew may be large."""
    return large.stowed(row.pk, data) if "instead" in data and "blobs" not in data else data


def _ring_later(execution: WorkflowExecution) -> None:
    """Once it is committed: whoever holds it or one of its family looks, and so does who watches one."""
    root = execution.root_id or execution.pk
    family = WorkflowExecution.objects.live().filter(root=root).values_list("pk", flat=True)[:FAMILY]
    numbers = {execution.pk, *family}
    transaction.on_commit(lambda: live.ring_engines(*numbers))
    transaction.on_commit(lambda: live.ring_viewers(*numbers))


def _checked(data: Any, field: str = "input_data") -> dict[str, Any]:
    given = {} if data is None else data
    return require_object(given, field, max_bytes=settings.ENGINE["DATA_BYTES"])


def _workflow(workflow_id: Any, version: WorkflowVersion | None) -> Workflow:
    """The workflow, if it can run now, in that version or in the published one."""
    is_draft = version is not None and version.is_draft
    rows = Workflow.objects.listed() if is_draft else Workflow.objects.runnable()
    workflow = rows.select_related("published").filter(pk=known(workflow_id)).first()
    if workflow is None:
        raise WorkflowExecutionError(f"Workflow {workflow_id} not found or inactive.")
    if version is not None and version.workflow_id != workflow.pk:
        raise WorkflowExecutionError(f"Version {version.pk} belongs to another workflow.")
    return workflow


def _blueprint(version: WorkflowVersion, workflow: Workflow) -> Blueprint:
    blueprint = blueprint_of(version, workflow.max_parallel)
    if isinstance(blueprint, DefinitionError):
        raise WorkflowExecutionError(f"Workflow {workflow.pk} cannot be executed: {blueprint.message}")
    return blueprint


def _result(execution_id: int) -> ExecutionResult:
    row = WorkflowExecution.objects.only("status", "output_data", "output_blobs", "error", "error_message")
    return _of_row(row.get(pk=execution_id))


def _of_row(row: WorkflowExecution) -> ExecutionResult:
    return _ended(row.pk, row.status, output_of(row), row.error, row.error_message)


def _ended(execution_id: int, status: str, output: Any, error: Any, message: str) -> ExecutionResult:
    if status == ExecutionStatus.FAILED:
        raise WorkflowExecutionError(message, execution_id, (error or {}).get("node"))
    return ExecutionResult(execution_id, status, output, message)


def _has_ended(execution_id: int) -> bool:
    return not WorkflowExecution.objects.live().filter(pk=execution_id).exists()


def _pause_until_due(execution_id: int) -> float:
    family = WorkflowExecution.objects.live().filter(Q(pk=execution_id) | Q(root=execution_id))
    due_at = family.order_by("due_at").values_list("due_at", flat=True).first()
    left = (due_at - claim.now()).total_seconds() if due_at else 0.0
    return min(LOOK_S, max(0.01, left))
