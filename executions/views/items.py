"""The items of a for-each: the executions that carry them, by number, a page at a time however many there are."""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Left
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from executions import children
from executions.models import WorkflowExecution
from executions.plan import graph_of
from executions.tally import Tally, tallies
from executions.views.record import execution_for, state_of
from workflows.views.record import whole

PAGE = 100
SHOWN = 160  # characters of an item, and of what it failed by
TABS: dict[str, tuple[str, ...]] = {
    "": (),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
    "live": ("pending", "running", "waiting"),
    "completed": ("completed",),
}


@require_safe
def items(request: HttpRequest, execution_id: int) -> HttpResponse:
    """?node=each&status=failed&after=99"""
    execution = execution_for(request, execution_id)
    graph, state = graph_of(execution), state_of(execution)
    counted = tallies(execution, graph, state)
    tally = counted.get(request.GET.get("node", "")) if "node" in request.GET else next(iter(counted.values()), None)
    if tally is None:
        raise Http404
    if tally.is_call:
        return redirect("executions:show", tally.called) if tally.called else redirect("executions:show", execution.pk)
    status, after = request.GET.get("status", ""), whole(request, "after")
    if status not in TABS:
        raise Http404
    rows = _rows(execution, tally, state.nodes[tally.node].attempt, status, after)
    return render(request, "executions/items.html", _page(execution, tally, rows, status, after))


def _rows(execution: WorkflowExecution, tally: Tally, attempt: int, status: str, after: int | None) -> QuerySet[Any]:
    rows = children.of(execution.pk, tally.node, attempt)
    rows = rows.filter(status__in=TABS[status]) if status else rows
    rows = rows if after is None else rows.filter(item_index__gt=after)
    item = Left(Cast(KT("input_data__item"), CharField()), SHOWN)
    rows = rows.annotate(cause=Left("error_message", SHOWN), item=item).order_by("item_index")
    return rows.only("pk", "item_index", "status", "started_at", "completed_at")[: PAGE + 1]


def _page(
    execution: WorkflowExecution, tally: Tally, rows: QuerySet[Any], status: str, after: int | None
) -> dict[str, Any]:
    found = list(rows)
    counts = (tally.made, tally.failed, tally.cancelled, tally.live, tally.completed)
    words = ("All", "Failed", "Cancelled", "Under way", "Completed")
    return {
        "execution": execution,
        "tally": tally,
        "rows": found[:PAGE],
        "next": found[PAGE - 1].item_index if len(found) > PAGE else None,
        "after": after,
        "status": status,
        "tabs": list(zip(TABS, words, counts, strict=True)),
    }
