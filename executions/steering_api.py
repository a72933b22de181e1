"""Executions under way and ended, steered over REST: paused, resumed, repaired, run again. Rights as in api.py."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from executions.api import CONFLICT, KEY, ExecutionEnded, Key, address_of, execution_for, require_steps, result_of
from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.repair import Repair
from executions.schemas import (
    ExecutionResultResponse,
    PauseRequest,
    RepairRequest,
    RerunPlan,
    RerunRequest,
    RerunWindow,
)
from workflows.api import REFUSALS, user_of
from workflows.permissions import can

router = Router(tags=["executions"])
NOW = PauseRequest.model_validate({})
AS_IT_WAS = RerunRequest.model_validate({})
AS_IT_IS = RepairRequest.model_validate({})


@router.post("/{int:execution_id}/pause", response={202: ExecutionResultResponse, **REFUSALS, **CONFLICT})
def pause_execution(request: HttpRequest, execution_id: int, body: PauseRequest = NOW) -> Any:
    """Running steps end and nothing new begins, until it is resumed; or it pauses later, `before` some steps."""
    execution = execution_for(request, execution_id, "run")
    if body.before is None:
        WorkflowEngine().pause(execution_id, by=user_of(request))
    else:
        require_steps(execution, body.before, "before")
        WorkflowEngine().pause_before(execution_id, body.before, by=user_of(request))
    return _steered(execution)


@router.post("/{int:execution_id}/resume", response={202: ExecutionResultResponse, **REFUSALS, **CONFLICT})
def resume_execution(request: HttpRequest, execution_id: int) -> Any:
    """Goes on where it was paused. One that is not paused stays as it is."""
    execution = execution_for(request, execution_id, "run")
    WorkflowEngine().resume(execution_id, by=user_of(request))
    return _steered(execution)


@router.get("/{int:execution_id}/rerun", response={200: RerunPlan, **REFUSALS, **CONFLICT})
def plan_rerun(request: HttpRequest, execution_id: int, window: Query[RerunWindow]) -> Any:
    """What running it again from a step would reuse and run, and what of that has effects outside. Runs nothing."""
    execution_for(request, execution_id, "run")
    return Status(200, WorkflowEngine().rerun_plan(execution_id, window.from_node))


@router.post("/{int:execution_id}/rerun", response={202: ExecutionResultResponse, **REFUSALS, **CONFLICT})
def rerun_execution(
    request: HttpRequest,
    execution_id: int,
    response: HttpResponse,
    body: RerunRequest = AS_IT_WAS,
    idempotency_key: Key = KEY,
) -> Any:
    """A new execution of the same version: as it was, on another input, or from a step."""
    _again(request, execution_id)
    how: dict[str, Any] = {"from_node": body.from_node, "idempotency_key": idempotency_key or None}
    new = WorkflowEngine().run_again(execution_id, body.input_data, by=user_of(request), **how)
    response["Location"] = address_of(request, new)
    return Status(202, result_of(new))


@router.post("/{int:execution_id}/repair", response={202: ExecutionResultResponse, **REFUSALS, **CONFLICT})
def repair_execution(request: HttpRequest, execution_id: int, body: RepairRequest = AS_IT_IS) -> Any:
    """Lets a failed execution go on: its failed step runs once more, on another input, or gets its output from you."""
    _again(request, execution_id)
    repair = Repair(body.node, body.reason, body.input_data, body.output_data, body.handle)
    WorkflowEngine().repair(execution_id, repair, by=user_of(request))
    return Status(202, result_of(execution_id))


def _again(request: HttpRequest, execution_id: int) -> None:
    """Raises Http404 or PermissionDenied."""
    execution = execution_for(request, execution_id, "run")
    if execution.version.is_draft and not can(user_of(request), "edit", execution.workflow):
        raise PermissionDenied(f"Execution {execution_id} ran a draft: that is for those who may edit the workflow.")


def _steered(execution: WorkflowExecution) -> Any:
    execution.refresh_from_db(fields=["status", "completed_at"])
    if execution.is_final:
        raise ExecutionEnded(f"Execution {execution.pk} has already ended: {execution.status}.", execution.pk)
    return Status(202, result_of(execution.pk))
