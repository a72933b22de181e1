"""What runs, what ran, and what will: publish a draft, look at versions, run or edit one of them again.

Versions never change, and their numbers only grow: going back publishes an old definition as the next version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from workflows.changes import Difference, told
from workflows.errors import DefinitionError, EditConflict, Problem
from workflows.models import Workflow, WorkflowVersion
from workflows.models.workflow import definition_problems
from workflows.portrait import portrait
from workflows.views.conflict import meanwhile
from workflows.views.record import editable, may_edit, see_other, seen, whole, workflow_for
from workflows.words import count

PAGE = 20  # versions on a page of the list
FIRST = 5  # differences that a version of the list tells
SHOWN = 200  # differences that any page tells
Context = dict[str, Any]


class NoteForm(forms.Form):
    """What people write on a version."""

    note = forms.CharField(
        required=False,
        max_length=500,
        help_text="What changed and why, in a sentence for the others. It stays with the version.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )


@dataclass(frozen=True, slots=True)
class Differences:
    """The first of them, and how many more there are."""

    shown: list[Difference]
    more: int
    total: str

    @classmethod
    def between(cls, before: Any, after: Any, most: int = SHOWN) -> Differences:
        found = told(before, after)
        return cls(found[:most], max(0, len(found) - most), count(len(found), "change"))


# Publish


@require_http_methods(["GET", "POST"])
def publish(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = editable(request, workflow_id)
    if request.method == "GET":
        return render(request, "workflows/publish.html", _publish_page(workflow, NoteForm()))
    form = NoteForm(request.POST)
    status = _published(request, workflow, form) if form.is_valid() else 422
    if status == 303:
        return see_other("workflows:show", workflow.pk)
    page = _publish_page(workflow_for(request, workflow_id), form)
    return render(request, "workflows/publish.html", page | _conflict(request, page, status), status=status)


def _published(request: HttpRequest, workflow: Workflow, form: NoteForm) -> int:
    """The status to answer with: 303 where there is nothing more to say on this page."""
    if seen(request) != workflow.revision:
        return 409
    if workflow.draft is None and workflow.published:
        messages.info(request, f"There is nothing to publish: version {workflow.published.number} runs already.")
        return 303
    try:
        version = workflow.publish(by=request.user, note=form.cleaned_data["note"], seen=seen(request))
    except EditConflict:
        return 409
    except DefinitionError:
        return 422
    messages.success(request, f"Version {version.number} is published.")
    return 303


def _publish_page(workflow: Workflow, form: NoteForm) -> Context:
    draft, published = workflow.definition, workflow.published
    problems = definition_problems(draft, workflow)
    return {
        "workflow": workflow,
        "form": form,
        "is_nothing": workflow.draft is None and published is not None,
        "differences": Differences.between(published.definition, draft) if published else None,
        **_told_problems(problems, draft),
    }


def _conflict(request: HttpRequest, page: Context, status: int) -> Context:
    return {"is_conflict": True, "meanwhile": meanwhile(page["workflow"], seen(request))} if status == 409 else {}


def _told_problems(problems: list[Problem], definition: Any) -> Context:
    """Each with its step, where there is one that can be opened."""
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    ids = {node.get("id") for node in nodes if isinstance(node, dict)} if isinstance(nodes, list) else set()
    return {
        "problems": [(problem, problem.node if problem.node in ids else None) for problem in problems],
        "is_wrong": any(problem.level == "error" for problem in problems),
    }


# Look


@require_safe
def versions(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow, before = workflow_for(request, workflow_id), whole(request, "before")
    rows = _published_ones(workflow).select_related("created_by")
    found = list((rows.filter(number__lt=before) if before is not None else rows)[: PAGE + 1])
    earlier = [*found[1:], None]
    draft = workflow.draft if before is None else None
    context = {
        "workflow": workflow,
        "rows": [_row(version, earlier[at]) for at, version in enumerate(found[:PAGE])],
        "older": found[PAGE - 1].number if len(found) > PAGE else None,
        "before": before,
        "draft": Differences.between(_running(workflow), draft, FIRST) if draft is not None else None,
        "may_edit": may_edit(request, workflow),
    }
    return render(request, "workflows/versions.html", context)


def _row(version: WorkflowVersion, earlier: WorkflowVersion | None) -> Context:
    if earlier is None:
        return {"version": version, "steps": len(version.definition["nodes"])}
    return {"version": version, "differences": Differences.between(earlier.definition, version.definition, FIRST)}


@require_safe
def version(request: HttpRequest, workflow_id: int, number: int) -> HttpResponse:
    """One version: what it does, what changed in it, and what sets it apart from any other (`?against=`)."""
    workflow = workflow_for(request, workflow_id)
    one = version_for(workflow, number)
    against = whole(request, "against")
    other = _published_ones(workflow).filter(number=against) if against else _earlier(workflow, one)
    compared = other.first()
    context = {
        "workflow": workflow,
        "version": one,
        "against": against,
        "compared": compared,
        "differences": Differences.between(compared.definition, one.definition) if compared else None,
        "runs": workflow.published_id == one.pk,
        "may_edit": may_edit(request, workflow),
        "definition": one.definition,
        **portrait(one.definition),
    }
    return render(request, "workflows/version.html", context)


# Go back


@require_http_methods(["GET", "POST"])
def restore(request: HttpRequest, workflow_id: int, number: int) -> HttpResponse:
    """Publishes the definition of an earlier version as the next one. What was in the draft can be taken back."""
    workflow = editable(request, workflow_id)
    one = version_for(workflow, number)
    status = _restored(request, workflow, one) if request.method == "POST" else 200
    if status == 303:
        return see_other("workflows:show", workflow.pk)
    page = _restore_page(workflow_for(request, workflow_id), one)
    return render(request, "workflows/restore.html", page | _conflict(request, page, status), status=status)


def _restored(request: HttpRequest, workflow: Workflow, one: WorkflowVersion) -> int:
    if _runs(workflow, one):
        messages.info(request, f"Nothing was changed: what runs now is the same as version {one.number}.")
        return 303
    try:
        with transaction.atomic():
            workflow.keep_draft(one.definition, request.user, seen(request), f"Went back to version {one.number}")
            made = workflow.publish(by=request.user, note=f"Back to version {one.number}")
    except EditConflict:
        return 409
    except DefinitionError:
        return 422
    messages.success(request, f"Version {made.number} is published: it is version {one.number} again.")
    return 303


def _restore_page(workflow: Workflow, one: WorkflowVersion) -> Context:
    return {
        "workflow": workflow,
        "version": one,
        "is_nothing": _runs(workflow, one),
        "differences": Differences.between(_running(workflow), one.definition),
        "draft": Differences.between(_running(workflow), workflow.draft) if workflow.draft is not None else None,
        **_told_problems(
            [found for found in definition_problems(one.definition, workflow) if found.level == "error"], {}
        ),
    }


@require_POST
def take_over(request: HttpRequest, workflow_id: int, number: int) -> HttpResponse:
    """Puts a version into the draft, to go on from there; undo brings back what was in it."""
    workflow = editable(request, workflow_id)
    one = version_for(workflow, number)
    workflow.keep_draft(one.definition, request.user, words=f"Took over version {one.number}")
    state = "which runs now" if workflow.draft is None else "not published yet"
    messages.success(request, f"The draft is version {one.number}, {state}. Undo brings back what was in it.")
    return see_other("workflows:show", workflow.pk)


# Rows


def version_for(workflow: Workflow, number: int) -> WorkflowVersion:
    return get_object_or_404(_published_ones(workflow).select_related("created_by"), number=number)


def _published_ones(workflow: Workflow) -> QuerySet[WorkflowVersion]:
    return workflow.versions.filter(number__isnull=False).order_by("-number")


def _earlier(workflow: Workflow, one: WorkflowVersion) -> QuerySet[WorkflowVersion]:
    return _published_ones(workflow).filter(number__lt=one.number)


def _running(workflow: Workflow) -> Any:
    return workflow.published.definition if workflow.published else {"nodes": [], "edges": []}


def _runs(workflow: Workflow, one: WorkflowVersion) -> bool:
    """Also where another number does the same."""
    return workflow.published is not None and workflow.published.digest == one.digest
