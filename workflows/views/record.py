"""What the pages of workflows share: the workflow that somebody may see, rights, and the way back."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from workflows.models import Workflow
from workflows.permissions import Verb, can, visible_to, why_not


def workflow_for(request: HttpRequest, workflow_id: int) -> Workflow:
    return get_object_or_404(visible_to(request.user).select_related("published", "owner", "group"), pk=workflow_id)


def require(request: HttpRequest, verb: Verb, workflow: Workflow) -> None:
    if not can(request.user, verb, workflow):
        raise PermissionDenied(why_not(verb, workflow))


def see_other(name: str, *args: object) -> HttpResponse:
    """After a POST: 303, so that a reload repeats nothing."""
    return HttpResponseRedirect(reverse(name, args=args), status=303)
