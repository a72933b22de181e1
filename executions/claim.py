"""Who holds an execution: the claim, the look again, the lease. Runs in a thread that may use the database.

Claim, wake and takeover are one statement: whatever is due and has not ended goes to the one who asks first. Each
claim raises the fence, and with it every write of an earlier owner is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import F, Max, Sum, TextField
from django.db.models.functions import Cast, Length
from django.utils import timezone

from executions import children
from executions.blobs import NotReadable, weight
from executions.crashpoints import committing, reach
from executions.entry import Entry, time_form
from executions.family import Family, Survey
from executions.large import filled, input_of
from executions.models import ExecutionLog, ExecutionStatus, ExecutionWait, Kind, WorkflowExecution
from executions.models.execution import CHILD, ROOT, ExecutionQuerySet
from executions.workshop import LINE_LENGTH
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import StepstreamError
from workflows.graph import Graph
from workflows.models.workflow import Priority

ROOTS, CHILDREN = "AND priority = %s AND parent_id IS NULL", "AND priority = %s AND parent_id IS NOT NULL"
PRIORITIES = sorted(Priority.values, reverse=True)
TABLE = WorkflowExecution._meta.db_table


@dataclass(slots=True)
class Held:
    """An execution in our hands: what its owner needs to go on, as of the claim."""

    execution_id: int
    fence: int
    nudges: int
    given: dict[str, Any]
    blueprint: Blueprint | StepstreamError  # the latter where a version was changed by hand, or a file is gone
    entries: Sequence[ExecutionLog | Entry]
    last_seq: int
    weight: int = 0  # bytes of its data, roughly, as far as blobs.weight() counts
    logged: int = 0  # bytes of its log lines, roughly
    parent_id: int | None = None
    has_slot: bool | None = None
    time_limit_s: int | None = None
    pause_before: Sequence[str] = ()
    time_zone: str = ""
    workflow_id: int = 0
    root_id: int = 0  # itself, where nobody called it
    has_begun: bool = False  # the steps that its entries start are ours to run, and not lost by somebody else

    @property
    def graph(self) -> Graph:
        """Of one whose blueprint could be drawn."""
        assert isinstance(self.blueprint, Blueprint)
        return self.blueprint.graph


@dataclass(slots=True)
class Look:
    """What others did to an execution while we hold it: people, time, its children.

    `surveys`: of the children of each step that has some.
    """

    nudges: int
    cancelled_by: str | None
    is_cancel_requested: bool
    is_paused: bool = False
    paused_by: str | None = None
    pause_before: Sequence[str] = ()
    pause_reason: str = ""
    over: list[ExecutionWait] = field(default_factory=list)
    surveys: dict[str, Survey] = field(default_factory=dict)


def now() -> datetime:
    return timezone.now()


def lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.ENGINE["LEASE_SECONDS"])


def claim(owner: str, limit: int) -> list[Held]:
    """Up to `limit` executions that are due now, the most urgent and then the earliest first, with their journals.

    What somebody started and the children of others get half of the room each, as far as they need it: a family of a
    hundred thousand must not stand before everybody else, nor wait behind all of them.
    """
    queues, fences = _queues_due() if limit > 0 else [], dict[int, int]()
    if queues:
        with committing("claim"):
            for priority, kinds in queues:
                for kind in kinds if len(kinds) == 1 else (ROOTS, CHILDREN, ROOTS):
                    room = limit - len(fences)
                    is_half = kind == ROOTS and len(kinds) == 2
                    fences |= _take(owner, room - room // 2 if is_half else room, kind, priority)
    return load(fences) if fences else []


def _queues_due() -> list[tuple[int, list[str]]]:
    """By priority, which of both kinds are there. A look takes no lock; most of the time there is nothing."""
    every = [(priority, kind) for priority in PRIORITIES for kind in (ROOTS, CHILDREN)]
    now = time_form()(timezone.now())
    looks = (f"EXISTS (SELECT 1 FROM {TABLE} WHERE completed_at IS NULL AND due_at <= %s {kind})" for _, kind in every)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(looks)}", [given for priority, _ in every for given in (now, priority)])
        found = [queue for queue, is_there in zip(every, cursor.fetchone(), strict=True) if is_there]
    return [(priority, kinds) for priority in PRIORITIES if (kinds := [kind for one, kind in found if one == priority])]


def claim_family(owner: str, execution_id: int, limit: int = 100) -> list[Held]:
    """That execution and what is below it, as far as it is due: for a caller who waits where no worker may be."""
    with committing("claim_family"):
        fences = _take(owner, limit, "AND (id = %s OR root_id = %s)", execution_id, execution_id)
    return load(fences) if fences else []


def _take(owner: str, limit: int, which: str, *only: int) -> dict[int, int]:
    if limit < 1:
        return {}
    now = timezone.now()
    skip = "FOR NO KEY UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    sql = f"""
        WITH due AS MATERIALIZED (
            SELECT id FROM {TABLE} WHERE completed_at IS NULL AND due_at <= %s {which}
            ORDER BY due_at, id LIMIT %s {skip}
        )
        UPDATE {TABLE} SET status = 'running', owner = %s, fence = fence + 1, due_at = %s,
            started_at = COALESCE(started_at, %s)
        WHERE id IN (SELECT id FROM due) RETURNING id, fence"""
    as_time = time_form()
    picked = [as_time(now), *only, limit]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*picked, owner, as_time(lease_end()), as_time(now)])
        return dict(cursor.fetchall())


def load(fences: dict[int, int]) -> list[Held]:
    """What the claimed executions need: three queries for all of them. Log lines stay where they are."""
    rows = WorkflowExecution.objects.filter(pk__in=fences).select_related("workflow", "version")
    rows = rows.defer("version__definition", "output_data", "error").order_by("due_at", "pk")
    told: dict[int, list[ExecutionLog]] = {pk: [] for pk in fences}
    for entry in ExecutionLog.objects.filter(execution__in=fences).told().order_by("execution", "seq"):
        told[entry.execution_id].append(entry)
    lasts = ExecutionLog.objects.filter(execution__in=fences).values("execution").annotate(last=Max("seq"))
    last_seq = dict(lasts.order_by().values_list("execution", "last"))
    return [_held(row, fences[row.pk], told[row.pk], last_seq.get(row.pk, 0)) for row in rows]


def _held(row: WorkflowExecution, fence: int, entries: list[ExecutionLog], last_seq: int) -> Held:
    held = Held(
        execution_id=row.pk,
        fence=fence,
        nudges=row.nudges,
        given=row.input_data,
        blueprint=blueprint_of(row.version, row.workflow.max_parallel, row.body),
        entries=entries,
        last_seq=last_seq,
        logged=_logged(row.pk, last_seq - len(entries)),
        parent_id=row.parent_id,
        has_slot=row.has_slot,
        time_limit_s=None if row.parent_id else row.workflow.time_limit_s,
        pause_before=row.pause_before,
        time_zone=row.workflow.time_zone,
        workflow_id=row.workflow_id,
        root_id=row.root_id or row.pk,
    )
    try:
        held.given = input_of(row)
        held.entries = [filled(entry) for entry in entries]
    except NotReadable as error:
        held.blueprint = error
    held.weight = weight([held.given, [entry.added or entry.data for entry in held.entries]])
    return held


def _logged(execution_id: int, lines: int) -> int:
    """Only where there are so many that it matters."""
    if lines * LINE_LENGTH <= settings.ENGINE["LOG_BYTES"]:
        return 0
    logged = ExecutionLog.objects.filter(execution=execution_id, kind=Kind.LOGGED)
    total = logged.aggregate(total=Sum(Length(Cast("data", TextField()))))["total"]
    return int(total or 0)


def look(execution_id: int, fence: int, families: Sequence[Family] = ()) -> Look | None:
    """What others did meanwhile; None where the execution is no longer ours."""
    rows = WorkflowExecution.objects.filter(pk=execution_id, fence=fence)
    names = ("nudges", "cancel_requested_by__username", "cancel_requested_at", "paused_at", "paused_by__username")
    row = rows.values_list(*names, "pause_before", "pause_reason").first()
    if row is None:
        return None
    nudges, cancelled_by, cancelled_at, paused_at, paused_by, *paused = row
    look = Look(nudges, cancelled_by, cancelled_at is not None, paused_at is not None, paused_by, *paused)
    waits = ExecutionWait.objects.filter(execution=execution_id)
    if not look.is_paused:
        waits.lapse(timezone.now())
        reach("wait.lapsed")
    look.over = list(waits.over().select_related("answered_by"))
    for family in families:
        look.surveys[family.node] = children.survey(execution_id, family)
    return look


def renew(owner: str, held: Collection[int]) -> dict[int, int]:
    """Moves the lease's end on; gives the nudges of what is still ours, by execution."""
    mine: dict[int, int] = {}
    for part in _parts(held):
        rows = WorkflowExecution.objects.owned_by(owner).filter(pk__in=part)
        with committing("renewal"):
            # In the order in which the journal locks them, or the two would wait for each other.
            mine.update(rows.order_by("pk").select_for_update(no_key=True).values_list("pk", "nudges"))
            rows.update(due_at=lease_end())
    return mine


def nudges_of(owner: str, held: Collection[int]) -> dict[int, int]:
    """Of what is still ours, by execution; as renew(), but it takes no lock and changes nothing."""
    mine: dict[int, int] = {}
    for part in _parts(held):
        mine.update(WorkflowExecution.objects.owned_by(owner).filter(pk__in=part).values_list("pk", "nudges"))
    return mine


def hand_back(owner: str, *executions: int) -> int:
    """Makes what we hold due for whoever is next: these, or all of it."""
    rows = WorkflowExecution.objects.owned_by(owner)
    rows = rows.filter(pk__in=executions) if executions else rows
    with committing("hand_back"):
        return _held_and_updated(rows, owner=None, status=ExecutionStatus.PENDING, due_at=timezone.now())


def release_dead(owners: Iterable[str]) -> int:
    """Makes what dead owners held due at once, before all that has not begun yet; the number of executions."""
    now = timezone.now()
    lost = WorkflowExecution.objects.live().filter(owner__in=list(owners), due_at__gt=now, priority__in=PRIORITIES)
    with committing("takeover"):  # each kind by its own index: SQLite would read the whole table for both together
        return sum(_held_and_updated(lost.filter(kind), due_at=F("started_at")) for kind in (ROOT, CHILD))


def _held_and_updated(rows: ExecutionQuerySet, **changes: Any) -> int:
    """In the order in which everybody locks more than one of them: an UPDATE alone has none."""
    held = list(rows.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    return rows.update(**changes) if held else 0


def _parts(ids: Collection[int], size: int = 500) -> Iterable[list[int]]:
    listed = list(ids)
    return (listed[start : start + size] for start in range(0, len(listed), size))
