"""Child executions in the rows: made, counted, gathered, cancelled. All of it runs in a thread that may use the
database, the making and cancelling inside the transaction in which their parent's entries are written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Q
from django.utils import timezone

from executions import blobs, ending, large
from executions.blobs import NotReadable, NotWritten, TooLarge
from executions.crashpoints import committing, reach
from executions.family import Family, Order, Survey
from executions.models import ExecutionLog, ExecutionStatus, ExecutionWait, Kind, WorkflowExecution
from executions.models.execution import ExecutionQuerySet
from workflows.blueprint import blueprint_of
from workflows.errors import DefinitionError, InputError
from workflows.models import Workflow
from workflows.permissions import may_start
from workflows.steps.base import Call, Each
from workflows.values import require

TABLE = WorkflowExecution._meta.db_table
BAD = "status IN ('failed', 'cancelled')"  # as the index has it
PART = 250  # children whose outputs are in memory at once before they are weighed
MAX_DEPTH = 8  # a workflow that calls itself ends here


class Refusal(Exception):
    """This child cannot be made; the sentence says why, and the step fails with it."""


def make(orders: Iterable[tuple[int, Order]]) -> set[int]:
    """Writes the children of these parents. Gives the parents of which one was refused, so that they look again."""
    wanted, refused = list(orders), set[int]()
    parents = WorkflowExecution.objects.select_related("workflow__owner").defer("input_data", "output_data", "error")
    by_id = parents.in_bulk({execution_id for execution_id, _ in wanted})
    made, room = [], Room()
    for execution_id, order in wanted:
        parent = by_id[execution_id]
        if parent.cancel_requested_at or not room.has_place(parent, order):
            continue
        try:
            row = _child(parent, order)
            if not blobs.is_small(row.input_data):
                _keep(row)
            made.append(row)
        except Refusal as refusal:
            refused.add(execution_id)
            _refuse(parent, order, str(refusal))
    WorkflowExecution.objects.bulk_create([row for row in made if row.pk is None])
    first = [ExecutionLog(execution=row, seq=1, kind=Kind.QUEUED, at=row.created_at, data={"by": None}) for row in made]
    ExecutionLog.objects.bulk_create(first)
    reach("fan_out.made")
    return refused


class Room:
    """How many children may live below one execution, on all levels together.

    Where there is no room, a step still gets one at a time: its end wakes the step, which then orders the next. So
    nothing stands still for ever, and a loop in loops does not become a hundred thousand rows at once.
    """

    def __init__(self) -> None:
        self._left: dict[int, int] = {}
        self._served: set[tuple[int, str]] = set()

    def has_place(self, parent: WorkflowExecution, order: Order) -> bool:
        root, step = parent.root_id or parent.pk, (parent.pk, order.node)
        if root not in self._left:
            live = WorkflowExecution.objects.live().filter(root=root).count()
            self._left[root] = settings.ENGINE["FAMILY"] - live
        if self._left[root] <= 0 and (step in self._served or _has_live(parent.pk, order)):
            return False
        self._left[root] -= 1
        self._served.add(step)
        return True


def _has_live(parent_id: int, order: Order) -> bool:
    return of(parent_id, order.node, order.attempt).live().exists()


def _keep(row: WorkflowExecution) -> None:
    """A child whose input may go into files, where there is room for them."""
    try:
        with transaction.atomic():
            large.insert(row)
    except (TooLarge, NotWritten) as error:
        which = f"Item {(row.item_index or 0) + 1:,}" if row.body else "What it calls"
        raise Refusal(f"{which} cannot begin. {error}") from None


def _child(parent: WorkflowExecution, order: Order) -> WorkflowExecution:
    row = WorkflowExecution(workflow=parent.workflow, version_id=parent.version_id, input_data=dict(order.given))
    row.parent, row.parent_node, row.parent_attempt, row.item_index = parent, order.node, order.attempt, order.index
    row.root_id, row.depth, row.priority = parent.root_id or parent.pk, parent.depth + 1, parent.priority
    row.paused_at, row.paused_by_id = parent.paused_at, parent.paused_by_id  # perhaps since its owner last looked
    row.nudges = int(row.paused_at is not None)  # who takes up something new looks only where it was nudged
    row.body = order.body
    if row.depth > MAX_DEPTH:
        raise Refusal(f"Executions are nested {row.depth} levels deep; the limit is {MAX_DEPTH}. Does it call itself?")
    if order.workflow is not None:
        _call(row, parent.workflow, order.workflow)
    return row


def _call(row: WorkflowExecution, caller: Workflow, workflow_id: int) -> None:
    target = Workflow.objects.runnable().select_related("published").filter(pk=workflow_id).first()
    if target is None or target.published is None or not may_start(caller, target):
        raise Refusal(
            f"Workflow {workflow_id} cannot be called: it was not found, is off, was never published, or the owner of "
            f"“{caller.name}” may not run it."
        )
    blueprint = blueprint_of(target.published, target.max_parallel)
    if isinstance(blueprint, DefinitionError):
        raise Refusal(f"“{target.name}” cannot be executed: {blueprint.message}")
    try:
        row.input_data = blueprint.checked(require(row.input_data))
    except InputError as error:
        raise Refusal(f"“{target.name}” does not take this input: {error.message}") from None
    row.workflow, row.version, row.steps_total = target, target.published, len(blueprint.graph.nodes)


def _refuse(parent: WorkflowExecution, order: Order, sentence: str) -> None:
    waits = ExecutionWait.objects.open().filter(execution=parent, node=order.node)
    waits.update(answered_at=timezone.now(), answer={"refused": sentence})
    parent.nudge()


def survey(execution_id: int, family: Family) -> Survey:
    """For the owner, at every sign of a child: how many ended badly only where that ends the others."""
    asks_for_bad = isinstance(family.outcome, Each) and family.outcome.stop_on_failure
    return count(execution_id, family.node, family.attempt, bad=asks_for_bad)


def count(execution_id: int, node: str, attempt: int, *, bad: bool = True) -> Survey:
    """Of one attempt at a step: three looks into small indices, however many children there are."""
    step = (execution_id, node, attempt)
    last = of(*step).aggregate(last=Max("item_index"))["last"]
    live = _counted("execution_child_live", "completed_at IS NULL", *step)
    return Survey(live, -1 if last is None else last, _counted("execution_child_bad", BAD, *step) if bad else 0)


def failed(execution_id: int, node: str, attempt: int) -> int:
    """How many of those that ended badly have failed; the others were cancelled."""
    return _counted("execution_child_bad", f"{BAD} AND status = 'failed'", execution_id, node, attempt)


def _counted(index: str, which: str, *step: int | str) -> int:
    """SQLite would rather walk through all children of the step: 100 ms where there are 100,000."""
    by = f"INDEXED BY {index}" if connection.vendor == "sqlite" else ""
    where = f"parent_id = %s AND parent_node = %s AND parent_attempt = %s AND {which}"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {TABLE} {by} WHERE {where}", step)
        return int(cursor.fetchone()[0])


@dataclass(slots=True)
class Gathering:
    """What the children of a step brought, as far as they were read; `answer`: what its resume gets, at the end."""

    items: list[Any] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    answer: dict[str, Any] | None = None


def gather(execution_id: int, family: Family, so_far: Gathering) -> None:
    """Reads on, once no child lives any more. In parts, so that others can write in between."""
    rows = of(execution_id, family.node, family.attempt).filter(item_index__gte=len(so_far.items))
    part = [Brought(*row) for row in rows.order_by("item_index").values_list(*Brought._fields)[:PART]]
    try:
        if isinstance(family.outcome, Call):
            one = part[0]
            found = {"execution": one.pk, "status": one.status, "output": _output(one), "error": one.error_message}
            so_far.answer = found
            return
        _add(part, so_far)
    except (TooLarge, NotReadable) as error:
        so_far.answer = {"refused": error.message}
        return
    if len(part) < PART:
        so_far.answer = {"items": so_far.items, "failed": so_far.failed, "count": family.total}


class Brought(NamedTuple):
    """What is read of each child: no model, which takes five times as long."""

    pk: int
    item_index: int
    status: str
    output_data: Any
    output_blobs: Any
    error_message: str


def _add(part: Sequence[Brought], so_far: Gathering) -> None:
    limit = settings.ENGINE["DATA_BYTES"]
    for row in part:
        so_far.items.append(_output(row))
        if row.status != ExecutionStatus.COMPLETED:
            so_far.failed.append({"index": row.item_index, "error": row.error_message})
        so_far.size += blobs.weight(so_far.items[-1], limit)
        if so_far.size > limit:  # before the memory is full
            raise TooLarge(so_far.size, limit)


def _output(row: Brought) -> Any:
    if row.status != ExecutionStatus.COMPLETED or row.output_data is None:
        return None
    return blobs.join(row.pk, row.output_data, row.output_blobs)


def of(execution_id: int, node: str, attempt: int) -> ExecutionQuerySet:
    return WorkflowExecution.objects.filter(parent=execution_id, parent_node=node, parent_attempt=attempt)


def family_of(execution_id: int) -> WorkflowExecution | None:
    """The execution, with all that live of its family held until COMMIT, in the order in which the journal does."""
    execution = WorkflowExecution.objects.filter(pk=execution_id).first()
    if execution:
        root = execution.root_id or execution.pk
        family = WorkflowExecution.objects.live().filter(Q(pk=root) | Q(root=root)).order_by("pk")
        list(family.select_for_update(no_key=True).values_list("pk", flat=True))
    return execution


def below(executions: Collection[int]) -> set[int]:
    """All that live in the families of these."""
    told = WorkflowExecution.objects.filter(pk__in=executions).values_list("root", "pk")
    roots = {root or pk for root, pk in told}
    return set(WorkflowExecution.objects.live().filter(root__in=roots).values_list("pk", flat=True))


def bury(execution_id: int, fence: int, error: Exception) -> set[int]:
    """The engine could not go on with it: it ends, if it is still held under this fence, and all that lives below it is
    asked for its end in the same moment, since nobody would come back for that. Gives those whom somebody holds."""
    with committing("bury"):
        family_of(execution_id)
        execution = WorkflowExecution.objects.live().filter(pk=execution_id, fence=fence).first()
        if execution is None:
            return set()
        held = cancel(execution_id)
        ending.give_up(execution, error)
        return held


def cancel(execution_id: int, nodes: Sequence[str] | None = None, by: Any = None) -> set[int]:
    """Asks all that live below it for their end (`nodes`: below these steps); those that nobody holds have ended on
    return. Gives those that somebody does hold, so that they are rung."""
    rows = _bare(execution_id)
    rows = rows if nodes is None else rows.filter(parent_node__in=nodes)
    held: set[int] = set()
    for child in rows.select_for_update(no_key=True):
        held |= cancel(child.pk, by=by)
        if not child.request_cancel(by):
            continue
        child.refresh_from_db(fields=["owner", "due_at"])
        if child.is_owned:
            held.add(child.pk)
        else:
            ending.cancel_unowned(child, by)
    return held


def pause(execution_id: int, by: Any, *, paused: bool, reason: str = "") -> set[int]:
    """The same for a pause, or its end; gives all that were changed. Parents first, as the journal locks them."""
    changed: set[int] = set()
    for child in _bare(execution_id):
        if child.set_paused(paused, by, reason):
            changed.add(child.pk)
        changed |= pause(child.pk, by, paused=paused, reason=reason)
    return changed


def _bare(execution_id: int) -> ExecutionQuerySet:
    """The children that live, without what they were given: a hundred of them may bring much."""
    return WorkflowExecution.objects.live().filter(parent=execution_id).only("pk", "owner", "due_at").order_by("pk")
