"""What is true of a workflow whatever its steps are: its name, words, tags and switches; a new one, a copy, the end."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from workflows.edits import rewrite
from workflows.errors import EditConflict
from workflows.forms import AboutForm, DefinitionForm, NewForm
from workflows.models import Workflow
from workflows.permissions import can
from workflows.views.conflict import conflict
from workflows.views.record import editable, posted, require, see_other, seen, workflow_for
from workflows.words import as_json


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    form = NewForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"] or "Untitled workflow"
        workflow = Workflow.objects.create(name=name, owner=request.user)  # type: ignore[misc]
        return see_other("workflows:show", workflow.pk)
    return render(request, "workflows/new.html", {"form": form}, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def about(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = workflow_for(request, workflow_id)
    require(request, "edit", workflow)
    form = AboutForm(request.POST or None, instance=workflow, user=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return see_other("workflows:about", workflow.pk)
    page = {
        "form": form,
        "workflow": workflow_for(request, workflow_id),  # as it is stored, whatever was typed
        "may_administer": can(request.user, "administer", workflow),
    }
    return render(request, "workflows/about.html", page, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def definition(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """The draft as JSON: for those who like that, and for a draft that is too broken to be drawn."""
    workflow = editable(request, workflow_id)
    form = DefinitionForm(request.POST or None, initial={"definition": as_json(workflow.definition)})
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data["definition"]
        try:
            workflow.keep_draft(typed, request.user, seen(request))
        except EditConflict:
            return conflict(request, workflow, lambda before: rewrite(before, typed, "Rewrote the definition"))
        return see_other("workflows:show", workflow.pk)
    page = {"form": form, "workflow": workflow}
    return render(request, "workflows/definition.html", page, status=422 if form.errors else 200)


@posted
def copy(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """A workflow of one's own that begins as this one is."""
    workflow = workflow_for(request, workflow_id)
    made = workflow.copy(request.user)
    messages.success(request, f"This is your copy of “{workflow.name}”.")
    return see_other("workflows:show", made.pk)


@posted
def activate(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """On or off: a workflow that is off starts no executions; those that run go on."""
    workflow = editable(request, workflow_id)
    workflow.is_active = request.POST.get("to") == "on"
    workflow.save(update_fields=["is_active", "updated_at"])
    messages.success(request, "It is on." if workflow.is_active else "It is off: no new executions will start.")
    return see_other("workflows:about", workflow.pk)


@posted
def archive(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = workflow_for(request, workflow_id)
    require(request, "administer", workflow)
    workflow.archive()
    messages.success(request, f"“{workflow.name}” is archived. Its executions stay.")
    return see_other("workflows:list")


@posted
def bring_back(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = workflow_for(request, workflow_id)
    require(request, "administer", workflow)
    workflow.bring_back()
    messages.success(request, f"“{workflow.name}” is back, and off until you turn it on.")
    return see_other("workflows:about", workflow.pk)
