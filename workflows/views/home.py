"""Home: the workflows that one may see, with their last execution."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from workflows.models import Workflow
from workflows.permissions import can, visible_to

LISTED = 200


@require_safe
def listed(request: HttpRequest) -> HttpResponse:
    search = request.GET.get("q", "").replace("\0", "").strip()[:200]
    workflows = visible_to(request.user).filter(archived_at=None)
    found = workflows.filter(name__icontains=search) if search else workflows
    rows = list(_with_last_execution(found.select_related("published").defer("published__definition"))[:LISTED])
    last = _executions().select_related("started_by", "version")
    last = last.defer("input_data", "output_data", "error", "version__definition")
    by_id = last.in_bulk([row.last_execution for row in rows if row.last_execution])
    context = {
        "rows": [(row, by_id.get(row.last_execution), can(request.user, "run", row)) for row in rows],
        "search": search,
        "is_full": len(rows) == LISTED,
    }
    return render(request, "workflows/list.html", context)


def _with_last_execution(workflows: Any) -> Any:
    newest = _executions().filter(workflow=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    return workflows.annotate(last_execution=Subquery(newest)).order_by("name", "pk")


def _executions() -> QuerySet[Any]:
    """By the relation's name: this room does not know the next one."""
    related: Any = Workflow._meta.get_field("executions").related_model
    return related.objects.all()
