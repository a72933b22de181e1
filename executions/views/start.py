"""Start an execution: by the run form, or at once with what that would offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from executions.engine import WorkflowEngine
from executions.forms import FieldsForm, Given, RunForm, new_key
from executions.models import WorkflowExecution
from executions.views.record import require
from workflows import fields
from workflows import steps as step_kinds
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import InputError, StepstreamError
from workflows.fields import Field
from workflows.graph import Graph, Node
from workflows.models import Workflow, WorkflowVersion
from workflows.part import ALONE
from workflows.permissions import visible_to
from workflows.views.record import see_other
from workflows.words import as_json

PLANNED = 30  # steps that the run form tells of
Context = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Offer:
    """The input to begin with, and the execution that it comes from, if any."""

    given: dict[str, Any]
    source: int | None = None


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is about to begin. `version`: makes that of a draft when it does; None for the published one.

    `retry_of`: the execution whose version it runs once more.
    """

    workflow: Workflow
    graph: Graph
    asked: Sequence[Field]
    offer: Offer
    version: Callable[[], WorkflowVersion] | None = None
    retry_of: WorkflowExecution | None = None


@never_cache  # the way back from the execution must bring a new key, or "Run" would show the old one again
@require_http_methods(["GET", "POST"])
def run(request: HttpRequest, workflow_id: int) -> HttpResponse:
    return answer(request, published(request, workflow_id))


@require_POST
def start(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """Begins at once with what the run form would offer; where that does not do, the form is shown."""
    beginning = published(request, workflow_id)
    form = RunForm({"input_data": as_json(beginning.offer.given), "key": request.POST.get("key", "")})
    execution_id = begun(request, beginning, form)
    if execution_id is None:
        return see_other("executions:run", workflow_id)
    return see_other("executions:show", execution_id)


def published(request: HttpRequest, workflow_id: int) -> Beginning:
    workflow = get_object_or_404(visible_to(request.user).select_related("published"), pk=workflow_id)
    require(request, workflow)
    blueprint = blueprint_of(workflow.published, workflow.max_parallel) if workflow.published else None
    if not isinstance(blueprint, Blueprint):
        return Beginning(workflow, Graph([], []), (), Offer({}))
    offer = offered(request, workflow, blueprint)
    return Beginning(workflow, blueprint.graph, blueprint.fields, offer)


def answer(request: HttpRequest, beginning: Beginning, **page: Any) -> HttpResponse:
    """The form for it, in the shape that was asked for; posted, it begins, or turns into the other shape."""
    asked = beginning.asked
    if request.method == "GET":
        kind = FieldsForm if asked and request.GET.get("as") != RunForm.shape else RunForm
        return _page(request, beginning, kind.offering(beginning.offer.given, new_key(), asked), page)
    form = posted(request, asked)
    if request.POST.get("turn"):
        other = form.turned()
        return _page(request, beginning, other or form, page, status=200 if other else 422)
    execution_id = begun(request, beginning, form)
    if execution_id is None:
        return _page(request, beginning, form, page, status=422)
    return see_other("executions:show", execution_id)


def posted(request: HttpRequest, asked: Sequence[Field]) -> Given:
    """What was typed, in the shape in which it was, though the workflow may ask for something else by now."""
    has_fields = "asks" in request.POST or (asked and "input_data" not in request.POST)
    return (FieldsForm if has_fields else RunForm)(request.POST, asked=asked)


def begun(request: HttpRequest, beginning: Beginning, form: Given) -> int | None:
    """The new execution, or None where the form says why there is none."""
    if not form.is_valid():
        return None
    try:
        given = fields.check(beginning.asked, form.given)  # first: what is refused shall leave no version behind
        how: Context = {"by": request.user, "idempotency_key": form.cleaned_data["key"] or None}
        how |= {"retry_of": beginning.retry_of, "pause_before": request.POST.getlist("pause_before")}
        version = beginning.version() if beginning.version else None
        return WorkflowEngine().submit(beginning.workflow.pk, given, version=version, **how)
    except InputError as error:
        form.refuse(error)
    except StepstreamError as error:
        form.add_error(None, error.message)
    return None


def offered(request: HttpRequest, workflow: Workflow, blueprint: Blueprint) -> Offer:
    """What this user gave last as far as it still fits, else the input step's example; in both cases with defaults."""
    alone = Q(version__number=None, version__note__startswith=ALONE)
    mine = WorkflowExecution.objects.filter(workflow=workflow, started_by=request.user.pk).exclude(alone)
    mine = mine.filter(input_blobs__isnull=True)  # what is kept in files is more than a form takes
    last = None if request.GET.get("offer") == "defaults" else mine.values_list("pk", "input_data").first()
    source, given = last or (None, _example(blueprint.graph))
    return Offer(fields.offered(blueprint.fields, given), source)


def _example(graph: Graph) -> dict[str, Any]:
    examples = (node.data.get("example") for node in graph.nodes.values())
    return next((example for example in examples if isinstance(example, dict)), {})


def _page(
    request: HttpRequest, beginning: Beginning, form: Given, page: Context, status: int | None = None
) -> HttpResponse:
    nodes = list(beginning.graph.nodes.values())
    context = {
        "workflow": beginning.workflow,
        "form": form,
        "offer": beginning.offer,
        "is_offered": beginning.offer.source is not None and request.method == "GET",
        "planned": [planned(node) for node in nodes[:PLANNED]],
        "more": max(0, len(nodes) - PLANNED),
        "pausable": nodes,
        "pause_before": request.POST.getlist("pause_before"),
        "can_begin": beginning.workflow.is_runnable,
    }
    return render(request, "executions/run.html", context | page, status=status)


def planned(node: Node) -> Context:
    kind = step_kinds.kind_of(node)
    return {"label": node.label, "kind": kind.label, "icon": kind.icon, "is_outside": step_kinds.reaches_out(node)}
