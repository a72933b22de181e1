"""Start an execution: the run form, and once more with what an earlier one had."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from executions.engine import WorkflowEngine
from executions.forms import RunForm, new_key
from executions.models import WorkflowExecution
from executions.views.record import execution_for, graph_of, require, see_other
from workflows import steps as step_kinds
from workflows.errors import InputError, WorkflowExecutionError
from workflows.graph import Node
from workflows.models import Workflow
from workflows.permissions import visible_to
from workflows.words import as_json

PLANNED = 30  # steps that the run form tells of
Context = dict[str, Any]


@never_cache  # the way back from the execution must bring a new key, or "Run" would show the old one again
@require_http_methods(["GET", "POST"])
def run(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = get_object_or_404(visible_to(request.user).select_related("published"), pk=workflow_id)
    require(request, workflow)
    if request.method == "GET":
        form = RunForm(initial={"input_data": _offered(request, workflow), "key": new_key()})
        return render(request, "executions/run.html", _run_page(workflow, form))
    form = RunForm(request.POST)
    execution_id = _submitted(request, workflow, form)
    if execution_id is None:
        return render(request, "executions/run.html", _run_page(workflow, form), status=422)
    return see_other("executions:show", execution_id)


def _submitted(request: HttpRequest, workflow: Workflow, form: RunForm) -> int | None:
    if not form.is_valid():
        return None
    given, key = form.cleaned_data["input_data"], form.cleaned_data["key"]
    try:
        return WorkflowEngine().submit(workflow.pk, given, by=request.user, idempotency_key=key or None)
    except InputError as error:
        form.add_error("input_data", error.message)
    except WorkflowExecutionError as error:
        form.add_error(None, error.message)
    return None


def _offered(request: HttpRequest, workflow: Workflow) -> str:
    """The input that this user gave last, else the input step's example, else an empty object."""
    mine = WorkflowExecution.objects.filter(workflow=workflow, started_by=request.user.pk)
    last = mine.values_list("input_data", flat=True).first()
    return as_json(_example(workflow) if last is None else last)


def _example(workflow: Workflow) -> Any:
    nodes = workflow.published.definition.get("nodes", []) if workflow.published else []
    settings = (node.get("data") or {} for node in nodes)
    return next((data["example"] for data in settings if data.get("example")), {})


def _run_page(workflow: Workflow, form: RunForm) -> Context:
    nodes = list(graph_of(workflow.published, workflow).nodes.values()) if workflow.published else []
    planned = [_planned(node) for node in nodes[:PLANNED]]
    return {"workflow": workflow, "form": form, "planned": planned, "more": max(0, len(nodes) - PLANNED)}


def _planned(node: Node) -> Context:
    kind = step_kinds.kind_of(node)
    return {"label": node.label, "kind": kind.label, "icon": kind.icon, "is_outside": kind.effects == "outside"}


@require_POST
def run_again(request: HttpRequest, execution_id: int) -> HttpResponse:
    execution = execution_for(request, execution_id)
    require(request, execution.workflow)
    try:
        again = WorkflowEngine().run_again(execution.pk, by=request.user)
    except WorkflowExecutionError:
        return see_other("executions:run", execution.workflow_id)  # which says why it cannot be run
    return see_other("executions:show", again)
