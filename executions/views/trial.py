"""Try a draft: the whole of it, up to a step (?until=), or one step alone (?only=). Nothing is published by it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from executions import story
from executions.blobs import NotReadable, is_small
from executions.models import ExecutionLog, Kind
from executions.views.record import require
from executions.views.start import Beginning, Offer, answer, offered
from workflows.blueprint import Blueprint
from workflows.errors import Problem
from workflows.expressions import Chain, chains_in, written
from workflows.graph import Node, check, parse
from workflows.models import Workflow, WorkflowVersion
from workflows.models.workflow import definition_problems
from workflows.part import ALONE, only, up_to
from workflows.permissions import visible_to
from workflows.steps import kind_of, recipe_of
from workflows.steps.input import Input

LOOKED_BACK = 50  # executions in which the last input of a step is looked for
ENDED = (Kind.COMPLETED, Kind.REUSED, Kind.FAILED, Kind.CANCELLED, Kind.ABANDONED)


@dataclass(frozen=True)
class Part:
    """What of the draft is tried, and how its version is called. `step`: up to which, or which one alone."""

    definition: dict[str, Any]
    note: str = ""
    step: Node | None = None
    is_alone: bool = False

    @cached_property
    def named(self) -> tuple[Chain, ...]:
        """What the expressions of a step alone ask for."""
        return chains_in(recipe_of(self.step).expressions) if self.step and self.is_alone else ()

    @property
    def missing(self) -> list[str]:
        """What earlier steps would have to give it, which do not run."""
        return sorted({written(chain) for chain in self.named if chain[0] == "steps" and chain[1:]})

    @property
    def read(self) -> list[str]:
        """What it takes out of its input."""
        return sorted({written(chain) for chain in self.named if chain[0] in ("input", "data") and chain[1:]})


@never_cache
@require_http_methods(["GET", "POST"])
def attempt(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = get_object_or_404(visible_to(request.user).select_related("published"), pk=workflow_id)
    require(request, workflow, "edit")
    part = part_of(request, workflow)
    page = {"is_trial": True, "part": part, "can_begin": workflow.archived_at is None}
    if part.missing:
        return _refused(request, workflow, [], page)
    if problems := [one for one in definition_problems(part.definition, workflow) if one.level == "error"]:
        return _refused(request, workflow, problems, page)
    return answer(request, _beginning(request, workflow, part), **page)


def part_of(request: HttpRequest, workflow: Workflow) -> Part:
    """A draft of broken structure has no parts: then the whole of it is what the problems are about."""
    whole = workflow.definition
    until, alone = request.GET.get("until", ""), request.GET.get("only", "")
    if not (until or alone) or check(whole):
        return Part(whole)
    step = parse(whole).nodes.get(until or alone)
    if step is None:
        raise Http404
    definition, way = (up_to(whole, step.id), "up to") if until else (only(whole, step.id), ALONE)
    is_whole = len(definition["nodes"]) == len(whole["nodes"])
    return Part(definition, "" if is_whole else f"{way} {step.label}", step, is_alone=not until)


def _beginning(request: HttpRequest, workflow: Workflow, part: Part) -> Beginning:
    blueprint = Blueprint(part.definition, workflow.max_parallel)
    offer = _seen(request, workflow, part.step) if part.step and part.is_alone else None

    def version() -> WorkflowVersion:
        return workflow.draft_version(part.definition, by=request.user, note=part.note)

    offer = offer or offered(request, workflow, blueprint)
    return Beginning(workflow, blueprint.graph, blueprint.fields, offer, version)


def _seen(request: HttpRequest, workflow: Workflow, step: Node) -> Offer | None:
    """What this step saw when it last ended; None for an input step, which sees what a whole execution is given."""
    if issubclass(kind_of(step), Input):
        return None
    if request.GET.get("offer") == "defaults":
        return Offer({})
    newest = list(workflow.executions.roots().order_by("-pk").values_list("pk", flat=True)[:LOOKED_BACK])
    ends = ExecutionLog.objects.filter(execution__in=newest, node=step.id, kind__in=ENDED).order_by("-execution")
    last = ends.values_list("execution", flat=True).first()
    seen = _small_input(last, step.id) if last else None
    return Offer({}) if seen is None else Offer(seen, last)


def _small_input(execution_id: int, node_id: str) -> Any:
    """None where it is more than a form takes, or cannot be read any more."""
    try:
        seen = story.step_data(execution_id, node_id)["input"]
    except NotReadable:
        return None
    return seen if is_small(seen, settings.ENGINE["INPUT_BYTES"]) else None


def _refused(request: HttpRequest, workflow: Workflow, problems: list[Problem], page: dict[str, Any]) -> HttpResponse:
    context = {"workflow": workflow, "problems": problems, **page}
    return render(request, "executions/run.html", context, status=422 if request.method == "POST" else None)
