"""A failed execution is repaired in place: its failed step runs once more, perhaps on another input, or gets its
output from a person; then the same execution goes on. Who did it and why stands in the journal.

The one way out of an end. It is a compare-and-set like all others: only what has failed and nobody holds is repaired.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from executions import blobs, large, slots
from executions.data import Data, Ledger, pack
from executions.models import ExecutionLog, ExecutionStatus, Kind, WorkflowExecution
from executions.models.execution import DOOMED, FAR_FUTURE
from executions.planner import NodeState, State
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import InputError, WorkflowExecutionError
from workflows.graph import EACH, OUT


@dataclass(frozen=True, slots=True)
class Repair:
    """What is done to the failed step: `given`: another input; `output`: what it would have made, by `handle`.

    Neither: it is tried again as it is. `node` None: the step that failed, or where a limit ended it none.
    """

    node: str | None = None
    reason: str = ""
    given: Data | None = None
    output: Data | None = None
    handle: str | None = None


def repair(execution_id: int, repair: Repair, by: Any = None) -> WorkflowExecution:
    """Raises WorkflowExecutionError where there is nothing to repair, InputError for what does not fit the step."""
    with transaction.atomic():
        rows = WorkflowExecution.objects.select_for_update(no_key=True, of=("self",))
        execution = rows.select_related("workflow", "version").filter(pk=execution_id).first()
        if execution is None:
            raise WorkflowExecutionError(f"Execution {execution_id} not found.")
        entry = _entry(execution, repair, by)
        _revive(execution)
        entry.seq = (execution.entries.aggregate(last=Max("seq"))["last"] or 0) + 1
        entry.save(force_insert=True)
        if execution.has_slot is False:
            slots.admit(execution.workflow_id)
    return execution


def _entry(execution: WorkflowExecution, repair: Repair, by: Any) -> ExecutionLog:
    blueprint = blueprint_of(execution.version, execution.workflow.max_parallel)
    refusal = _refusal(execution, blueprint)
    if refusal or not isinstance(blueprint, Blueprint):
        raise WorkflowExecutionError(f"Execution {execution.pk} cannot be repaired: {refusal}", execution.pk)
    state, ledger = State(), Ledger(blueprint.graph, large.input_outline(execution))
    for told in map(large.outlined, execution.entries.told().order_by("seq")):
        ledger.apply(told, state)
        state.apply(told)
    data: Data = {"by": by.get_username() if by else None, "reason": repair.reason}
    if limit := execution.workflow.time_limit_s:
        data["expires_at"] = (timezone.now() + timedelta(seconds=limit)).isoformat()
    node_id = repair.node or (state.failure or {}).get("node")
    if node_id is None:
        return ExecutionLog(execution=execution, kind=Kind.REPAIRED, data=data)
    attempt = _failed_step(state, node_id).attempt
    change = _change(blueprint, node_id, blobs.whole(ledger.incoming[node_id]), repair)
    data |= _stowed(execution.pk, change)
    return ExecutionLog(execution=execution, kind=Kind.REPAIRED, node=node_id, attempt=attempt, data=data)


def _stowed(execution_id: int, change: Data) -> Data:
    if "output" in change:
        return {"output": large.stowed(execution_id, change["output"])}
    return large.stowed(execution_id, change, "input") if "input" in change else change


def _refusal(execution: WorkflowExecution, blueprint: Any) -> str:
    if execution.status != ExecutionStatus.FAILED:
        return f"only what has failed can be, and it is {execution.status}."
    if execution.owner == DOOMED:
        return "it is older than what is kept, and being deleted."
    if execution.parent_id:
        return f"it is a part of execution {execution.root_id}: repair that one."
    return "" if isinstance(blueprint, Blueprint) else str(blueprint)


def _failed_step(state: State, node_id: str) -> NodeState:
    node = state.nodes.get(node_id)
    if node is None or node.status != "failed" or node.handle is not None:
        raise WorkflowExecutionError(f"Step “{node_id}” has not failed, so it cannot be repaired.", node=node_id)
    return node


def _change(blueprint: Blueprint, node_id: str, incoming: Data, repair: Repair) -> Data:
    if repair.given is not None and repair.output is not None:
        raise InputError("Give another input or an output, not both.", "output_data")
    if repair.given is not None:
        return {"input": repair.given}
    if repair.output is None:
        return {}
    handles = ways_of(blueprint, node_id)
    handle = repair.handle or next(iter(handles), OUT)
    if handle not in handles:
        ways = ", ".join(f"“{way}”" for way in handles)
        raise InputError(f"Step “{node_id}” cannot be left by “{handle[:80]}”; it has {ways}.", "handle")
    return {"output": pack(incoming, repair.output, handle)}


def ways_of(blueprint: Blueprint, node_id: str) -> tuple[str, ...]:
    """By which a supplied output may leave: not by “each”, which only the items follow."""
    return tuple(handle for handle in blueprint.handles(node_id) if handle != EACH)


def _revive(execution: WorkflowExecution) -> None:
    """Due at once, or when it gets a slot again; the fence is raised, as nobody holds it."""
    now, is_limited = timezone.now(), slots.is_limited(execution.workflow)
    execution.has_slot = False if is_limited else None
    WorkflowExecution.objects.filter(pk=execution.pk).update(
        status=ExecutionStatus.PENDING,
        completed_at=None,
        error=None,
        error_message="",
        fence=F("fence") + 1,
        owner=None,
        due_at=FAR_FUTURE if is_limited else now,
        has_slot=execution.has_slot,
        paused_at=None,
        cancel_requested_at=None,
    )
