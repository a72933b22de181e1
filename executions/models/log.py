"""The journal: append-only entries, numbered 1, 2, 3 … per execution by its owner.

It is the log, the resume point and the live feed in one. Numbered by the owner and not by the database: a PostgreSQL
id can become visible after a larger one did, and a window reading "after 41" would then never see 40.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone


class Kind(models.TextChoices):
    """Everything that can happen, as past participles. The list is closed: readers must know them all."""

    # about the execution
    QUEUED = "queued"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCEL_REQUESTED = "cancel_requested"
    FINISHED = "finished"
    REUSED = "reused"
    # about a step (started: also about the execution)
    STARTED = "started"
    LOGGED = "logged"
    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"
    WAITED = "waited"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    REPAIRED = "repaired"
    # about both
    TAKEN_OVER = "taken_over"
    LIMITED = "limited"


class LogQuerySet(models.QuerySet["ExecutionLog"]):
    def told(self) -> LogQuerySet:
        """What a fold needs: everything but the log lines, which may be many."""
        return self.exclude(kind=Kind.LOGGED)


class ExecutionLog(models.Model):
    """`node` is None for an entry about the execution. `data` by kind; `took_ms` where something ended."""

    # No constraint in the database: the fence guards the writer, and the check costs PostgreSQL 40 % a row.
    execution = models.ForeignKey(
        "WorkflowExecution", models.CASCADE, related_name="entries", db_constraint=False, db_index=False
    )
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    node = models.CharField(max_length=64, null=True)
    attempt = models.PositiveIntegerField(null=True)
    at = models.DateTimeField(default=timezone.now)
    data = models.JSONField(null=True)
    took_ms = models.PositiveIntegerField(null=True)

    added: dict[str, Any] | None = None  # of a completed step, once somebody has read what is kept in files

    objects = LogQuerySet.as_manager()

    class Meta:
        ordering = ("execution", "seq")
        constraints = (models.UniqueConstraint(fields=["execution", "seq"], name="one_entry_a_seq"),)

    def __str__(self) -> str:
        return f"#{self.execution_id}.{self.seq} {self.kind}"
