"""Ends an execution that nobody is running: cancelled while it waits, or given up by the engine.

The only entries that are not written by an owner. Raising the fence first makes sure that there is none.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, Max
from django.utils import timezone

from executions.aftermath import follow
from executions.models import ExecutionLog, ExecutionStatus, Kind, WorkflowExecution
from executions.models.execution import CANCELLED_BY_USER
from executions.planner import fold
from workflows.values import clean_text


def cancel_unowned(execution: WorkflowExecution, by: Any = None) -> None:
    """In the transaction that asked for the cancel: waits closed, steps and execution cancelled."""
    asked = ExecutionLog(kind=Kind.CANCEL_REQUESTED, data={"by": by.get_username() if by else None})
    _end(execution, [asked], ExecutionStatus.CANCELLED, error_message=CANCELLED_BY_USER)


def give_up(execution: WorkflowExecution, error: Exception) -> None:
    """In the transaction of children.bury(): failed, with the reason; cancelled, where that was asked for."""
    if execution.cancel_requested_at:
        _end(execution, [], ExecutionStatus.CANCELLED, error_message=CANCELLED_BY_USER)
        return
    message = clean_text(f"The engine could not go on: {error}")[:2000]
    shape: dict[str, Any] = {"type": type(error).__name__, "message": message, "traceback": "", "details": {}}
    shape |= dict.fromkeys(("node", "step_name", "attempt"))
    _end(execution, [], ExecutionStatus.FAILED, error=shape, error_message=message)


def _end(execution: WorkflowExecution, entries: list[ExecutionLog], status: str, **changes: Any) -> None:
    now, state = timezone.now(), fold(execution.entries.told().order_by("seq"))
    entries += [
        ExecutionLog(kind=Kind.CANCELLED, node=node, attempt=state.nodes[node].attempt) for node in state.active
    ]
    told = {"status": status} | ({"error": changes["error"]} if "error" in changes else {})
    entries.append(ExecutionLog(kind=Kind.FINISHED, data=told))
    changes |= {"status": status, "steps_done": state.steps_done, "completed_at": now, "due_at": now, "owner": None}
    WorkflowExecution.objects.filter(pk=execution.pk).update(fence=F("fence") + 1, **changes)
    last = execution.entries.aggregate(last=Max("seq"))["last"] or 0
    for seq, entry in enumerate(entries, last + 1):
        entry.execution, entry.seq, entry.at = execution, seq, now
    ExecutionLog.objects.bulk_create(entries)
    execution.waits.open().update(closed_at=now)
    follow([execution.pk])
