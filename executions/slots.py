"""Slots: how many executions of a workflow, and of each value of its key, may be under way at the same time.

Who holds one is counted from the live rows, under the lock of the workflow's row, so no counter can leak. A slot is
held from its grant to the execution's end, waits included. What waits for one is not due until it gets it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from executions.crashpoints import committing
from executions.models import WorkflowExecution
from executions.models.execution import FAR_FUTURE
from workflows.models import Workflow

KEY_LENGTH = 60
AT_ONCE = 500  # get a slot in one transaction, so that nobody waits long for the workflow's row


def is_limited(workflow: Workflow) -> bool:
    return workflow.concurrency is not None or bool(workflow.concurrency_key)


def key_of(workflow: Workflow, given: Mapping[str, Any]) -> str:
    """The value in the input that counts as one group, as text; a long one by its digest. "" where there is no key."""
    if not workflow.concurrency_key:
        return ""
    value: Any = given
    for name in workflow.concurrency_key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= KEY_LENGTH else hashlib.sha256(text.encode()).hexdigest()


def reserve(execution: WorkflowExecution, workflow: Workflow) -> None:
    """For a row that is about to be written: it waits for a slot, where its workflow has a limit; see admit()."""
    if is_limited(workflow):
        execution.has_slot, execution.slot_key = False, key_of(workflow, execution.input_data)
        execution.due_at = FAR_FUTURE


def admit(workflow_id: int) -> list[int]:
    """Gives what is free to those who wait, the most urgent and then the oldest first; who got one, AT_ONCE at most."""
    with committing("slots"):
        workflow = Workflow.objects.select_for_update(no_key=True).get(pk=workflow_id)
        held = Counter(holders_of(workflow_id).values_list("slot_key", flat=True))
        admitted: list[int] = []
        while chosen := _next(workflow, held, AT_ONCE - len(admitted)):
            WorkflowExecution.objects.filter(pk__in=chosen).update(has_slot=True, due_at=timezone.now())
            admitted += chosen
        return admitted


def _next(workflow: Workflow, held: Counter[str], most: int) -> list[int]:
    """The next ones, who are then counted as holders; not all that could be where many are of one key."""
    free = most if workflow.concurrency is None else min(most, workflow.concurrency - held.total())
    if free <= 0:
        return []
    by_key, per_key = bool(workflow.concurrency_key), workflow.concurrency_per_key
    full = [key for key, count in held.items() if count >= per_key] if by_key else []
    # Whoever cancels or pauses one of them holds it at this moment, and then asks again.
    waiting = waiting_of(workflow.pk).exclude(slot_key__in=full).select_for_update(no_key=True, skip_locked=True)
    chosen: list[int] = []
    for pk, key in list(waiting.values_list("pk", "slot_key")[:free]):
        if not by_key or held[key] < per_key:
            held[key] += 1
            chosen.append(pk)
    return chosen


def holders_of(workflow_id: int) -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.live().filter(workflow=workflow_id, has_slot=True)


def waiting_of(workflow_id: int) -> QuerySet[WorkflowExecution]:
    """Those that wait for a slot, in the order in which they get one."""
    rows = WorkflowExecution.objects.live().filter(workflow=workflow_id, has_slot=False, paused_at=None)
    return rows.order_by("-priority", "pk")


def admit_all() -> list[int]:
    """For the sweep: a process may have died between an end and the next grant, and limits may have been raised."""
    waiting = WorkflowExecution.objects.live().filter(has_slot=False, paused_at=None)
    workflows = list(waiting.order_by().values_list("workflow", flat=True).distinct())
    return [
        admitted for workflow_id in workflows for part in iter(partial(admit, workflow_id), []) for admitted in part
    ]
