"""What was done to a draft, step by step: undo and redo are these rows, backwards and forwards again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from workflows.edits import joined
from workflows.splices import Change, Splice

KEPT = 100  # edits of one workflow that can be undone
TOGETHER = timedelta(minutes=1)  # what one person types into one field within this is one edit


class EditQuerySet(models.QuerySet["WorkflowEdit"]):
    def done(self) -> EditQuerySet:
        return self.filter(is_undone=False).order_by("-pk")

    def undone(self) -> EditQuerySet:
        return self.filter(is_undone=True).order_by("pk")

    def told(self) -> EditQuerySet:
        """With the words and without the splices, which may be two whole definitions."""
        return self.select_related("by").defer("splices")

    def since(self, revision: int) -> EditQuerySet:
        return self.filter(revision__gt=revision).order_by("revision")


class WorkflowEdit(models.Model):
    """`revision`: the draft's, when this was last done or undone. `splices` as in workflows/splices.py."""

    workflow = models.ForeignKey("Workflow", models.CASCADE, related_name="edits", db_index=False)
    revision = models.PositiveIntegerField()
    words = models.CharField(max_length=300)
    node = models.CharField(max_length=64, null=True)
    subject = models.CharField(max_length=200, blank=True)
    splices = models.JSONField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False)
    at = models.DateTimeField(default=timezone.now)
    is_undone = models.BooleanField(default=False)

    objects = EditQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)
        indexes = (models.Index("workflow", "revision", name="edit_workflow_revision"),)

    def __str__(self) -> str:
        return f"Undid: {self.words}" if self.is_undone else self.words

    @property
    def change(self) -> Change:
        return Change(self.words, [Splice(**splice) for splice in self.splices], self.node, self.subject)

    def takes_in(self, change: Change, by: Any) -> Change | None:
        """This edit and the next as one, where the same person goes on typing in the same place."""
        if self.is_undone or by is None or self.by_id != by.pk or timezone.now() - self.at > TOGETHER:
            return None
        return joined(self.change, change)

    def write(self, change: Change, revision: int) -> None:
        self.words, self.node, self.subject = change.words[:300], change.node, change.subject
        self.splices, self.revision = [asdict(splice) for splice in change.splices], revision
        self.at, self.is_undone = timezone.now(), False
        self.save()


def remember(workflow: Any, change: Change, by: Any) -> None:
    """What was undone before cannot be redone after it; the oldest beyond the last hundred are forgotten."""
    edits = WorkflowEdit.objects.filter(workflow=workflow)
    last = edits.order_by("-pk").first()
    both = last.takes_in(change, by) if last else None
    if last and both:
        last.write(both, workflow.revision) if both.splices else last.delete()  # typed, and taken back: nothing to undo
        return
    edits.undone().delete()
    WorkflowEdit(workflow=workflow, by=by).write(change, workflow.revision)
    kept = edits.order_by("-pk").values_list("pk", flat=True)[KEPT - 1 : KEPT].first()
    if kept:
        edits.filter(pk__lt=kept).delete()
