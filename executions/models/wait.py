"""What a step waits for: a time, an answer, or whichever comes first. A waiting execution holds nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
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


NOBODY = ",?,"  # names that no account and no group has: then those who administer the workflow answer


def audience_of(people: Iterable[str], groups: Iterable[str]) -> str:
    """Who may answer, by name, as a wait keeps it: “,u12,g3,”; empty where nobody is named. At most two queries."""
    people, groups = set(people), set(groups)
    if not people and not groups:
        return ""
    users = get_user_model().objects.filter(username__in=people).order_by("pk") if people else ()
    teams = Group.objects.filter(name__in=groups).order_by("pk") if groups else ()
    marks = [f"u{user.pk}" for user in users] + [f"g{team.pk}" for team in teams]
    return f",{','.join(marks)}," if marks else NOBODY


class WaitQuerySet(models.QuerySet["ExecutionWait"]):
    def open(self) -> WaitQuerySet:
        return self.filter(closed_at=None)

    def unanswered(self, now: datetime) -> WaitQuerySet:
        """An answer would still count, as far as the wait itself says."""
        return self.open().filter(Q(due_at=None) | Q(due_at__gt=now), answered_at=None, lapsed_at=None)

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

        False once its time has come, and once the execution's end was asked for. Raises InputError for an answer that
        cannot be kept. Locks the execution before the wait, as the journal and a cancel do.
        """
        require(answer, "answer")
        with transaction.atomic():
            live = type(self.execution).objects.live().filter(pk=self.execution_id, cancel_requested_at=None)
            if live.select_for_update(no_key=True).only("pk").first() is None:
                return False
            now = timezone.now()
            waiting = ExecutionWait.objects.unanswered(now).filter(pk=self.pk)
            if not waiting.update(answered_at=now, answered_by=by, answer=answer):
                return False
            self.execution.nudge()
            return True
