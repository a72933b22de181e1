"""Find an execution: the list and its filters."""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, F
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Left
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from executions.models import ExecutionStatus, WorkflowExecution
from executions.views.record import whole
from workflows.permissions import visible, visible_to

PAGE = 50  # executions on a page of the list


@require_safe
def listed(request: HttpRequest) -> HttpResponse:
    status, workflow, before = request.GET.get("status", ""), whole(request, "workflow"), whole(request, "before")
    rows = WorkflowExecution.objects.filter(visible(request.user, "workflow__"))
    if status in ExecutionStatus.values:
        rows = rows.filter(status=status)
    if workflow is not None:
        rows = rows.filter(workflow=workflow)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(_light(rows)[: PAGE + 1])
    context = {
        "executions": found[:PAGE],
        "older": found[PAGE - 1].pk if len(found) > PAGE else None,
        "status": status,
        "workflow": workflow,
        "before": before,
        "statuses": ExecutionStatus.choices,
        "workflows": visible_to(request.user).only("name")[:500],
    }
    return render(request, "executions/list.html", context)


def _light(rows: Any) -> Any:
    """What a list shows, without the data that executions carry, and with the cause of a failure in one line."""
    facts = ("status", "created_at", "started_at", "completed_at", "cancel_requested_at", "steps_done", "steps_total")
    cause = {"cause": Left("error_message", 240), "failed_step": Cast(KT("error__step_name"), CharField())}
    rows = rows.select_related("workflow", "version", "started_by").annotate(**cause)
    return rows.only(*facts, "workflow__name", "started_by__username", "version__number", "version__note").order_by(
        F("pk").desc()
    )
