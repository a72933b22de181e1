"""Run an execution again: as it was, on another input, or from one of its steps. Always a new execution that names the
old one; which steps are reused, and which reach outside once more, is said before anything runs.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from executions.engine import WorkflowEngine
from executions.forms import new_key
from executions.models import WorkflowExecution
from executions.plan import blueprint_for
from executions.rerun import Plan
from executions.views.record import again, execution_for, require
from executions.views.start import Beginning, Offer, answer, planned
from workflows.errors import InputError, StepstreamError, WorkflowExecutionError
from workflows.graph import Graph
from workflows.views.record import see_other

LISTED = 100  # steps of a plan
KEY_LENGTH = 64
Context = dict[str, Any]


@require_POST
def run_again(request: HttpRequest, execution_id: int) -> HttpResponse:
    """As it was, at once. The page's key makes a second click give the same execution."""
    execution = _rerunnable(request, execution_id)
    try:
        new = WorkflowEngine().run_again(execution.pk, by=request.user, idempotency_key=_key(request, execution))
    except StepstreamError:
        return see_other("executions:run", execution.workflow_id)  # which says why it cannot be run
    return see_other("executions:show", new)


@never_cache
@require_http_methods(["GET", "POST"])
def on_other_input(request: HttpRequest, execution_id: int) -> HttpResponse:
    """The run form, filled with what the old one was given; it runs the old one's version."""
    execution = _rerunnable(request, execution_id)
    blueprint = blueprint_for(execution)
    graph, asked = (blueprint.graph, blueprint.fields) if blueprint else (Graph([], []), ())
    offer = Offer({} if execution.input_blobs else execution.input_data, execution.pk)
    beginning = Beginning(execution.workflow, graph, asked, offer, retry_of=execution)
    return answer(request, beginning, old=execution, can_begin=_can_begin(execution))


@never_cache
@require_http_methods(["GET", "POST"])
def from_step(request: HttpRequest, execution_id: int) -> HttpResponse:
    """?node=work: what is reused and what runs again, and the button that does it. Without a node: which one?"""
    execution = _rerunnable(request, execution_id)
    node_id = (request.POST if request.method == "POST" else request.GET).get("node", "").replace("\0", "")
    if request.method == "POST" and node_id:
        return _begun(request, execution, node_id)
    return _page(request, execution, node_id)


def _rerunnable(request: HttpRequest, execution_id: int) -> WorkflowExecution:
    execution = execution_for(request, execution_id)
    require(request, execution.workflow, again(execution))
    return execution


def _can_begin(execution: WorkflowExecution) -> bool:
    workflow = execution.workflow
    return workflow.archived_at is None if execution.version.is_draft else workflow.is_runnable


def _begun(request: HttpRequest, execution: WorkflowExecution, node_id: str) -> HttpResponse:
    how: Context = {"by": request.user, "idempotency_key": _key(request, execution, node_id)}
    try:
        return see_other("executions:show", WorkflowEngine().run_again(execution.pk, from_node=node_id, **how))
    except (WorkflowExecutionError, InputError) as error:
        messages.error(request, f"Nothing was started: {error.message}")
        return _page(request, execution, node_id, 409)


def _key(request: HttpRequest, execution: WorkflowExecution, node_id: str = "") -> str | None:
    """Unlike a bare one, no other form's key of the same workflow can meet it."""
    key = request.POST.get("key", "").replace("\0", "")[:KEY_LENGTH]
    return f"{key} {execution.pk} {node_id}".strip() if key else None


def _page(request: HttpRequest, execution: WorkflowExecution, node_id: str, status: int | None = None) -> HttpResponse:
    blueprint = blueprint_for(execution)
    graph = blueprint.graph if blueprint else Graph([], [])
    context: Context = {"execution": execution, "steps": [graph.nodes[one] for one in graph.order], "key": new_key()}
    if node_id:
        try:
            plan = WorkflowEngine().rerun_plan(execution.pk, node_id)
            context |= {"node": graph.nodes[node_id], **_told(graph, plan)}
        except StepstreamError as error:
            context["problem"] = error.message
            status = status or 409
    return render(request, "executions/again_from.html", context, status=status)


def _told(graph: Graph, plan: Plan) -> Context:
    return {
        "reused": [planned(graph.nodes[one]) for one in plan.reused[:LISTED]],
        "reused_more": max(0, len(plan.reused) - LISTED),
        "again": [planned(graph.nodes[one]) | {"is_outside": one in plan.outside} for one in plan.again[:LISTED]],
        "again_more": max(0, len(plan.again) - LISTED),
        "outside": len(plan.outside),
    }
