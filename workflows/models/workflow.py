"""A workflow: a name, people, a draft, and the version that runs now."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Max
from django.utils import timezone

from workflows import steps
from workflows.errors import DefinitionError, InputError, Problem
from workflows.graph import Graph, check, parse
from workflows.models.version import WorkflowVersion, digest
from workflows.values import copied, require


class WorkflowQuerySet(models.QuerySet["Workflow"]):
    def listed(self) -> WorkflowQuerySet:
        return self.filter(archived_at=None)

    def runnable(self) -> WorkflowQuerySet:
        return self.listed().filter(is_active=True, published__isnull=False)


class Workflow(models.Model):
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    # Protected: without owner and group a workflow is everybody\'s to see, so it is handed over before they go.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="workflows")
    group = models.ForeignKey("auth.Group", models.PROTECT, null=True, blank=True, related_name="workflows")
    is_active = models.BooleanField(default=True)
    max_parallel = models.PositiveSmallIntegerField(
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="How many steps of one execution may run at the same time; 1 is strictly one after another.",
    )
    time_zone = models.CharField(max_length=64, blank=True, help_text="Empty: the time zone of the installation.")
    draft = models.JSONField(null=True, blank=True, help_text="The definition that is being edited, if it differs.")
    published = models.ForeignKey(
        "WorkflowVersion", models.RESTRICT, null=True, blank=True, editable=False, related_name="+"
    )
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = WorkflowQuerySet.as_manager()

    class Meta:
        ordering = ("name", "pk")

    def __str__(self) -> str:
        return self.name

    @property
    def definition(self) -> dict[str, Any]:
        """What is being edited: the draft, else what runs now, else nothing."""
        kept = self.draft if self.draft is not None else self.published and self.published.definition
        return copied(kept) if kept is not None else {"nodes": [], "edges": []}

    @property
    def is_runnable(self) -> bool:
        return self.is_active and self.archived_at is None and self.published_id is not None

    def graph(self) -> Graph:
        """The graph of the version that runs now; raises DefinitionError where it has none or an empty one."""
        return parse(self.published.definition if self.published else {"nodes": []}, self.max_parallel)

    def publish(self, definition: Any = None, by: Any = None, note: str = "") -> WorkflowVersion:
        """Makes `definition` (the draft where none is given) the version that runs from now on.

        Raises DefinitionError with every problem. Publishing what already runs makes no new version.
        """
        definition = self.definition if definition is None else definition
        errors = [problem for problem in definition_problems(definition) if problem.level == "error"]
        if errors:
            raise DefinitionError(errors)
        with transaction.atomic():
            version = self._version_of(definition, by, note)
            self.published, self.draft = version, None
            self.save(update_fields=["published", "draft", "updated_at"])
        return version

    def draft_version(self, definition: Any, by: Any = None, note: str = "") -> WorkflowVersion:
        """The version without a number that has this content, to try it; made at its first use.

        `note`: "up to Shout", where it is a part of the draft. Raises DefinitionError for what cannot run.
        """
        errors = [problem for problem in definition_problems(definition) if problem.level == "error"]
        if errors:
            raise DefinitionError(errors)
        facts = {"definition": definition, "created_by": by, "note": note[:500]}
        # Two who try the same draft at once make one row: there is a constraint, and who comes second reads.
        return self.versions.get_or_create(number=None, digest=digest(definition), defaults=facts)[0]

    def keep_draft(self, definition: Any) -> None:
        """Keeps a definition that is not ready to run. What already runs is no draft. Raises InputError for no JSON."""
        require(definition, "definition")
        self.draft = None if self._runs(definition) else definition
        self.save(update_fields=["draft", "updated_at"])

    def archive(self) -> None:
        """Hides the workflow and stops new runs; its history stays until retention."""
        self.archived_at, self.is_active = self.archived_at or timezone.now(), False
        self.save(update_fields=["archived_at", "is_active", "updated_at"])

    def _version_of(self, definition: dict[str, Any], by: Any, note: str) -> WorkflowVersion:
        # The row's lock makes two publishers take different numbers.
        Workflow.objects.select_for_update().get(pk=self.pk)
        if self.published and self._runs(definition):
            return self.published
        last = self.versions.aggregate(last=Max("number"))["last"] or 0
        return self.versions.create(definition=definition, number=last + 1, created_by=by, note=note)

    def _runs(self, definition: Any) -> bool:
        return self.published is not None and self.published.digest == digest(definition)


def definition_problems(definition: Any) -> list[Problem]:
    """Everything that is wrong with a definition: no JSON that can be kept, structure, kinds, configs, handles."""
    try:
        require(definition, "definition")
    except InputError as error:
        return [Problem("graph.unkeepable", error.message, field=error.field)]
    return check(definition) or steps.problems(parse(definition))
