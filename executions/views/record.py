"""What the pages of executions share: the execution that somebody may see, its graph and state, and the way back."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from executions.models import WorkflowExecution
from executions.planner import State, fold
from workflows.models import Workflow
from workflows.permissions import Verb, can, visible, why_not


def execution_for(request: HttpRequest, execution_id: int) -> WorkflowExecution:
    rows = WorkflowExecution.objects.filter(visible(request.user, "workflow__"))
    rows = rows.select_related("workflow", "version", "started_by", "paused_by").defer(
        "version__definition", "workflow__draft"
    )
    return get_object_or_404(rows, pk=execution_id)


def state_of(execution: WorkflowExecution) -> State:
    state = fold(execution.entries.told().order_by("seq"))
    if state.status is not None and execution.completed_at is None:
        execution.refresh_from_db(fields=["completed_at", "output_data", "status"])  # it ended between two reads
    return state


def require(request: HttpRequest, workflow: Workflow, verb: Verb = "run") -> None:
    if not can(request.user, verb, workflow):
        raise PermissionDenied(why_not(verb, workflow))


def again(execution: WorkflowExecution) -> Verb:
    """What one must be allowed to do to run it once more: a draft is for those who may edit it."""
    return "edit" if execution.version.is_draft else "run"
