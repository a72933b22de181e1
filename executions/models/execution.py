"""An execution's row: what the lists show, who may pick it up, and who holds it.

The journal (log.py) is the truth about what happened; status, output, error and progress here are its projection,
written in the same transaction. `due_at` alone says who may pick up: now while pending, the earliest due wait while
waiting, the end of the lease while running. Every change of state is a compare-and-set.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from workflows.models.workflow import Priority


class ExecutionStatus(models.TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE, ROOT, CHILD = Q(completed_at=None), Q(parent=None), Q(parent__isnull=False)
FINAL = (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)
FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)  # due when somebody does something, and not by itself
DOOMED = "retention"  # owns what has ended and is being deleted
CANCELLED_BY_USER = "Execution cancelled by user"


class ExecutionQuerySet(models.QuerySet["WorkflowExecution"]):
    def live(self) -> ExecutionQuerySet:
        return self.filter(completed_at=None)

    def due(self, now: datetime) -> ExecutionQuerySet:
        """Free to be picked up: new, woken, or lost by its owner. The partial index answers this."""
        return self.live().filter(due_at__lte=now)

    def roots(self) -> ExecutionQuerySet:
        """Those that somebody started, without the children that carry a step of another execution."""
        return self.filter(parent=None)

    def owned_by(self, owner: str) -> ExecutionQuerySet:
        return self.live().filter(owner=owner)


class WorkflowExecution(models.Model):
    workflow = models.ForeignKey("workflows.Workflow", models.CASCADE, related_name="executions", db_index=False)
    version = models.ForeignKey("workflows.WorkflowVersion", models.RESTRICT, related_name="executions", db_index=False)
    status = models.CharField(max_length=9, choices=ExecutionStatus.choices, default=ExecutionStatus.PENDING)
    input_data = models.JSONField(default=dict)
    output_data = models.JSONField(null=True)
    input_blobs = models.JSONField(
        null=True, help_text="Top-level keys of the input that are kept as files: see blobs.py."
    )
    output_blobs = models.JSONField(null=True)
    error = models.JSONField(null=True, help_text="The error as the journal has it, with step and traceback.")
    error_message = models.TextField(blank=True)
    steps_done = models.PositiveIntegerField(default=0)
    steps_total = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="executions", db_index=False
    )
    retry_of = models.ForeignKey("self", models.SET_NULL, null=True, related_name="retries", db_index=False)
    idempotency_key = models.CharField(max_length=200, null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )

    paused_at = models.DateTimeField(null=True)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    pause_before = models.JSONField(default=list, help_text="Steps before which it pauses, by node id.")
    # The journal's own INSERT leaves these two out: the database knows what they begin with.
    pause_reason = models.CharField(max_length=200, db_default="", help_text="Why, where it was no person's wish.")
    budgets = models.PositiveIntegerField(
        db_default=1, help_text="How many token budgets it may spend: one more each time somebody resumes it after one."
    )

    # A child carries a step of its parent: an item of a for-each (`body`: that step), or a called workflow.
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children", db_index=False)
    parent_node = models.CharField(max_length=64, null=True)
    parent_attempt = models.PositiveIntegerField(null=True)
    item_index = models.PositiveIntegerField(null=True)
    body = models.CharField(max_length=64, null=True)
    root = models.ForeignKey("self", models.CASCADE, null=True, related_name="descendants", db_index=False)
    depth = models.PositiveSmallIntegerField(default=0)
    failure_of = models.ForeignKey("self", models.SET_NULL, null=True, related_name="handlers", db_index=False)

    priority = models.SmallIntegerField(default=Priority.NORMAL, choices=Priority.choices)
    has_slot = models.BooleanField(null=True, help_text="None: its workflow has no limit. False: it waits for a slot.")
    slot_key = models.CharField(max_length=64, default="", help_text="Those with the same one share a limit per key.")

    due_at = models.DateTimeField(default=timezone.now)
    owner = models.CharField(max_length=32, null=True)
    fence = models.PositiveIntegerField(default=0, help_text="Counts the claims; a write with an older one is refused.")
    nudges = models.PositiveIntegerField(default=0, help_text="Counts what others did to it while it was owned.")

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        # Every row pays for an index at each of its changes: these are the ones that lists, claims and retention need.
        indexes = (
            # The state comes last: its changes then stay on one leaf, and "the newest of a workflow" is read in order.
            # Children stay out of the lists, and so out of what lists read; SQLite wants the column all the same.
            models.Index(
                "workflow", F("id").desc(), "status", "parent", condition=ROOT, name="execution_workflow_newest"
            ),
            models.Index("status", F("id").desc(), "parent", condition=ROOT, name="execution_status"),
            models.Index("priority", "due_at", condition=LIVE & ROOT, name="execution_due_root"),
            models.Index("priority", "due_at", condition=LIVE & CHILD, name="execution_due_child"),
            # Only what a person started pays for this one.
            models.Index(
                "started_by",
                "workflow",
                F("id").desc(),
                "parent",
                condition=Q(started_by__isnull=False),
                name="execution_started_by",
            ),
            models.Index("retry_of", condition=Q(retry_of__isnull=False), name="execution_retry_of"),
            models.Index("failure_of", condition=Q(failure_of__isnull=False), name="execution_failure_of"),
            models.Index("root", condition=Q(root__isnull=False), name="execution_root"),
            models.Index("root", condition=LIVE & Q(root__isnull=False), name="execution_root_live"),
            models.Index("parent", "parent_node", condition=LIVE & CHILD, name="execution_child_live"),
            models.Index(
                "parent",
                "parent_node",
                condition=CHILD & Q(status__in=("failed", "cancelled")),
                name="execution_child_bad",
            ),
            models.Index("workflow", "slot_key", condition=LIVE & Q(has_slot=True), name="execution_slot"),
            models.Index(
                "workflow",
                F("priority").desc(),
                "id",
                condition=LIVE & Q(has_slot=False, paused_at=None),
                name="execution_slot_queue",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["workflow", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="one_execution_a_key",
            ),
            models.UniqueConstraint(
                fields=["parent", "parent_node", "parent_attempt", "item_index"],
                condition=CHILD,
                name="one_child_an_item",
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def is_final(self) -> bool:
        return self.completed_at is not None

    @property
    def is_cancelling(self) -> bool:
        return self.cancel_requested_at is not None and not self.is_final

    @property
    def is_owned(self) -> bool:
        """Somebody holds it and their lease still runs."""
        return self.owner is not None and self.due_at > timezone.now()

    @property
    def duration(self) -> timedelta | None:
        """From its start to its end, or until now; None before the start."""
        if self.started_at is None:
            return None
        return (self.completed_at or timezone.now()) - self.started_at

    @property
    def duration_ms(self) -> int | None:
        return None if self.duration is None else round(self.duration / timedelta(milliseconds=1))

    def request_cancel(self, by: Any = None) -> bool:
        """Asks for the end, once; True for the call that asked first. The nudge stops an owner that would rest."""
        return bool(
            WorkflowExecution.objects.live()
            .filter(pk=self.pk, cancel_requested_at=None)
            .update(cancel_requested_at=timezone.now(), cancel_requested_by=by, nudges=F("nudges") + 1)
        )

    def nudge(self, **changes: Any) -> bool:
        """Tells whoever holds it to look again; where nobody does, it becomes due at once, unless it waits for a slot.

        `changes` go with it. False where it has ended.
        """
        return bool(WorkflowExecution.objects.live().filter(pk=self.pk).update(**_nudged(), **changes))

    def set_paused(self, paused: bool, by: Any = None, reason: str = "") -> bool:
        """Pauses it, or lets it go on; True for the call that changed that. Its owner writes it down.

        `reason`: that a budget is spent. Whoever resumes it then grants one more.
        """
        rows = WorkflowExecution.objects.live().filter(pk=self.pk, paused_at__isnull=paused)
        changes = {"paused_at": timezone.now() if paused else None, "paused_by": by, "pause_reason": reason}
        if not paused:
            changes["budgets"] = models.Case(models.When(pause_reason="", then=F("budgets")), default=F("budgets") + 1)
        return bool(rows.filter(cancel_requested_at=None).update(**_nudged(), **changes))


def _nudged() -> dict[str, Any]:
    free = models.When(Q(owner=None) & (Q(has_slot=None) | Q(has_slot=True)), then=models.Value(timezone.now()))
    return {"nudges": F("nudges") + 1, "due_at": models.Case(free, default=F("due_at"))}
