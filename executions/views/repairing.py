"""Repair a failed execution in place: a form for its failed step, and then the same execution goes on."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from executions import story
from executions.around import around
from executions.blobs import NotReadable, is_small
from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.plan import blueprint_for, graph_of
from executions.planner import State
from executions.repair import ways_of
from executions.repair_form import RepairForm
from executions.scene import scene
from executions.views.record import again, execution_for, require, state_of
from workflows.errors import InputError, WorkflowExecutionError
from workflows.views.record import see_other
from workflows.words import as_json

Context = dict[str, Any]


@never_cache
@require_http_methods(["GET", "POST"])
def repair(request: HttpRequest, execution_id: int) -> HttpResponse:
    """?node=work: that step; without it, the one by which it failed."""
    execution = execution_for(request, execution_id)
    require(request, execution.workflow, again(execution))
    state = state_of(execution)
    node_id = _step(request, execution, state)
    blueprint = blueprint_for(execution)
    handles = ways_of(blueprint, node_id) if blueprint and node_id in blueprint.graph.nodes else ()
    seen, note = _seen(execution, node_id)
    offered = {"how": "again", "given": seen, "output": "{}"}
    form = RepairForm(request.POST or None, initial=offered, has_step=bool(node_id), handles=handles)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        refusal = _repaired(request, execution, node_id, form)
        if not refusal and form.is_valid():
            return see_other("executions:show", execution.pk)
    context = _context(execution, state, node_id) | {"form": form, "refusal": refusal, "note": note}
    if refusal:
        context["problem"] = ""  # it is said above the form, which keeps what was typed
    status = 409 if refusal else 422 if request.method == "POST" else None
    return render(request, "executions/repair.html", context, status=status)


def _step(request: HttpRequest, execution: WorkflowExecution, state: State) -> str:
    asked = (request.POST if request.method == "POST" else request.GET).get("node", "")
    chosen = asked or (state.failure or {}).get("node") or ""
    return chosen if chosen in graph_of(execution).nodes else ""


def _seen(execution: WorkflowExecution, node_id: str) -> tuple[str, str]:
    """(what the step saw, as JSON; why that is not there)"""
    if not node_id:
        return "{}", ""
    try:
        seen = story.step_data(execution.pk, node_id)["input"] or {}
    except NotReadable as error:
        return "{}", error.message
    if not is_small(seen):
        return "{}", "What the step saw is too large for this form: what you give here takes its place as a whole."
    return as_json(seen), ""


def _repaired(request: HttpRequest, execution: WorkflowExecution, node_id: str, form: RepairForm) -> str:
    """Why it was not done; what does not fit is said in the form."""
    try:
        WorkflowEngine().repair(execution.pk, form.repair(node_id or None), by=request.user)
    except InputError as error:
        form.refuse(error)
    except WorkflowExecutionError as error:
        return error.message
    return ""


def _context(execution: WorkflowExecution, state: State, node_id: str) -> Context:
    graph = graph_of(execution)
    node = graph.nodes.get(node_id)
    shown = scene(execution, graph, state, timezone.now(), around(execution, graph, state))
    problem = ""
    if state.status != "failed":
        problem = f"Only what has failed can be repaired, and #{execution.pk} is {shown.word.lower()}."
    elif execution.parent_id:
        problem = f"It carries a step of #{execution.root_id}: repair that one."
    return {"execution": execution, "scene": shown, "node": node, "problem": problem, "error": state.failure}
