"""The pages of executions: start one, find one, watch one, cancel one. Rows in, templates out; the engine works.

Somebody else's execution is unknown (404). Every page works without script: the socket only makes it move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import CharField, F
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Left
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from executions import fragments
from executions.engine import WorkflowEngine
from executions.forms import RunForm, new_key
from executions.models import ExecutionLog, ExecutionStatus, WorkflowExecution
from executions.planner import State, fold
from executions.scene import Scene, scene
from executions.timeline import lane
from workflows import steps as step_kinds
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import InputError, WorkflowExecutionError
from workflows.graph import Graph, Node
from workflows.models import Workflow, WorkflowVersion
from workflows.permissions import can, visible, visible_to
from workflows.words import as_json

PAGE = 50  # executions on a page of the list
FIRST_PAINT = 200  # entries that the page shows at once
WINDOW = 500  # entries that come when older ones are asked for
PLANNED = 30  # steps that the run form tells of
Context = dict[str, Any]


# Start


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
    nodes = list(_graph_of(workflow.published, workflow).nodes.values()) if workflow.published else []
    planned = [_planned(node) for node in nodes[:PLANNED]]
    return {"workflow": workflow, "form": form, "planned": planned, "more": max(0, len(nodes) - PLANNED)}


def _planned(node: Node) -> Context:
    kind = step_kinds.kind_of(node)
    return {"label": node.label, "kind": kind.label, "icon": kind.icon, "is_outside": kind.effects == "outside"}


# Find


@require_safe
def listed(request: HttpRequest) -> HttpResponse:
    status, workflow, before = request.GET.get("status", ""), whole(request, "workflow"), whole(request, "before")
    rows = WorkflowExecution.objects.filter(visible(request.user, "workflow__"))
    if status in ExecutionStatus.values:
        rows = rows.filter(status=status)
    if workflow is not None:
        rows = rows.filter(workflow=workflow)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(_light(rows)[: PAGE + 1])
    context = {
        "executions": found[:PAGE],
        "older": found[PAGE - 1].pk if len(found) > PAGE else None,
        "status": status,
        "workflow": workflow,
        "before": before,
        "statuses": ExecutionStatus.choices,
        "workflows": visible_to(request.user).only("name")[:500],
    }
    return render(request, "executions/list.html", context)


def _light(rows: Any) -> Any:
    """What a list shows, without the data that executions carry, and with the cause of a failure in one line."""
    facts = ("status", "created_at", "started_at", "completed_at", "cancel_requested_at", "steps_done", "steps_total")
    cause = {"cause": Left("error_message", 240), "failed_step": Cast(KT("error__step_name"), CharField())}
    rows = rows.select_related("workflow", "started_by").annotate(**cause)
    return rows.only(*facts, "workflow__name", "started_by__username").order_by(F("pk").desc())


# Watch


@require_safe
def show(request: HttpRequest, execution_id: int) -> HttpResponse:
    execution = _execution(request, execution_id)
    graph, state = _graph_of(execution.version, execution.workflow), _state_of(execution)
    # After the state: an execution that ended in between still gets its last entries, though it has no socket.
    rows = list(execution.entries.order_by("-seq")[:FIRST_PAINT])[::-1]
    context = _page(execution, scene(execution, graph, state, timezone.now()))
    context |= _window(execution, graph, rows)
    context["may_run"] = can(request.user, "run", execution.workflow)
    return render(request, "executions/show.html", context)


@require_safe
def steps(request: HttpRequest, execution_id: int) -> HttpResponse:
    """Every step, drawn and listed, as of now: the whole of an execution that is too large to be watched whole."""
    execution = _execution(request, execution_id)
    graph, state = _graph_of(execution.version, execution.workflow), _state_of(execution)
    shown = scene(execution, graph, state, timezone.now(), whole=True)
    return render(request, "executions/steps.html", _page(execution, shown))


@require_safe
def step(request: HttpRequest, execution_id: int, node_id: str) -> HttpResponse:
    execution = _execution(request, execution_id)
    graph, state = _graph_of(execution.version, execution.workflow), _state_of(execution)
    if node_id not in graph.nodes:
        raise Http404
    shown = scene(execution, graph, state, timezone.now())
    rows = list(execution.entries.filter(node=node_id).order_by("-seq")[:WINDOW])[::-1]
    context: Context = {
        "execution": execution,
        "scene": shown,
        "lane": lane(graph.nodes[node_id], state, shown.axis),
        "data": WorkflowEngine().step_data(execution.pk, node_id),
        "error": next(((row.data or {}).get("error") for row in reversed(rows) if row.kind == "failed"), None),
        "rows": fragments.joined(fragments.entries(execution, graph, rows)),
        "runs_after": [graph.nodes[edge.source] for edge in graph.incoming[node_id]],
    }
    return render(request, "executions/step.html", context)


@require_safe
def entries(request: HttpRequest, execution_id: int) -> HttpResponse:
    """A window of the log: before or after some entry. HTMX gets the rows alone, for the top of the log."""
    execution = _execution(request, execution_id)
    graph = _graph_of(execution.version, execution.workflow)
    before, after = whole(request, "before"), whole(request, "after")
    if after is not None:
        rows = list(execution.entries.filter(seq__gt=after).order_by("seq")[:WINDOW])
    else:
        older = execution.entries.order_by("-seq")
        rows = list((older if before is None else older.filter(seq__lt=before))[:WINDOW])[::-1]
    context = _window(execution, graph, rows)
    if request.headers.get("HX-Request"):
        return render(request, "executions/_entries.html", context)
    context["has_later"] = bool(rows) and execution.entries.filter(seq__gt=rows[-1].seq).exists()
    return render(request, "executions/entries.html", context)


@require_safe
def result(request: HttpRequest, execution_id: int) -> HttpResponse:
    execution = _execution(request, execution_id)
    if not request.headers.get("HX-Request"):
        return redirect("executions:show", execution_id)
    context = {"scene": {"execution_id": execution.pk, "status": execution.status}, "has_output": True}
    return render(request, "executions/_result.html", context | {"output": execution.output_data})


def _page(execution: WorkflowExecution, shown: Scene) -> Context:
    return {
        "execution": execution,
        "scene": shown,
        "pieces": fragments.of_scene(shown),
        "links_html": fragments.links(shown),
        "boxes": [(box, fragments.node(execution.pk, lane)) for box, lane in shown.boxes],
        "step_rows": [fragments.row(execution.pk, lane, shown.axis.span_ms) for lane in shown.lanes],
    }


def _window(execution: WorkflowExecution, graph: Graph, rows: Sequence[ExecutionLog]) -> Context:
    html: SafeString = fragments.joined(fragments.entries(execution, graph, rows))
    first, last = (rows[0].seq, rows[-1].seq) if rows else (1, 0)
    return {"execution": execution, "rows": html, "first": first, "last": last, "earlier": first - 1}


# Act


@require_POST
def cancel(request: HttpRequest, execution_id: int) -> HttpResponse:
    """Asks for the end and does not wait for it: the page shows it coming."""
    execution = _execution(request, execution_id)
    require(request, execution.workflow)
    WorkflowEngine().cancel(execution.pk, by=request.user)
    if not request.headers.get("HX-Request"):
        return see_other("executions:show", execution.pk)
    execution = _execution(request, execution_id)
    return HttpResponse(
        fragments.state(execution, _graph_of(execution.version, execution.workflow), _state_of(execution))
    )


@require_POST
def run_again(request: HttpRequest, execution_id: int) -> HttpResponse:
    execution = _execution(request, execution_id)
    require(request, execution.workflow)
    try:
        again = WorkflowEngine().run_again(execution.pk, by=request.user)
    except WorkflowExecutionError:
        return see_other("executions:run", execution.workflow_id)  # which says why it cannot be run
    return see_other("executions:show", again)


# What all of them need


def _execution(request: HttpRequest, execution_id: int) -> WorkflowExecution:
    rows = WorkflowExecution.objects.filter(visible(request.user, "workflow__"))
    rows = rows.select_related("workflow", "version", "started_by").defer("version__definition", "workflow__draft")
    return get_object_or_404(rows, pk=execution_id)


def _graph_of(version: WorkflowVersion, workflow: Workflow) -> Graph:
    blueprint = blueprint_of(version, workflow.max_parallel)
    return blueprint.graph if isinstance(blueprint, Blueprint) else Graph([], [])


def _state_of(execution: WorkflowExecution) -> State:
    state = fold(execution.entries.told().order_by("seq"))
    if state.status is not None and execution.completed_at is None:
        execution.refresh_from_db(fields=["completed_at", "output_data", "status"])  # it ended between two reads
    return state


def require(request: HttpRequest, workflow: Workflow) -> None:
    if not can(request.user, "run", workflow):
        raise PermissionDenied


def see_other(name: str, *args: object) -> HttpResponse:
    """After a POST: 303, so that a reload repeats nothing."""
    return HttpResponseRedirect(reverse(name, args=args), status=303)


def whole(request: HttpRequest, name: str) -> int | None:
    """A whole number from the address; None for everything else, however long."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
