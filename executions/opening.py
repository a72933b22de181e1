"""How an execution begins that its creator runs at once: made, claimed and begun in one transaction.

Runs in the journal's thread, inside the transaction of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from executions import statements
from executions.aftermath import record
from executions.blobs import is_small, weight
from executions.claim import Held, lease_end
from executions.crashpoints import reach
from executions.entry import Entry, TimeForm, as_json, time_form
from executions.models import Kind, WorkflowExecution
from executions.planner import Start, first_moves
from executions.slots import is_limited, key_of
from workflows.blueprint import blueprint_of
from workflows.errors import DefinitionError, InputError, WorkflowExecutionError
from workflows.models import Workflow


@dataclass(frozen=True, slots=True)
class Queued:
    """A new execution that has to wait for a slot, and so is nobody's yet."""

    execution_id: int


@dataclass(slots=True)
class Opening:
    """A new execution that its creator will run at once. `tries` and `result`: as a Unit of the journal has them."""

    workflow_id: int
    given: dict[str, Any]
    owner: str
    by: Any = None
    at: datetime = field(default_factory=timezone.now)
    tries: int = 0
    result: Any = None

    def queued(self) -> Entry:
        """The first entry of its journal."""
        return Entry(Kind.QUEUED, data={"by": self.by.get_username() if self.by else None}, at=self.at, seq=1)


Refused = WorkflowExecutionError | InputError


def open_all(openings: Sequence[Opening]) -> list[Held | Queued | Refused]:
    """Creates the executions, claimed from birth. One query for their workflows, one insert a table."""
    if not openings:
        return []
    rows = Workflow.objects.runnable().select_related("published").defer("draft", "published__definition")
    workflows = rows.in_bulk({item.workflow_id for item in openings})
    results: list[Held | Queued | Refused] = [_opened(item, workflows.get(item.workflow_id)) for item in openings]
    for place, (item, held) in enumerate(zip(openings, results, strict=True)):
        if not isinstance(held, Held):
            continue
        if is_limited(workflow := workflows[item.workflow_id]) or not is_small(held.given):
            results[place] = _queued(item, held, workflow)
    made = [(item, held) for item, held in zip(openings, results, strict=True) if isinstance(held, Held)]
    missing = [(item, held) for item, held in made if item.tries <= 1 or not _is_there(item, held)]
    if missing:
        _insert(missing, workflows)
    return results


def _queued(item: Opening, held: Held, workflow: Workflow) -> Queued:
    """Who has to wait for a slot, or brings much, begins as any that was submitted."""
    found = WorkflowExecution.objects.filter(
        workflow=workflow, created_at=item.at, slot_key=key_of(workflow, held.given)
    )
    if item.tries > 1 and (known := found.values_list("pk", flat=True).first()):
        return Queued(known)
    row = WorkflowExecution(workflow=workflow, version=workflow.published, input_data=held.given, started_by=item.by)
    row.created_at, row.steps_total = item.at, len(held.graph.nodes)
    record(row)
    return Queued(row.pk)


def beginning(limit_s: int | None, variables: dict[str, Any], at: datetime) -> Entry:
    """The entry of an execution's start: what holds from then on."""
    data: dict[str, Any] = {"expires_at": (at + timedelta(seconds=limit_s)).isoformat()} if limit_s else {}
    if variables:
        data["vars"] = variables
    return Entry(Kind.STARTED, data=data or None, at=at)


def _is_there(item: Opening, held: Held) -> bool:
    """An earlier try whose COMMIT got through though its answer did not: this owner made it in this microsecond."""
    rows = WorkflowExecution.objects.owned_by(item.owner).filter(workflow=item.workflow_id, created_at=item.at)
    held.execution_id = held.root_id = rows.values_list("pk", flat=True).first() or 0
    return held.execution_id > 0


def _opened(item: Opening, workflow: Workflow | None) -> Held | Refused:
    if workflow is None or workflow.published is None:
        return WorkflowExecutionError(f"Workflow {item.workflow_id} not found or inactive.")
    blueprint = blueprint_of(workflow.published, workflow.max_parallel)
    if isinstance(blueprint, DefinitionError):
        return WorkflowExecutionError(f"Workflow {item.workflow_id} cannot be executed: {blueprint.message}")
    try:
        given = blueprint.checked(item.given)
    except InputError as error:
        return error
    held = Held(0, 1, 0, given, blueprint, [item.queued()], 1, weight(given))
    held.time_limit_s, held.time_zone, held.workflow_id = workflow.time_limit_s, workflow.time_zone, workflow.pk
    if not blueprint.variables:  # those are asked for as it begins
        _begin(held, item.at)
    return held


def _begin(held: Held, at: datetime) -> None:
    """Its first steps start in the transaction that makes it, which spares it a commit."""
    begun, moves = beginning(held.time_limit_s, {}, at), first_moves(held.graph)
    starts = [Entry(Kind.STARTED, move.node, move.attempt, at=at) for move in moves if isinstance(move, Start)]
    if len(starts) <= settings.ENGINE["STEPS"]:
        held.entries = [*held.entries, begun, *starts]
        held.last_seq, held.has_begun = len(held.entries), True
        for seq, entry in enumerate(held.entries, 1):
            entry.seq = seq


def _insert(made: list[tuple[Opening, Held]], workflows: dict[int, Workflow]) -> None:
    """The rows come back in the order of VALUES: both databases do that, and Django's bulk_create relies on it too."""
    as_time = time_form()
    values = [_values(item, held, workflows[item.workflow_id], as_time) for item, held in made]
    with connection.cursor() as cursor:
        numbers = statements.insert_executions(cursor, NEW_ROW, values)
        for (_, held), execution_id in zip(made, numbers, strict=True):
            held.execution_id = held.root_id = execution_id
        first = [(held.execution_id, entry) for _, held in made for entry in held.entries if isinstance(entry, Entry)]
        statements.insert_entries(cursor, first)
    reach("opening.made")


NEW_ROW = (
    "workflow_id",
    "version_id",
    "status",
    "input_data",
    "steps_done",
    "steps_total",
    "error_message",
    "created_at",
    "started_at",
    "started_by_id",
    "due_at",
    "owner",
    "fence",
    "nudges",
    "priority",
    "pause_before",
    "depth",
    "slot_key",
)


def _values(item: Opening, held: Held, workflow: Workflow, as_time: TimeForm) -> tuple[Any, ...]:
    at, by = as_time(item.at), item.by.pk if item.by else None
    total = len(held.graph.nodes)
    row = (workflow.pk, workflow.published_id, "running", as_json(held.given), 0, total, "", at, at)
    return (*row, by, as_time(lease_end()), item.owner, held.fence, held.nudges, workflow.priority, "[]", 0, "")
