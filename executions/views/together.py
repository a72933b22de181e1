"""The same for several executions at once: cancel them, run them again.

Each is looked at by itself, for rights and for state; the answer says in words what happened to how many, and why not
to the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from executions.asked import asked_at
from executions.catalogue import PAGE
from executions.engine import WorkflowEngine
from executions.large import input_of
from executions.models import WorkflowExecution
from executions.views.record import again
from workflows.errors import InputError, WorkflowExecutionError
from workflows.permissions import can, visible
from workflows.words import count

ENDED = "already ended"
Verb = Callable[[WorkflowExecution], str]  # "" where it was done, else why not


@require_POST
def cancel_together(request: HttpRequest) -> HttpResponse:
    def cancel(execution: WorkflowExecution) -> str:
        return "" if WorkflowEngine().cancel(execution.pk, by=request.user) else _why_not_cancelled(execution)

    return _done_together(request, cancel, "Asked {} to end.", "Not cancelled")


@require_POST
def run_together(request: HttpRequest) -> HttpResponse:
    """The form's key makes a second click give the same executions."""
    key = request.POST.get("key", "").replace("\0", "")[:64]

    def run(execution: WorkflowExecution) -> str:
        if not can(request.user, again(execution), execution.workflow):
            return "a draft is for those who may edit the workflow"
        key_of_one = f"{key} {execution.pk}" if key else None
        how: dict[str, Any] = {"by": request.user, "retry_of": execution}
        try:
            WorkflowEngine().submit(execution.workflow_id, input_of(execution), idempotency_key=key_of_one, **how)
        except (WorkflowExecutionError, InputError):
            return "the workflow is archived, switched off or not published"
        return ""

    return _done_together(request, run, "Started {} again.", "Not started again")


def _done_together(request: HttpRequest, verb: Verb, done_words: str, not_words: str) -> HttpResponse:
    chosen = list(dict.fromkeys(request.POST.getlist("id")))
    if not chosen:
        messages.warning(request, "No execution was chosen, so nothing was done. Choose some in the list first.")
    elif len(chosen) > PAGE:
        messages.error(request, f"At most {PAGE} at a time: {len(chosen):,} were chosen, and nothing was done.")
    else:
        _tell(request, _outcomes(request, chosen, verb), done_words, not_words)
    return HttpResponseRedirect(reverse("executions:list") + _way_back(request), status=303)


def _outcomes(request: HttpRequest, chosen: list[str], verb: Verb) -> dict[str, list[str]]:
    """Reason -> numbers; "" for those with which it was done. What one may not see is as unknown as what never was."""
    numbers = {text: int(text) for text in chosen if text.isascii() and text.isdigit() and len(text) <= 18}
    rows = WorkflowExecution.objects.filter(visible(request.user, "workflow__"), pk__in=set(numbers.values()))
    known = rows.select_related("workflow", "version").in_bulk()
    found: dict[str, list[str]] = defaultdict(list)
    for text in chosen:
        execution = known.get(numbers.get(text, 0))
        found[_done(request, execution, verb)].append(f"#{text[:20]}")
    return found


def _done(request: HttpRequest, execution: WorkflowExecution | None, verb: Verb) -> str:
    if execution is None:
        return "there is no such execution"
    return verb(execution) if can(request.user, "run", execution.workflow) else "you may only look at it"


def _why_not_cancelled(execution: WorkflowExecution) -> str:
    execution.refresh_from_db(fields=["completed_at"])
    return ENDED if execution.is_final else "already asked to end"


def _tell(request: HttpRequest, outcomes: dict[str, list[str]], done_words: str, not_words: str) -> None:
    done = outcomes.pop("", [])
    if done:
        messages.success(request, done_words.format(count(len(done), "execution")))
    if outcomes:
        reasons = "; ".join(f"{', '.join(numbers)} ({reason})" for reason, numbers in outcomes.items())
        messages.warning(request, f"{not_words}: {reasons}.")


def _way_back(request: HttpRequest) -> str:
    """The list as it was asked for; read as any address is, so that it leads nowhere else."""
    return asked_at(request.POST.get("back", "")).address
