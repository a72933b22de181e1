"""What a step waits for: a time, an answer, or whichever comes first. A waiting execution holds nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from workflows.values import require


class WaitKind(models.TextChoices):
    TIME = "time"
    RETRY = "retry"
    APPROVAL = "approval"
    CALLBACK = "callback"
    CHILD = "child"


class WaitQuerySet(models.QuerySet["ExecutionWait"]):
    def open(self) -> WaitQuerySet:
        return self.filter(closed_at=None)

    def lapse(self, now: datetime) -> None:
        """Those whose time has come and that nobody has answered are over: from here on, no answer counts."""
        due = self.open().filter(answered_at=None, lapsed_at=None, due_at__lte=now)
        if due.exists():
            due.update(lapsed_at=now)

    def over(self) -> WaitQuerySet:
        """Answered or lapsed, and not yet in the journal."""
        return self.open().filter(Q(answered_at__isnull=False) | Q(lapsed_at__isnull=False))


class ExecutionWait(models.Model):
    """Opened and closed by the execution's owner, together with the entries that say so; answered by others."""

    execution = models.ForeignKey("WorkflowExecution", models.CASCADE, related_name="waits")
    node = models.CharField(max_length=64)
    attempt = models.PositiveIntegerField(default=1)
    kind = models.CharField(max_length=8, choices=WaitKind.choices, default=WaitKind.TIME)
    reason = models.CharField(max_length=200, blank=True)
    asks = models.JSONField(null=True, help_text="Of an approval: title, message and the fields of its form.")
    audience = models.TextField(
        blank=True, help_text="Who may answer: “,u12,g3,” for user 12 and group 3; empty: who may run the workflow."
    )
    due_at = models.DateTimeField(null=True)
    lapsed_at = models.DateTimeField(null=True, help_text="When the owner took its time to be over: no answer counts.")
    answered_at = models.DateTimeField(null=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    answer = models.JSONField(null=True)
    closed_at = models.DateTimeField(null=True)

    objects = WaitQuerySet.as_manager()

    class Meta:
        ordering = ("execution", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=["execution", "node"], condition=Q(closed_at=None), name="one_open_wait_a_step"
            ),
        )
        indexes = (
            models.Index(
                "execution", condition=Q(kind="approval", closed_at=None, answered_at=None), name="wait_for_approval"
            ),
        )

    def __str__(self) -> str:
        return f"#{self.execution_id} {self.node}"

    def answer_once(self, answer: Any = None, by: Any = None) -> bool:
        """Ends the wait; True for the one call that did. The nudge goes with it, so the owner looks before it rests.

        False once its time has come. Raises InputError for an answer that cannot be kept. Locks the execution before
        the wait, as the journal and a cancel do.
        """
        require(answer, "answer")
        with transaction.atomic():
            type(self.execution).objects.select_for_update(no_key=True).filter(pk=self.execution_id).first()
            waiting = ExecutionWait.objects.open().filter(pk=self.pk, answered_at=None, lapsed_at=None)
            waiting = waiting.exclude(due_at__lte=timezone.now())
            if not waiting.update(answered_at=timezone.now(), answered_by=by, answer=answer):
                return False
            self.execution.nudge()
            return True
