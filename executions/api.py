"""Executions over REST: started, watched, cancelled. They inherit their rights from their workflow.

Another's execution is unknown (404), like one that never was. The engine does the work; this room only asks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Header, Query, Router, Status
from pydantic import AfterValidator, StringConstraints

from executions.engine import WorkflowEngine
from executions.large import output_of
from executions.models import WorkflowExecution
from executions.plan import graph_of
from executions.planner import fold
from executions.schemas import (
    ExecutionList,
    ExecutionLogList,
    ExecutionResultResponse,
    ExecutionStatusResponse,
    ExecutionWindow,
    LogWindow,
    WorkflowExecuteRequest,
)
from executions.why import why
from executions.words import plain
from workflows.api import REFUSALS, part, user_of, workflow_for
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import InputError, WorkflowExecutionError
from workflows.graph import Graph
from workflows.models import Workflow
from workflows.permissions import Verb, can, visible
from workflows.schemas import Refusal, keepable

router = Router(tags=["executions"])
starting = Router(tags=["workflows"])

CONFLICT = {409: Refusal}
Key = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(keepable)]
KEY = Header("", alias="Idempotency-Key")
EMPTY = WorkflowExecuteRequest()
DEFINITIONS = ("workflow__draft", "version__definition")
HEAVY = ("input_data", "output_data", "error")


class ExecutionEnded(WorkflowExecutionError):
    """The execution has already ended."""

    code = "execution.ended"


@starting.post("/{int:workflow_id}/execute", response={202: ExecutionResultResponse, **REFUSALS, **CONFLICT})
def execute_workflow(
    request: HttpRequest,
    workflow_id: int,
    response: HttpResponse,
    body: WorkflowExecuteRequest = EMPTY,
    idempotency_key: Key = KEY,
) -> Any:
    """Records an execution and answers at once. The same `Idempotency-Key` always gives the same execution."""
    workflow = workflow_for(request, workflow_id, "run")
    require_steps(workflow, body.pause_before)
    execution_id = WorkflowEngine().submit(
        workflow.pk,
        body.input_data,
        by=user_of(request),
        idempotency_key=idempotency_key or None,
        pause_before=body.pause_before,
    )
    response["Location"] = address_of(request, execution_id)
    return Status(202, result_of(execution_id))


@router.get("/", response={200: ExecutionList, **REFUSALS})
def list_executions(request: HttpRequest, window: Query[ExecutionWindow]) -> Any:
    """The executions that you may see, newest first, without their data."""
    items, following = part(matching(user_of(request), window), window)
    return Status(200, {"items": items, "next": following})


@router.get("/{int:execution_id}", response={200: ExecutionStatusResponse, **REFUSALS})
def get_execution(request: HttpRequest, execution_id: int) -> Any:
    """One execution: its status, progress, input, output and error, and why it does not go on."""
    execution_for(request, execution_id, "view")
    status = async_to_sync(WorkflowEngine().get_execution_status)(execution_id)
    return Status(200, {**(status or {}), "why": _why(execution_id)})


@router.get("/{int:execution_id}/logs", response={200: ExecutionLogList, **REFUSALS})
def get_execution_logs(request: HttpRequest, execution_id: int, window: Query[LogWindow]) -> Any:
    """Its journal, oldest first: every entry after `after`. To follow a live one, ask again after its last `seq`."""
    execution_for(request, execution_id, "view")
    logs = async_to_sync(WorkflowEngine().get_execution_logs)
    entries = logs(execution_id, window.limit + 1, after=window.after, everything=not window.steps)
    items = entries[: window.limit]
    following = str(items[-1]["seq"]) if len(entries) > window.limit else None
    return Status(200, {"items": items, "next": following})


@router.post("/{int:execution_id}/cancel", response={202: ExecutionResultResponse, **REFUSALS, **CONFLICT})
def cancel_execution(request: HttpRequest, execution_id: int) -> Any:
    """Asks for its end. A running step is stopped within moments; the status says when."""
    execution = execution_for(request, execution_id, "run")
    if not WorkflowEngine().cancel(execution_id, by=user_of(request)):
        execution.refresh_from_db(fields=["status", "completed_at"])
    if execution.is_final:
        raise ExecutionEnded(f"Execution {execution_id} has already ended: {execution.status}.", execution_id)
    return Status(202, result_of(execution_id))


def require_steps(thing: Workflow | WorkflowExecution, nodes: Sequence[str], field: str = "pause_before") -> None:
    """Of a workflow's published version, or of what an execution walks. Raises InputError."""
    if not nodes:
        return
    if isinstance(thing, WorkflowExecution):
        graph = graph_of(thing)
    else:
        blueprint = blueprint_of(thing.published, thing.max_parallel) if thing.published else None
        graph = blueprint.graph if isinstance(blueprint, Blueprint) else Graph([], [])
    unknown = [node for node in nodes if node not in graph.nodes]
    if unknown:
        raise InputError(f"There is no step “{unknown[0]}” to pause before.", field)


def _why(execution_id: int) -> str | None:
    rows = WorkflowExecution.objects.select_related("workflow", "version", "paused_by")
    execution = rows.defer(*HEAVY, *DEFINITIONS).get(pk=execution_id)
    if execution.is_final:
        return None
    state = fold(execution.entries.told().order_by("seq"))
    return plain(why(execution, graph_of(execution), state)) or None


def address_of(request: HttpRequest, execution_id: int) -> str:
    """Where it is read."""
    return f"{request.path.partition('/api/')[0]}/api/executions/{execution_id}"


def execution_for(request: HttpRequest, execution_id: int, verb: Verb) -> WorkflowExecution:
    """The execution, if this user may `verb` its workflow. Raises Http404 or PermissionDenied."""
    user = user_of(request)
    rows = WorkflowExecution.objects.filter(visible(user, "workflow__"), pk=execution_id)
    execution = rows.select_related("workflow", "version").defer(*HEAVY, *DEFINITIONS).first()
    if execution is None:
        raise Http404(f"There is no execution {execution_id}.")
    if not can(user, verb, execution.workflow):
        raise PermissionDenied(f"You may see execution {execution_id}, but you may not {verb} it.")
    return execution


def matching(user: Any, window: ExecutionWindow) -> QuerySet[WorkflowExecution]:
    given = {
        "status__in": window.status,
        "workflow": window.workflow_id,
        "started_by__username": window.started_by,
        "created_at__gte": window.since,
        "created_at__lt": window.until,
    }
    filters = {field: value for field, value in given.items() if value not in (None, [])}
    return WorkflowExecution.objects.roots().filter(visible(user, "workflow__"), **filters).defer(*HEAVY)


def result_of(execution_id: int) -> dict[str, Any]:
    rows = WorkflowExecution.objects.only("status", "output_data", "output_blobs", "error_message")
    execution = rows.get(pk=execution_id)
    return {
        "execution_id": execution.pk,
        "status": execution.status,
        "output_data": output_of(execution),
        "error_message": execution.error_message,
    }
