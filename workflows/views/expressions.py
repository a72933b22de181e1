"""While somebody writes an expression: what it may name at a step, and what comes of it. Nothing here is saved."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from workflows.errors import DefinitionError
from workflows.graph import Graph, Node, sketch
from workflows.memory import recalled
from workflows.models import Workflow
from workflows.names import groups
from workflows.views.build import previews_of, settings_of
from workflows.views.draft import as_typed
from workflows.views.record import editable, posted


@require_safe
@never_cache
def names(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    """The list to choose from, with values of the last run."""
    workflow = editable(request, workflow_id)
    graph, node = _step(workflow, node_id)
    memory = recalled(workflow, graph, node_id)
    context = {"groups": groups(graph, node, memory), "execution": memory.execution, "workflow": workflow, "node": node}
    return render(request, "workflows/_names.html", context)


@posted
def preview(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    """What comes of the expressions that stand in the form, each for its field."""
    workflow = editable(request, workflow_id)
    graph, node = _step(workflow, node_id)
    node = Node(node.id, node.type, as_typed(workflow.definition, node_id, request.POST))
    shown = previews_of(request, workflow, graph, node)
    settings = settings_of(request, workflow, graph, node, shown)
    return render(request, "workflows/_previews.html", {"settings": settings})


def _step(workflow: Workflow, node_id: str) -> tuple[Graph, Node]:
    try:
        graph = sketch(workflow.definition)
    except DefinitionError as error:
        raise Http404(error.message) from None
    if node_id not in graph.nodes:
        raise Http404(f"“{workflow.name}” has no step “{node_id}” any more.")
    return graph, graph.nodes[node_id]
