"""What is too old goes: executions that ended long ago, with all that hangs on them. Never on the event loop.

A workflow's own days count, else the installation's; 0 keeps for ever. Ids ascend with time, so each workflow is read
by index from its oldest execution to the first that is too young. What is live, and the family of what is live, stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter, sleep

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from executions import blobs
from executions.crashpoints import committing
from executions.models import ExecutionLog, WorkflowExecution
from executions.models.execution import DOOMED
from workflows.models import Workflow

BATCH = 200  # executions that are looked at together
LONGEST_DAYS = 36_500


def cutoff_of(keep_days: int | None, now: datetime | None = None) -> datetime | None:
    """What ended before it goes, for a workflow's own days, if it has any; None where everything is kept."""
    days = settings.RETENTION_DAYS if keep_days is None else keep_days
    return days_ago(days, now) if days > 0 else None


def days_ago(days: float, now: datetime | None = None) -> datetime:
    return (now or timezone.now()) - timedelta(days=min(days, LONGEST_DAYS))


def too_old(workflow: Workflow, cutoff: datetime) -> Iterator[list[int]]:
    """Executions that somebody started and that may go, oldest first, in batches."""
    after = 0
    while True:
        found = WorkflowExecution.objects.roots().filter(workflow=workflow, pk__gt=after).order_by("pk")
        rows = list(found.values_list("pk", "created_at", "completed_at")[:BATCH])
        ended = [pk for pk, _, completed_at in rows if completed_at is not None and completed_at < cutoff]
        if free := _without_live_family(ended):
            yield free
        if len(rows) < BATCH or rows[-1][1] >= cutoff:
            return
        after = rows[-1][0]


@dataclass(slots=True)
class Pace:
    """How many rows one transaction deletes, so that nobody waits for it for long; as long again it rests."""

    size: int = 200
    least: int = 100  # a commit takes its time however little it writes: smaller parts would only make more of them
    most: int = 1_000
    slow_s: float = 0.03
    longest_s: float = 0.0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with committing("prune"):
            began = perf_counter()  # from here on others wait for us, and not we for them
            yield
        self.note(perf_counter() - began)

    def note(self, took_s: float) -> None:
        self.longest_s = max(self.longest_s, took_s)
        if took_s > self.slow_s:
            self.size = max(min(self.least, self.most), self.size // 2)
        elif took_s < self.slow_s / 3:
            self.size = min(self.most, self.size * 2)
        sleep(min(took_s, 0.2))


@dataclass(slots=True)
class Pruning:
    """Deletes what ended before `cutoff`, and counts it: `executions` that somebody started, and their `children`.

    `told` is called after each step; where `is_over` says so it stops in between, and nothing is half deleted.
    """

    cutoff: datetime
    told: Callable[[], object] = lambda: None
    is_over: Callable[[], bool] = lambda: False
    executions: int = 0
    children: int = 0
    entries: int = 0
    pace: Pace = field(default_factory=Pace)

    def run(self, workflow: Workflow) -> None:
        for root_ids in too_old(workflow, self.cutoff):
            for pk in _with_children(root_ids):
                self._delete_children(pk)
            for part in _parts(root_ids, self.pace):
                if self.is_over():
                    return
                self.executions += self._delete(part)
                self.told()

    def _delete_children(self, root_id: int) -> None:
        """Newest first: a child's own children are younger than it."""
        family = WorkflowExecution.objects.filter(root=root_id).order_by("-pk")
        while not self.is_over() and (ids := list(family.values_list("pk", flat=True)[:BATCH])):
            before = self.children
            for part in _parts(ids, self.pace):
                self.children += self._delete(part)
            if self.children == before:
                return  # somebody has brought them back to life
            self.told()

    def _delete(self, part: Mapping[int, int]) -> int:
        """Those that are still ended, in one transaction; a long journal goes before its execution."""
        for pk, last in part.items():
            self._shorten(pk, last)
        with self.pace.transaction():
            ids = self._still_ended(list(part))
            self.entries += ExecutionLog.objects.filter(execution__in=ids).delete()[0]
            WorkflowExecution.objects.filter(pk__in=ids).only("pk").delete()
        blobs.forget(ids)
        return len(ids)

    def _shorten(self, execution_id: int, last: int) -> None:
        done = 0
        while last - done > max(self.pace.size, 50):
            done += self.pace.size
            with self.pace.transaction():
                if not self._still_ended([execution_id]):
                    return
                # From here on its journal has no beginning, so nothing may bring it back to life: see repair.py.
                WorkflowExecution.objects.filter(pk=execution_id).update(owner=DOOMED)
                rows = ExecutionLog.objects.filter(execution=execution_id, seq__lte=done)
                self.entries += rows.delete()[0]

    def _still_ended(self, ids: list[int]) -> list[int]:
        """Held until COMMIT: an execution may have been brought back to life, and then it stays."""
        rows = WorkflowExecution.objects.filter(pk__in=ids, completed_at__lt=self.cutoff).order_by("pk")
        return list(rows.select_for_update().values_list("pk", flat=True))


def _without_live_family(root_ids: list[int]) -> list[int]:
    live = set(WorkflowExecution.objects.live().filter(root__in=root_ids).values_list("root", flat=True))
    return [pk for pk in root_ids if pk not in live]


def _with_children(root_ids: list[int]) -> list[int]:
    children = WorkflowExecution.objects.filter(root__in=root_ids)
    return sorted(root for root in children.order_by().values_list("root", flat=True).distinct() if root)


def _parts(ids: list[int], pace: Pace) -> Iterator[dict[int, int]]:
    """{execution: its last seq}, as many together as one transaction may delete now."""
    ends = ExecutionLog.objects.filter(execution__in=ids).order_by().values_list("execution").annotate(last=Max("seq"))
    last = dict(ends)
    part: dict[int, int] = {}
    for pk in ids:
        if part and sum(part.values()) + len(part) + last.get(pk, 0) > pace.size:
            yield part
            part = {}
        part[pk] = last.get(pk, 0)
    if part:
        yield part
