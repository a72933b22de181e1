"""What the pages of workflows share: the workflow that somebody may see, rights, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from workflows.models import Workflow
from workflows.permissions import Verb, can, visible_to, why_not

View = Callable[..., HttpResponse]


def workflow_for(request: HttpRequest, workflow_id: int) -> Workflow:
    return get_object_or_404(visible_to(request.user).select_related("published", "owner", "group"), pk=workflow_id)


def require(request: HttpRequest, verb: Verb, workflow: Workflow) -> None:
    if not can(request.user, verb, workflow):
        raise PermissionDenied(why_not(verb, workflow))


def posted(view: View) -> View:
    """For verbs: a GET (a reload, the way back from signing in) goes to the workflow instead."""

    @wraps(view)
    def guarded(request: HttpRequest, workflow_id: int, *args: Any, **names: Any) -> HttpResponse:
        if request.method == "POST":
            return view(request, workflow_id, *args, **names)
        return see_other("workflows:show", workflow_for(request, workflow_id).pk)

    return guarded


def editable(request: HttpRequest, workflow_id: int) -> Workflow:
    workflow = workflow_for(request, workflow_id)
    require(request, "edit", workflow)
    if workflow.archived_at:
        raise PermissionDenied(f"“{workflow.name}” is archived: bring it back before you change it.")
    return workflow


def may_edit(request: HttpRequest, workflow: Workflow) -> bool:
    """What editable() would say."""
    return workflow.archived_at is None and can(request.user, "edit", workflow)


def seen(request: HttpRequest) -> int:
    """The draft's revision that stood in the page. A form without one counts as too old."""
    text = request.POST.get("revision", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def see_other(name: str, *args: object) -> HttpResponse:
    """After a POST: 303, so that a reload repeats nothing."""
    return HttpResponseRedirect(reverse(name, args=args), status=303)


def whole(request: HttpRequest, name: str) -> int | None:
    """A whole number from the address; None for everything else, however long."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
