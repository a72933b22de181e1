"""Steer an execution that is under way: cancel it, pause it, let it go on, or let it pause before a step."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from executions import fragments
from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.plan import graph_of
from executions.views.record import execution_for, require, state_of
from workflows.views.record import see_other

Verb = Callable[..., bool]  # False where nothing was to be done


@require_POST
def cancel(request: HttpRequest, execution_id: int) -> HttpResponse:
    """Asks for the end and does not wait for it: the page shows it coming."""
    return _steered(request, execution_id, WorkflowEngine().cancel, "cancelled")


@require_POST
def pause(request: HttpRequest, execution_id: int) -> HttpResponse:
    return _steered(request, execution_id, WorkflowEngine().pause, "paused")


@require_POST
def resume(request: HttpRequest, execution_id: int) -> HttpResponse:
    return _steered(request, execution_id, WorkflowEngine().resume, "resumed")


@require_POST
def pause_before(request: HttpRequest, execution_id: int, node_id: str) -> HttpResponse:
    """From the step's page: it pauses before this step, or (`no`) no longer does."""
    execution = execution_for(request, execution_id)
    require(request, execution.workflow)
    if node_id not in graph_of(execution).nodes:
        raise Http404
    chosen = set(execution.pause_before) - {node_id}
    chosen |= set() if request.POST.get("no") else {node_id}
    if not WorkflowEngine().pause_before(execution.pk, chosen, by=request.user):
        messages.warning(request, f"#{execution.pk} has ended, so it will not pause before any step.")
    return see_other("executions:step", execution.pk, node_id)


def _steered(request: HttpRequest, execution_id: int, verb: Verb, done: str) -> HttpResponse:
    execution = execution_for(request, execution_id)
    require(request, execution.workflow)
    is_done = verb(execution.pk, by=request.user)
    execution = execution_for(request, execution_id)
    if request.headers.get("HX-Request"):
        return HttpResponse(fragments.state(execution, graph_of(execution), state_of(execution)))
    if not is_done:
        messages.warning(request, f"Nothing was {done}: #{execution.pk} {_why_not(execution)}.")
    return see_other("executions:show", execution.pk)


def _why_not(execution: WorkflowExecution) -> str:
    if execution.is_final:
        return f"has ended: it is {execution.status}"
    if execution.is_cancelling:
        return "is being cancelled already"
    return "is paused already" if execution.paused_at else "is not paused"
