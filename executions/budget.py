"""The token budget of an execution and all that it calls: what is left of it, and the pause when nothing is.

It pauses and never kills: whoever resumes it grants as much again. Children spend from their root's budget.
"""

from __future__ import annotations

from django.db.models import F, Sum

from executions import children
from executions.models import StepUsage, WorkflowExecution
from executions.workshop import Ended
from workflows.steps.base import Usage


def left(root_id: int) -> int | None:
    """Tokens; None where its workflow has no budget. May be less than nothing: an answer is as long as it is."""
    row = WorkflowExecution.objects.filter(pk=root_id).values_list("workflow__token_budget", "budgets").first()
    if row is None or row[0] is None:
        return None
    return int(row[0] * row[1] - spent(root_id))


def spent(root_id: int) -> int:
    total = StepUsage.objects.filter(root=root_id).aggregate(total=Sum(F("input_tokens") + F("output_tokens")))
    return int(total["total"] or 0)


def row(execution_id: int, root_id: int, ended: Ended, usage: Usage) -> StepUsage:
    """`usage`: as usage_of() gives it."""
    return StepUsage(
        execution_id=execution_id,
        root_id=root_id,
        node=ended.node,
        attempt=ended.attempt,
        model=usage.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
    )


def pause(execution_id: int, reason: str) -> set[int]:
    """Everything of its family; gives those that somebody should look at."""
    found = WorkflowExecution.objects.filter(pk=execution_id).values_list("root_id", flat=True).first()
    root = WorkflowExecution.objects.only("pk").get(pk=found or execution_id)
    root.set_paused(True, None, reason)
    return {root.pk, *children.pause(root.pk, None, paused=True, reason=reason)}
