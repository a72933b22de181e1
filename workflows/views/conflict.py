"""When somebody else was quicker: both sides on a page, and nothing of what was typed is lost."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from workflows.errors import DefinitionError, EditError, InputError
from workflows.models import Workflow, WorkflowEdit
from workflows.splices import Change, Definition
from workflows.values import parse
from workflows.views.record import seen

TOLD = 10  # edits
REFUSALS = (EditError, InputError, DefinitionError)
NOT_MINE = ("csrfmiddlewaretoken", "revision")
HIDDEN = ("base", "do", "q", "handle")
Make = Callable[[Definition], Change]


def meanwhile(workflow: Workflow, revision: int) -> list[WorkflowEdit]:
    """What was done to the draft since, newest first."""
    return list(workflow.edits.since(max(revision, 0)).told().order_by("-revision")[:TOLD])


def conflict(request: HttpRequest, workflow: Workflow, make: Make | None) -> HttpResponse:
    """Both sides: what happened meanwhile, and what somebody was about to do; nothing of it is lost."""
    page = {
        "workflow": workflow,
        "meanwhile": meanwhile(workflow, seen(request)),
        "mine": _tried(workflow, make),
        "typed": [(key, value) for key, values in request.POST.lists() for value in values if key not in NOT_MINE],
        "shown": _shown(request),
    }
    template = "workflows/_conflict.html" if request.headers.get("HX-Request") else "workflows/conflict.html"
    return in_place(render(request, template, page, status=409))


def in_place(response: HttpResponse) -> HttpResponse:
    """An answer to a POST is no place to come back to."""
    response["HX-Push-Url"] = "false"
    return response


def _shown(request: HttpRequest) -> list[tuple[str, str]]:
    """What was typed, for people; of a step's settings only what differs from what had stood in the form."""
    typed = {key: value for key, value in request.POST.items() if value and key not in (*NOT_MINE, *HIDDEN)}
    try:
        base = parse(request.POST.get("base", "{}"))
    except InputError:
        base = {}
    stood = {key: str(value) for key, value in base.items()} if isinstance(base, dict) else {}
    return [(key.replace("_", " "), str(value)) for key, value in typed.items() if stood.get(key) != value]


def _tried(workflow: Workflow, make: Make | None) -> dict[str, str]:
    """In words, what the change would be on the draft as it is now, or why it can no longer be made."""
    try:
        return {"words": make(workflow.definition).words} if make else {}
    except REFUSALS as error:
        return {"why_not": error.message}
