"""What is kept of a workflow's executions: how many, how much, and what goes next."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from executions import sizes
from executions.blobs import said
from executions.retention import cutoff_of
from workflows.models import Workflow
from workflows.views.record import require, whole, workflow_for


@require_safe
def kept(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """`?keep_days=`: as if that were set; without it as it is. HTMX gets the sentences alone."""
    workflow = workflow_for(request, workflow_id)
    require(request, "edit", workflow)
    days = _days(request, workflow)
    cutoff = cutoff_of(days)
    everything, old = sizes.of_workflow(workflow), sizes.of_old(workflow, cutoff) if cutoff else sizes.Size(0, 0)
    page = {
        "workflow": workflow,
        "days": days or None,
        "kept": everything,
        "size": said(everything.bytes),
        "old": old,
        "old_size": said(old.bytes),
        "database": said(sizes.of_database()),
    }
    alone = request.headers.get("HX-Request")
    return render(request, "executions/_kept.html" if alone else "executions/kept.html", page)


def _days(request: HttpRequest, workflow: Workflow) -> int:
    default = int(settings.RETENTION_DAYS)
    if "keep_days" not in request.GET:
        return default if workflow.keep_days is None else workflow.keep_days
    typed = whole(request, "keep_days")
    return default if typed is None else typed
