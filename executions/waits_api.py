"""Waits over REST: what an execution waits for, what waits for me, and the answer to it.

A person may be asked about an execution that they may not watch: the question is theirs all the same.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from ninja import Query, Router, Status

from executions import answering
from executions.api import CONFLICT, execution_for, result_of
from executions.callbacks import url_of
from executions.models import ExecutionWait, WaitKind
from executions.schemas import ExecutionResultResponse, WaitAnswer, WaitList
from workflows.api import REFUSALS, part, user_of
from workflows.permissions import can
from workflows.schemas import Window

router = Router(tags=["waits"])
of_execution = Router(tags=["waits"])


@router.get("/", response={200: WaitList, **REFUSALS})
def list_waits(request: HttpRequest, window: Query[Window]) -> Any:
    """The open questions that you may answer, newest first."""
    rows = answering.answerable_by(user_of(request))
    rows = rows.select_related("execution__workflow__owner", "execution__version")
    items, following = part(rows, window)
    return Status(200, {"items": [_told(request, wait) for wait in items], "next": following})


@of_execution.get("/{int:execution_id}/waits", response={200: WaitList, **REFUSALS})
def list_execution_waits(request: HttpRequest, execution_id: int) -> Any:
    """What its steps wait for now: times, answers, calls."""
    execution_for(request, execution_id, "view")
    waits = ExecutionWait.objects.open().filter(execution=execution_id).order_by("pk")
    rows = waits.select_related("execution__workflow__owner", "execution__version")
    return Status(200, {"items": [_told(request, wait) for wait in rows], "next": None})


@of_execution.post(
    "/{int:execution_id}/waits/{node_id}/answer", response={202: ExecutionResultResponse, **REFUSALS, **CONFLICT}
)
def answer_wait(request: HttpRequest, execution_id: int, node_id: str, body: WaitAnswer) -> Any:
    """Approves or rejects. One answer counts; a later one is refused (409) and told who was first."""
    wait, user = answering.question(execution_id, node_id), user_of(request)
    may_answer = wait is not None and answering.may_answer(user, wait)
    if not may_answer:
        execution_for(request, execution_id, "view")
    if wait is None or wait.kind != WaitKind.APPROVAL:
        raise Http404(f"No step “{node_id[:64]}” of execution {execution_id} asks anything.")
    if not may_answer:
        raise PermissionDenied(answering.why_not(wait))
    answering.answer(wait, user, body.approved, body.values, body.comment)
    return Status(202, result_of(execution_id))


def _told(request: HttpRequest, wait: ExecutionWait) -> dict[str, Any]:
    names = ("execution_id", "attempt", "kind", "reason", "due_at")
    told: dict[str, Any] = {name: getattr(wait, name) for name in names}
    told |= {"node_id": wait.node, "workflow_id": wait.execution.workflow_id, "workflow": wait.execution.workflow.name}
    if wait.kind == WaitKind.APPROVAL:
        asks = wait.asks or {}
        told |= {
            "title": answering.title_of(wait),
            "message": asks.get("message", ""),
            "fields": asks.get("fields", []),
        }
        told |= {"asked": answering.audience_names(wait), "may_answer": _may_answer(request, wait)}
    elif wait.kind == WaitKind.CALLBACK and can(user_of(request), "run", wait.execution.workflow):
        told["callback_url"] = url_of(wait, request)
    return told


def _may_answer(request: HttpRequest, wait: ExecutionWait) -> bool:
    return answering.may_answer(user_of(request), wait) and answering.over(wait) is None
