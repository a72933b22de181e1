"""Questions as rows, without an engine: what a page or a door decides about them needs none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from executions.models import ExecutionLog, ExecutionWait, WaitKind, WorkflowExecution
from executions.models.wait import audience_of
from workflows.models import Workflow

FIELDS = [
    {"name": "amount", "type": "number", "required": True},
    {"name": "why", "type": "choice", "choices": ["a", "b"]},
]


def asking(workflow: Workflow, node: str = "work", *, due_s: float | None = 3600, **ask: Any) -> ExecutionWait:
    """A waiting execution whose step asks; of it, `ask` says title, message, fields, people, groups."""
    asks = {"title": "Pay it?", "message": "Look first.", "fields": [], "people": [], "groups": [], **ask}
    wait = _waiting(workflow, node, WaitKind.APPROVAL, due_s, people=asks["people"], groups=asks["groups"])
    wait.asks, wait.audience = asks, audience_of(asks["people"], asks["groups"])
    wait.save()
    return wait


def awaiting_a_call(workflow: Workflow, node: str = "work", *, due_s: float | None = 3600) -> ExecutionWait:
    wait = _waiting(workflow, node, WaitKind.CALLBACK, due_s)
    wait.save()
    return wait


def _waiting(workflow: Workflow, node: str, kind: str, due_s: float | None, **named: Any) -> ExecutionWait:
    due_at = timezone.now() + timedelta(seconds=due_s) if due_s is not None else None
    assert workflow.published is not None
    execution = WorkflowExecution.objects.create(
        workflow=workflow,
        version=workflow.published,
        status="waiting",
        started_at=timezone.now(),
        due_at=timezone.now() + timedelta(days=9),
    )
    told: dict[str, Any] = {"kind": kind, "until": due_at.isoformat() if due_at else None, "reason": "", **named}
    entries: list[tuple[str, str | None, Any]] = [
        ("queued", None, {}),
        ("started", None, {}),
        ("started", node, None),
        ("waited", node, told),
    ]
    ExecutionLog.objects.bulk_create(
        ExecutionLog(execution=execution, seq=seq, kind=kind, node=at, attempt=at and 1, at=timezone.now(), data=data)
        for seq, (kind, at, data) in enumerate(entries, 1)
    )
    return ExecutionWait(execution=execution, node=node, kind=kind, due_at=due_at)
