"""The builder: the outline of a draft, its drawing and problems, and beside it the step that is being worked on.

Each state of the page has an address. HTMX gets the builder without the page around it, from the same view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from workflows import config, dynamic, failing
from workflows.changes import told
from workflows.graph import Edge, Graph, Node
from workflows.memory import recalled
from workflows.models import Workflow
from workflows.permissions import can
from workflows.picker import choices
from workflows.previews import named_by, previews, recipe_for
from workflows.reach import reachable
from workflows.sayings import kind_label
from workflows.scene import Mark, scene
from workflows.secrets.choice import with_secrets
from workflows.steps import config_errors, handles_of, kind_of, naming_errors
from workflows.views.record import editable, may_edit, workflow_for
from workflows.ways import end, free, ways

Context = dict[str, Any]
Shown = Mapping[str, config.Preview]
NEIGHBOURS = 200  # steps that are offered as those to run after


@require_safe
@vary_on_headers("HX-Request")
def show(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = workflow_for(request, workflow_id)
    page = builder(request, workflow)
    is_empty = page["scene"].graph is not None and not page["scene"].steps
    if is_empty and page["may_edit"]:
        page |= _picker(request, page["scene"].graph)
    return _answered(request, page)


@require_safe
@vary_on_headers("HX-Request")
def step(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    """The builder with one step's settings open."""
    workflow = workflow_for(request, workflow_id)
    page = builder(request, workflow, node_id)
    graph: Graph | None = page["scene"].graph
    if graph is None or node_id not in graph.nodes:
        raise Http404(f"“{workflow.name}” has no step “{node_id}” any more.")
    node = graph.nodes[node_id]
    shown = previews_of(request, workflow, graph, node) if page["may_edit"] else {}
    return _answered(request, page | inspector(request, workflow, graph, node, shown))


@require_safe
@vary_on_headers("HX-Request")
def picker(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """The builder with the kinds of step to choose from: for the place `after` a step, by one `handle` of it."""
    workflow = editable(request, workflow_id)
    if request.headers.get("HX-Target", "").endswith("#kinds"):
        return render(request, "workflows/_kinds.html", {"choices": choices(request.GET.get("q", ""))})
    page = builder(request, workflow, request.GET.get("after", ""))
    if page["scene"].graph is None:
        return _answered(request, page)
    return _answered(request, page | _picker(request, page["scene"].graph))


def builder(request: HttpRequest, workflow: Workflow, selected: str = "") -> Context:
    """What every state of the builder shows."""
    last, marks = last_execution(workflow)
    return {
        "workflow": workflow,
        "scene": scene(workflow, selected, marks),
        "selected": selected,
        "last": last,
        "changes": _changes(workflow),
        "may_edit": may_edit(request, workflow),
        "may_run": can(request.user, "run", workflow),
        "undo": workflow.edits.done().told().first(),
        "redo": workflow.edits.undone().told().first(),
    }


def _changes(workflow: Workflow) -> int | None:
    """How many things the draft changes in what runs; None where there is no draft or nothing runs."""
    if workflow.draft is None or workflow.published is None:
        return None
    return len(told(workflow.published.definition, workflow.draft))


def last_execution(workflow: Workflow) -> tuple[Any, dict[str, Mark]]:
    """The newest execution and how each step fared in it. By the relation's names: this room does not know the next."""
    executions: Any = workflow.executions.roots()
    last = executions.order_by("-pk").select_related("version").only("status", "created_at", "version__number").first()
    if last is None:
        return None, {}
    ended = last.entries.filter(kind__in=("completed", "failed", "skipped", "cancelled")).exclude(node=None)
    rows = ended.order_by("seq").values_list("node", "kind", "took_ms")
    return last, {node: Mark(kind, took_ms) for node, kind, took_ms in rows[:2_000]}


def previews_of(request: HttpRequest, workflow: Workflow, graph: Graph, node: Node) -> Shown:
    """What comes of a step's expressions, by field. Nothing is read where there is none."""
    recipe = recipe_for(kind_of(node), node.data)
    if not recipe.expressions:
        return {}
    memory = recalled(workflow, graph, node.id, named_by(recipe))
    return previews(recipe, memory, f"preview {request.user.pk}")


def inspector(
    request: HttpRequest, workflow: Workflow, graph: Graph, node: Node, shown: Shown | None = None
) -> Context:
    """One step: its settings, what it runs after, and what may be done with it. `shown`: under its fields."""
    kind = kind_of(node)
    return {
        "node": node,
        "kind": {
            "label": kind_label(node.type),
            "icon": kind.icon,
            "help": kind.help,
        },  # a class would be called by the template
        "is_known": kind.kind == node.type,
        "settings": settings_of(request, workflow, graph, node, shown or {}),
        "failing": failing.section(node.data),
        "after": [(edge, end(graph, edge)) for edge in graph.incoming[node.id]],
        "offers": _offers(graph, node),
        "ways": ways(graph, node),
        "at": graph.order.index(node.id),
    }


def settings_of(
    request: HttpRequest, workflow: Workflow, graph: Graph, node: Node, shown: Shown
) -> list[config.Setting]:
    """Some fields offer what only this person, or only this workflow, may choose."""
    kind = kind_of(node)
    errors: dict[str, list[str]] = {}
    named = ((place, f"This {text}") for place, text in naming_errors(node, graph))
    for place, text in [*config_errors(kind, node.data), *named]:
        errors.setdefault(place, []).append(text)
    settings = with_secrets(workflow, config.settings(kind.Config, node.data, errors))
    settings = dynamic.taking(settings, kind.literal, shown)
    return [reachable(request.user, one) if one.look == "workflow" else one for one in settings]


def _offers(graph: Graph, node: Node) -> list[tuple[str, str]]:
    """The ends that this step could run after, without a cycle: ("step handle", words)."""
    not_these = {node.id, *graph.after(node.id)}
    taken = {(edge.source, edge.handle) for edge in graph.incoming[node.id]}
    unused = [
        Edge(other.id, node.id, handle)
        for other in graph.nodes.values()
        if other.id not in not_these
        for handle in handles_of(other)
        if (other.id, handle) not in taken
    ]
    return [(f"{edge.source} {edge.handle}", end(graph, edge)) for edge in unused[:NEIGHBOURS]]


def _picker(request: HttpRequest, graph: Graph) -> Context:
    after = graph.nodes.get(request.GET.get("after", ""))
    query = request.GET.get("q", "").replace("\0", "")[:100]
    offered = ways(graph, after) if after else []
    asked, known = request.GET.get("handle", ""), [one.handle for one in offered if not one.is_lost]
    followers = dict.fromkeys(label for one in offered for _, label in one.followers)
    return {
        "is_picking": True,
        "after_node": after,
        "handle": asked if asked in known or after is None else free(graph, after),
        "ways": [one for one in offered if not one.is_lost],
        "followers": list(followers),
        "choices": choices(query),
        "query": query,
    }


def _answered(request: HttpRequest, page: Context) -> HttpResponse:
    """A part of the page for HTMX; it writes no second entry into the browser's history for the same place."""
    if not request.headers.get("HX-Request") or request.headers.get("HX-History-Restore-Request"):
        return render(request, "workflows/show.html", page)
    is_same_place = urlsplit(request.headers.get("HX-Current-URL", "")).path == request.path
    response = render(request, "workflows/_builder.html", page | {"is_same_place": is_same_place})
    if is_same_place:
        response["HX-Push-Url"] = "false"
    return response
