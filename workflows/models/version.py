"""One definition, unchanging. An execution runs the version that it started with, whatever is published meanwhile."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.conf import settings
from django.db import models


class WorkflowVersion(models.Model):
    """`number` counts the published ones from 1; None marks a draft that was run, and `note` then says which part."""

    workflow = models.ForeignKey("Workflow", models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField(null=True)
    definition = models.JSONField()
    digest = models.CharField(max_length=64, editable=False)
    note = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(fields=["workflow", "number"], name="one_version_a_number"),
            models.UniqueConstraint(
                fields=["workflow", "digest"], condition=models.Q(number=None), name="one_draft_version_a_digest"
            ),
        )

    def __str__(self) -> str:
        return f"version {self.number}" if self.number else ", ".join(filter(None, ("draft", self.note)))

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("A version never changes: publish a new one.")
        self.digest = digest(self.definition)
        super().save(*args, **kwargs)

    @property
    def is_draft(self) -> bool:
        return self.number is None


def digest(definition: Any) -> str:
    """SHA-256 of the definition's canonical JSON."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
