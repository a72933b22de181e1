"""Look at a workflow, write it, publish it, put it away."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from workflows.drawing import draw
from workflows.errors import DefinitionError, Problem
from workflows.forms import STARTER, WorkflowForm
from workflows.graph import Graph, Node, parse
from workflows.models import Workflow
from workflows.models.workflow import definition_problems
from workflows.permissions import can
from workflows.steps import kind_of, kinds
from workflows.views.record import require, see_other, workflow_for
from workflows.words import as_json

LAST = 8  # executions on the workflow's page
DRAWN = 300  # steps; a larger drawing can no longer be read
Context = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step as the drawing and the outline show it."""

    node_id: str
    label: str
    kind: str
    icon: str
    after: tuple[str, ...]


@require_safe
def show(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = workflow_for(request, workflow_id)
    problems = definition_problems(workflow.definition) if workflow.draft is not None else []
    return render(request, "workflows/show.html", _page(request, workflow, _form(workflow), problems))


def _page(request: HttpRequest, workflow: Workflow, form: WorkflowForm, problems: list[Problem]) -> Context:
    runs: QuerySet[Any] = workflow.executions.order_by("-pk").select_related("started_by")
    return {
        "workflow": workflow,
        "form": form if can(request.user, "edit", workflow) else None,
        "problems": problems,
        "may_run": can(request.user, "run", workflow),
        "may_archive": can(request.user, "administer", workflow),
        "executions": runs.defer("input_data", "output_data", "error")[:LAST],
        **_drawn(workflow),
    }


def _form(workflow: Workflow) -> WorkflowForm:
    return WorkflowForm(instance=workflow, initial={"definition": as_json(workflow.definition)})


def _drawn(workflow: Workflow) -> Context:
    """The graph of the draft where it has one that can be drawn, else of the published version."""
    for definition, is_draft in ((workflow.draft, True), (_published(workflow), False)):
        try:
            return {"is_draft": is_draft, **_graph(parse(definition))}
        except DefinitionError:
            continue
    return {"steps": []}


def _published(workflow: Workflow) -> Any:
    return workflow.published.definition if workflow.published else None


def _graph(graph: Graph) -> Context:
    steps = {node_id: _step(graph, graph.nodes[node_id]) for node_id in graph.order}
    if len(steps) > DRAWN:
        return {"steps": steps.values()}
    drawing = draw(graph)
    return {
        "steps": steps.values(),
        "drawing": drawing,
        "boxes": [(box, _node_html(steps[box.node.id])) for box in drawing.boxes],
        "links_html": render_to_string("workflows/_links.html", {"links": [(link, "") for link in drawing.links]}),
    }


def _step(graph: Graph, node: Node) -> Step:
    kind = kind_of(node)
    after = tuple(graph.nodes[edge.source].label for edge in graph.incoming[node.id])
    return Step(node.id, node.label, kind.label, kind.icon, after)


@lru_cache(maxsize=1_024)
def _node_html(step: Step) -> SafeString:
    return render_to_string("workflows/_node.html", {"lane": step, "href": f"#step-{step.node_id}"})


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        form = WorkflowForm(initial={"definition": as_json(STARTER)})
        return render(request, "workflows/new.html", {"form": form, "problems": [], "kinds": _kinds()})
    form = WorkflowForm(request.POST, instance=Workflow(owner=request.user))  # type: ignore[misc]
    problems = _kept(request, form)
    if problems is None:
        return see_other("workflows:show", form.instance.pk)
    context = {"form": form, "problems": problems, "kinds": _kinds()}
    return render(request, "workflows/new.html", context, status=422)


def _kinds() -> list[Context]:
    return [
        {"kind": name, "icon": kind.icon, "help": kind.help, "settings": ", ".join(kind.Config.model_fields)}
        for name, kind in kinds().items()
    ]


@require_http_methods(["GET", "POST"])
def save(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """Keeps the draft, or publishes it. What cannot be kept comes back as it was typed, with all that is wrong."""
    workflow = workflow_for(request, workflow_id)
    if request.method == "GET":
        return redirect("workflows:show", workflow.pk)
    require(request, "edit", workflow)
    form = WorkflowForm(request.POST, instance=workflow)
    problems = _kept(request, form)
    if problems is None:
        return see_other("workflows:show", workflow.pk)
    context = _page(request, workflow_for(request, workflow_id), form, problems)
    return render(request, "workflows/show.html", context, status=422)


def _kept(request: HttpRequest, form: WorkflowForm) -> list[Problem] | None:
    """None where everything was kept; else the definition's problems (none where the form's own errors say it)."""
    if not form.is_valid():
        form.point_out()
        return []
    definition, publish = form.cleaned_data["definition"], request.POST.get("do") == "publish"
    try:
        with transaction.atomic():
            workflow = form.save()
            workflow.publish(definition, by=request.user) if publish else workflow.keep_draft(definition)
    except DefinitionError:
        return definition_problems(definition)
    text = f"Version {workflow.published.number} is published." if publish and workflow.published else "Draft saved."
    messages.success(request, text)
    return None


@require_POST
def archive(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = workflow_for(request, workflow_id)
    require(request, "administer", workflow)
    workflow.archive()
    messages.success(request, f"“{workflow.name}” is archived. Its executions stay.")
    return see_other("workflows:list")
