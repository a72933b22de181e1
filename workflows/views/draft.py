"""What one does in the builder: each verb is a POST that makes one change of the draft, and shows the builder again.

A change that was made on an older draft is not written: the page then shows both, and offers to make it again on top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from workflows import config, dynamic, edits, failing
from workflows.errors import EditConflict, EditError, InputError, StepstreamError
from workflows.graph import OUT, Node, sketch
from workflows.models import Workflow
from workflows.picker import choice, choices
from workflows.splices import Change, Definition
from workflows.steps import kind_of, onward
from workflows.values import parse, same
from workflows.views import build
from workflows.views.build import builder, inspector, picker
from workflows.views.conflict import REFUSALS, Make, conflict, in_place
from workflows.views.record import editable, posted, see_other, seen
from workflows.ways import chosen

NAMES = ("label", "notes")
ARRANGE = ("add", "remove", "up", "down")


@require_http_methods(["GET", "HEAD", "POST"])
def steps(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """The kinds to choose from, and the step that was chosen."""
    return (_add if request.method == "POST" else picker)(request, workflow_id)


def _add(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """A new step. Enter in the search field sends no kind: then it is the best that the search finds."""
    typed, words = request.POST, request.POST.get("q", "").strip()
    found = choice(typed.get("kind", "")) or (next(iter(choices(words)), None) if words else None)
    if found is None:
        why = f"No kind of step is called “{words[:60]}”." if words else "No step was chosen."
        error = EditError(f"{why} Choose one from the list.")
        return _refused(request, editable(request, workflow_id), error, part="workflows/_parts.html")  # the list stays
    after, beside, data = typed.get("after", ""), "beside" in typed, {"label": found.label, **found.config}

    def make(before: Definition) -> Change:
        by = chosen(sketch(before), after, typed.get("handle", ""))
        to = onward(Node("", found.kind, data))
        return edits.add_step(before, found.kind, data, after=after, handle=by, beside=beside, onward=to)

    return _made(request, workflow_id, make)


@require_http_methods(["GET", "HEAD", "POST"])
def step(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    """A step's settings, and what was typed into them."""
    return (_configure if request.method == "POST" else build.step)(request, workflow_id, node_id)


def _configure(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    """Keeps the step's settings as they were typed, on each pause in typing; a button may arrange a list in them."""
    verb, _, place = request.POST.get("do", "").partition(" ")
    is_typing = not verb and request.headers.get("HX-Request")

    def make(before: Definition) -> Change:
        change = edits.configure(before, node_id, as_typed(before, node_id, request.POST, verb, place))
        return (
            replace(change, subject="") if verb in (*ARRANGE, *dynamic.VERBS) else change
        )  # undone by itself, not with what was typed

    return _kept(request, workflow_id, node_id, make) if is_typing else _made(request, workflow_id, make)


def as_typed(before: Definition, node_id: str, typed: Any, verb: str = "", place: str = "") -> dict[str, Any]:
    """The step's data with what was typed. `base` is what stood in the form: what equals it was not touched."""
    node = edits.node_of(before, node_id)
    kind, data = kind_of(node), dict(node.data)
    base = _base(typed.get("base", ""), data)
    made = config.read(kind.Config, typed, base) | {name: typed.get(name, base.get(name, "")) for name in NAMES}
    made = config.arranged(kind.Config, made, verb, place) if verb in ARRANGE else made
    made = dynamic.toggled(kind.Config, made, verb, place) if verb in dynamic.VERBS else made
    made = failing.read(typed, kind.filled(made))
    made = {key: value for key, value in made.items() if key not in NAMES or str(value).strip()}
    for key in [*base, *made]:
        if not same(base.get(key, config.MISSING), made.get(key, config.MISSING)):
            data.pop(key, None) if key not in made else data.update({key: made[key]})
    return data


def _base(text: str, data: dict[str, Any]) -> dict[str, Any]:
    try:
        base = parse(text)
    except InputError:
        return dict(data)
    return base if isinstance(base, dict) else dict(data)


@posted
def connect(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    source, _, handle = request.POST.get("source", "").partition(" ")

    def make(before: Definition) -> Change:
        return edits.connect(before, source, chosen(sketch(before), source, handle), node_id)

    return _made(request, workflow_id, make)


@posted
def disconnect(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    source, _, handle = request.POST.get("source", "").partition(" ")
    return _made(request, workflow_id, lambda before: edits.disconnect(before, source, handle or OUT, node_id))


@posted
def move(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    is_up = request.POST.get("way") != "down"
    return _made(request, workflow_id, lambda before: edits.move(before, node_id, -1 if is_up else 1, onward))


@posted
def duplicate(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    def make(before: Definition) -> Change:
        return edits.duplicate(before, node_id, onward(edits.node_of(before, node_id)))

    return _made(request, workflow_id, make)


@posted
def delete(request: HttpRequest, workflow_id: int, node_id: str) -> HttpResponse:
    return _made(request, workflow_id, lambda before: edits.delete(before, node_id), is_told=True)


@posted
def undo(request: HttpRequest, workflow_id: int) -> HttpResponse:
    return _again(request, workflow_id, Workflow.undo)


@posted
def redo(request: HttpRequest, workflow_id: int) -> HttpResponse:
    return _again(request, workflow_id, Workflow.redo)


@posted
def discard(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """Back to what runs."""
    workflow = editable(request, workflow_id)
    try:
        workflow.discard_draft(request.user, seen(request))
    except EditConflict:
        return conflict(request, workflow, None)
    messages.success(request, "The draft is as what runs again. Undo brings your changes back.")
    return see_other("workflows:show", workflow.pk)


# What all of them do


def _made(request: HttpRequest, workflow_id: int, make: Make, *, is_told: bool = False) -> HttpResponse:
    """Makes the change and shows the builder where one goes on."""
    workflow = editable(request, workflow_id)
    try:
        change = workflow.edit(make, request.user, seen(request))
    except EditConflict:
        return conflict(request, workflow, make)
    except REFUSALS as error:
        return _refused(request, workflow, error)
    if is_told:
        messages.success(request, f"{change.words}. Undo brings it back.")
    return _on(workflow, change.node)


def _kept(request: HttpRequest, workflow_id: int, node_id: str, make: Make) -> HttpResponse:
    """The same while somebody types: all that shows the draft, but not the fields that they type into."""
    workflow = editable(request, workflow_id)
    try:
        workflow.edit(make, request.user, seen(request))
    except EditConflict:
        return conflict(request, workflow, make)
    except REFUSALS as error:
        return _refused(request, workflow, error, part="workflows/_parts.html")
    page = builder(request, workflow, node_id)
    graph = page["scene"].graph
    return render(request, "workflows/_kept.html", page | inspector(request, workflow, graph, graph.nodes[node_id]))


def _again(request: HttpRequest, workflow_id: int, verb: Callable[..., Any]) -> HttpResponse:
    workflow = editable(request, workflow_id)
    try:
        edit = verb(workflow, request.user, seen(request))
    except EditConflict:
        return conflict(request, workflow, None)
    except EditError as error:
        return _refused(request, workflow, error)
    messages.success(request, f"{edit}.")
    return _on(workflow, edit.node)


def _on(workflow: Workflow, node_id: str | None) -> HttpResponse:
    """To the step, where it (still) is there."""
    try:
        edits.node_of(workflow.definition, node_id or "")
    except REFUSALS:
        return see_other("workflows:show", workflow.pk)
    return see_other("workflows:step", workflow.pk, node_id)


def _refused(
    request: HttpRequest, workflow: Workflow, error: StepstreamError, part: str = "workflows/_builder.html"
) -> HttpResponse:
    """The builder as it is, and a sentence why not; `part` of it for HTMX."""
    page = builder(request, workflow) | {"refusal": error.message}
    template = part if request.headers.get("HX-Request") else "workflows/show.html"
    return in_place(render(request, template, page, status=422))
