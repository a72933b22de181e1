"""Ends an execution that nobody is running: cancelled while it waits, or given up by the engine.

The only entries that are not written by an owner. Raising the fence first makes sure that there is none.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from executions.models import ExecutionLog, ExecutionStatus, Kind, WorkflowExecution
from executions.models.execution import CANCELLED_BY_USER
from executions.planner import fold


def cancel_unowned(execution: WorkflowExecution, by: Any = None) -> None:
    """In the transaction that asked for the cancel: waits closed, steps and execution cancelled."""
    state = fold(execution.entries.told().order_by("seq"))
    name = by.get_username() if by else None
    entries = [
        ExecutionLog(kind=Kind.CANCEL_REQUESTED, data={"by": name}),
        *(ExecutionLog(kind=Kind.CANCELLED, node=node, attempt=state.nodes[node].attempt) for node in state.active),
        ExecutionLog(kind=Kind.FINISHED, data={"status": ExecutionStatus.CANCELLED}),
    ]
    done = state.steps_done
    _end(execution, entries, status=ExecutionStatus.CANCELLED, error_message=CANCELLED_BY_USER, steps_done=done)


def bury(execution_id: int, fence: int, error: Exception) -> None:
    """The engine could not go on with it: failed, with the reason, if it is still held under this fence."""
    with transaction.atomic():
        rows = WorkflowExecution.objects.live().filter(pk=execution_id, fence=fence)
        execution = rows.select_for_update(no_key=True).first()
        if execution is None:
            return
        message = f"The engine could not go on: {error}"[:2000]
        shape: dict[str, Any] = {"type": type(error).__name__, "message": message, "traceback": "", "details": {}}
        shape |= dict.fromkeys(("node", "step_name", "attempt"))
        status = ExecutionStatus.CANCELLED if execution.cancel_requested_at else ExecutionStatus.FAILED
        entry = ExecutionLog(kind=Kind.FINISHED, data={"status": status, "error": shape})
        done = fold(execution.entries.told().order_by("seq")).steps_done
        _end(execution, [entry], status=status, error=shape, error_message=message, steps_done=done)


def _end(execution: WorkflowExecution, entries: list[ExecutionLog], **changes: Any) -> None:
    now = timezone.now()
    rows = WorkflowExecution.objects.filter(pk=execution.pk)
    rows.update(fence=F("fence") + 1, owner=None, due_at=now, completed_at=now, **changes)
    last = execution.entries.aggregate(last=Max("seq"))["last"] or 0
    for seq, entry in enumerate(entries, last + 1):
        entry.execution, entry.seq, entry.at = execution, seq, now
    ExecutionLog.objects.bulk_create(entries)
    execution.waits.open().update(closed_at=now)
