"""Which workers there are: each says so now and then, so that a page can tell when nobody is there to run anything."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class WorkerPresence(models.Model):
    """Written by the worker itself. Nothing depends on it but words: who holds what stands on the executions."""

    owner = models.CharField(max_length=32, primary_key=True)
    host = models.CharField(max_length=200)
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    left_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.owner[:8]} on {self.host}"
