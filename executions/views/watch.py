"""Watch an execution: as a whole, step by step, or line by line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from executions import fragments, spending
from executions.around import around
from executions.forms import new_key
from executions.models import ExecutionLog, WorkflowExecution
from executions.plan import drawn_of, graph_of
from executions.planner import State
from executions.scene import STUCK, Scene, scene
from executions.timeline import lane
from executions.views import data
from executions.views.record import again, execution_for, state_of
from executions.views.waiting import form_html
from workflows.graph import Graph
from workflows.permissions import can, visible
from workflows.views.record import whole

FIRST_PAINT = 200  # entries that the page shows at once
WINDOW = 500  # entries that come when older ones are asked for
FAILURES = ("failed", "retried")
Context = dict[str, Any]


@require_safe
def show(request: HttpRequest, execution_id: int) -> HttpResponse:
    execution = execution_for(request, execution_id)
    graph, state = graph_of(execution), state_of(execution)
    # After the state: an execution that ended in between still gets its last entries, though it has no socket.
    rows = list(execution.entries.order_by("-seq")[:FIRST_PAINT])[::-1]
    shown = scene(execution, graph, state, timezone.now(), around(execution, graph, state))
    context = _page(execution, shown) | _window(execution, graph, rows) | {"data": data.shown(execution)}
    forms = {ask.node_id: form_html(request, execution.pk, ask.node_id) for ask in shown.asks if ask.is_open}
    # Where there is a form to fill in, the page must not load itself again without script.
    context |= {"waits": fragments.waits(shown, forms), "has_form": any("<form" in html for html in forms.values())}
    context["parent"] = _parent(request, execution)
    context["may_run"] = can(request.user, "run", execution.workflow)
    context["may_run_again"] = execution.parent_id is None and can(request.user, again(execution), execution.workflow)
    context["key"] = new_key()  # a second click on “Run again” starts nothing more
    return render(request, "executions/show.html", context)


def _parent(request: HttpRequest, execution: WorkflowExecution) -> Context | None:
    """The execution whose step this one carries, and that step; None where the visitor may not see it."""
    if execution.parent_id is None:
        return None
    rows = WorkflowExecution.objects.filter(visible(request.user, "workflow__"), pk=execution.parent_id)
    parent = rows.select_related("workflow", "version").first()
    if parent is None:
        return None
    node = graph_of(parent).nodes.get(execution.parent_node or "")
    return {"pk": parent.pk, "status": parent.status, "step": node.label if node else execution.parent_node}


@require_safe
def steps(request: HttpRequest, execution_id: int) -> HttpResponse:
    """Every step, drawn and listed, as of now: the whole of an execution that is too large to be watched whole."""
    execution = execution_for(request, execution_id)
    graph, state = graph_of(execution), state_of(execution)
    shown = scene(execution, graph, state, timezone.now(), around(execution, graph, state), whole=True)
    return render(request, "executions/steps.html", _page(execution, shown))


@require_safe
def step(request: HttpRequest, execution_id: int, node_id: str) -> HttpResponse:
    execution = execution_for(request, execution_id)
    graph, state = graph_of(execution), state_of(execution)
    if node_id not in graph.nodes:
        return _of_items(execution, node_id)
    looked = around(execution, graph, state)
    shown = scene(execution, graph, state, timezone.now(), looked)
    rows = list(execution.entries.filter(node=node_id).order_by("-seq")[:WINDOW])[::-1]
    context: Context = {
        "execution": execution,
        "scene": shown,
        "lane": lane(graph.nodes[node_id], state, shown.axis, looked.tallies.get(node_id), _halts(execution, node_id)),
        "data": data.shown_of_step(execution, node_id),
        "error": next(((row.data or {}).get("error") for row in reversed(rows) if row.kind in FAILURES), None),
        "rows": fragments.joined(fragments.entries(execution, graph, rows)),
        "spent": spending.of_step(execution, node_id),
        "runs_after": [graph.nodes[edge.source] for edge in graph.incoming[node_id]],
        "is_stuck": state.status == "failed" and _is_stuck(state, node_id),
        "may_run": can(request.user, "run", execution.workflow),
        "may_run_again": execution.parent_id is None and can(request.user, again(execution), execution.workflow),
    }
    return render(request, "executions/step.html", context)


def _of_items(execution: WorkflowExecution, node_id: str) -> HttpResponse:
    """A step of a body: the executions of its items have it."""
    owner = next((owner for owner, body in drawn_of(execution).bodies.items() if node_id in body), None)
    if owner is None:
        raise Http404
    return redirect(f"{reverse('executions:items', args=[execution.pk])}?node={owner}")


def _halts(execution: WorkflowExecution, node_id: str) -> bool:
    return node_id in execution.pause_before


def _is_stuck(state: State, node_id: str) -> bool:
    node = state.nodes.get(node_id)
    return node is not None and node.status in STUCK and node.handle is None


@require_safe
def entries(request: HttpRequest, execution_id: int) -> HttpResponse:
    """A window of the log: before or after some entry. HTMX gets the rows alone, for the top of the log."""
    execution = execution_for(request, execution_id)
    graph = graph_of(execution)
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
    execution = execution_for(request, execution_id)
    if not request.headers.get("HX-Request"):
        return redirect("executions:show", execution_id)
    context = {"scene": {"execution_id": execution.pk, "status": execution.status}, "has_output": True}
    return render(request, "executions/_result.html", context | {"output": data.shown(execution)["output"]})


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
