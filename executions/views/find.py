"""Find executions: the list, its filters, and its pages."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from executions import rows
from executions.asked import BETWEEN, RANGES, Asked, asked
from executions.board import fresh_bar, tabs
from executions.catalogue import Found, Sight, find, sight_of
from executions.forms import new_key
from executions.models import WorkflowExecution
from workflows.permissions import visible, visible_to

OFFERED = 500  # workflows in the filter


@never_cache  # the way back must bring what is true now, and a new key for "Run again"
@require_safe
def listed(request: HttpRequest) -> HttpResponse:
    question = asked(request.GET)
    if question.number is not None and _is_seen(request, question.number):
        return redirect("executions:show", question.number)
    sight = sight_of(request.user)
    found = find(question, sight)
    return render(request, "executions/list.html", _page(request, question, sight, found))


def _page(request: HttpRequest, question: Asked, sight: Sight, found: Found) -> dict[str, Any]:
    shown = rows.rows_of(found.ids)
    workflows = list(visible_to(request.user).order_by("name", "pk").values_list("pk", "name")[:OFFERED])
    return {
        "asked": question,
        "found": found,
        "days": rows.by_day(shown),
        "shown": len(shown),
        "tabs": tabs(question, sight),
        "ranges": [(value, words.removeprefix("the ")) for value, (_, words) in RANGES.items()],
        "between": BETWEEN,
        "workflows": workflows,
        "said": question.said(dict(workflows).get(question.workflow or 0, "")),
        "fresh": fresh_bar(question, 0),
        "bottom": _bottom(question, found),
        "newest": question.first_page.address,
        "newer": found.newer and question.first_page.but(after=found.newer).address,
        "older": found.older and question.first_page.but(before=found.older).address,
        "key": new_key(),
    }


def _bottom(question: Asked, found: Found) -> int | None:
    """Above this number something new would have its place on this page; None on a later page, which has no top."""
    if not question.is_newest:
        return None
    return found.ids[-1] if found.older and found.ids else 0


def _is_seen(request: HttpRequest, number: int) -> bool:
    return WorkflowExecution.objects.filter(visible(request.user, "workflow__"), pk=number).exists()
