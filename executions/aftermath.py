"""What the end of an execution sets off, in the transaction in which it ends: its parent looks again, its slot goes
to the next, and where it failed the workflow that is meant for that starts.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from executions import large, slots
from executions.blobs import NotReadable
from executions.crashpoints import reach
from executions.models import ExecutionLog, ExecutionStatus, Kind, WorkflowExecution
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import DefinitionError, InputError
from workflows.models import Workflow
from workflows.permissions import may_start
from workflows.values import require_object

log = logging.getLogger(__name__)


def follow(ended: Collection[int]) -> set[int]:
    """Gives the executions that have become due by it, so that engines are rung for them."""
    rows = WorkflowExecution.objects.filter(pk__in=ended)
    facts = list(rows.order_by("pk").values_list("pk", "parent", "status", "has_slot", "workflow"))
    woken = {parent for _, parent, *_ in facts if parent}
    for parent in sorted(woken):  # once each, however many of its children have ended here
        WorkflowExecution(pk=parent).nudge()
    if failed := [pk for pk, parent, status, *_ in facts if status == ExecutionStatus.FAILED and not parent]:
        told = rows.filter(pk__in=failed).select_related("version", "workflow").order_by("pk")
        for row in told.defer("output_data", "version__definition"):
            woken |= _tried(row)
    for workflow_id in sorted({workflow for *_, has_slot, workflow in facts if has_slot is not None}):
        woken |= set(slots.admit(workflow_id))
    reach("aftermath.followed")
    return woken


def record(row: WorkflowExecution, **told: Any) -> list[int]:
    """Writes a new execution, its first entry, and who got a slot by that. Inside the caller's transaction."""
    slots.reserve(row, row.workflow)
    row.priority = row.workflow.priority
    large.insert(row)
    data = {"by": row.started_by.get_username() if row.started_by else None} | told
    ExecutionLog.objects.create(execution=row, seq=1, kind=Kind.QUEUED, at=row.created_at, data=data)
    return slots.admit(row.workflow_id) if row.has_slot is False else [row.pk]


def _tried(row: WorkflowExecution) -> set[int]:
    """An execution ends, whatever keeps the workflow for failures from starting: a full disk, say."""
    try:
        with transaction.atomic():
            return _on_failure(row)
    except (OperationalError, InterfaceError):  # the database is away: the end itself is tried again
        raise
    except Exception as error:
        log.error("The workflow for failures could not start", exc_info=error, extra={"execution": row.pk})
        return set()


def _on_failure(row: WorkflowExecution) -> set[int]:
    """Not for children, whose root fails too where it matters; not for drafts, which somebody watches; never for what
    such a failure has started itself."""
    if row.parent or row.version.is_draft or row.failure_of_id:
        return set()
    handler = _handler_of(row.workflow_id)
    if handler is None or handler.published is None:
        return set()
    blueprint = blueprint_of(handler.published, handler.max_parallel)
    facts = {"id": row.pk, "workflow_id": row.workflow_id, "workflow": row.workflow.name}
    try:
        given = {"error": row.error, "execution": facts, "input": large.input_of(row)}
        if not isinstance(blueprint, Blueprint):
            raise blueprint
        given = blueprint.checked(given)
        require_object(given, max_bytes=settings.ENGINE["DATA_BYTES"])
    except (DefinitionError, InputError, NotReadable) as error:
        log.error("The workflow for failures cannot start: %s", error, extra={"execution": row.pk})
        return set()
    made = WorkflowExecution(workflow=handler, version=handler.published, input_data=given, failure_of=row)
    made.steps_total = len(blueprint.graph.nodes)
    return set(record(made, failure_of=row.pk))


def _handler_of(workflow_id: int) -> Workflow | None:
    """What is meant for its failures, if it can run, and if its owner may still run it: it gets the whole input."""
    failed = Workflow.objects.select_related("owner").filter(pk=workflow_id, on_failure__isnull=False).first()
    if failed is None or failed.on_failure_id is None:
        return None
    handler = Workflow.objects.runnable().select_related("published").filter(pk=failed.on_failure_id).first()
    if handler is None or not may_start(failed, handler):
        log.warning("Workflow %s does not start for the failures of workflow %s", failed.on_failure_id, workflow_id)
        return None
    return handler
