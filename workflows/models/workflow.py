"""A workflow: a name, people, a draft, and the version that runs now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Max
from django.utils import timezone

from workflows import steps
from workflows.edits import rewrite
from workflows.errors import DefinitionError, EditConflict, EditError, InputError, Problem
from workflows.graph import Graph, check, parse
from workflows.models.edit import WorkflowEdit, remember
from workflows.models.tag import WorkflowTag
from workflows.models.version import WorkflowVersion, digest
from workflows.people import unknown_names
from workflows.secrets.problems import unusable_secrets
from workflows.secrets.variables import unknown_variables
from workflows.splices import Change, Definition, apply
from workflows.values import copied, require


class Priority(models.IntegerChoices):
    LOW = -1
    NORMAL = 0
    HIGH = 1


#: What a copy or an export takes along beside its steps. Not what it starts on failure: that is another workflow.
LIMITS = (
    "time_limit_s",
    "keep_days",
    "concurrency",
    "concurrency_key",
    "concurrency_per_key",
    "priority",
    "token_budget",
)


class WorkflowQuerySet(models.QuerySet["Workflow"]):
    def listed(self) -> WorkflowQuerySet:
        return self.filter(archived_at=None)

    def runnable(self) -> WorkflowQuerySet:
        return self.listed().filter(is_active=True, published__isnull=False)

    def called(self, text: str) -> WorkflowQuerySet:
        """By number, where it is one and there is such a workflow; else by name, archived ones left out."""
        by_id = self.filter(pk=int(text)) if text.isascii() and text.isdigit() and len(text) < 19 else self.none()
        return by_id if by_id.exists() else self.listed().filter(name=text)


class Workflow(models.Model):
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    # Protected: without owner and group a workflow is everybody's to see, so it is handed over before they go.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="workflows")
    group = models.ForeignKey("auth.Group", models.PROTECT, null=True, blank=True, related_name="workflows")
    is_active = models.BooleanField(default=True)
    max_parallel = models.PositiveSmallIntegerField(
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="How many steps of one execution may run at the same time; 1 is strictly one after another.",
    )
    time_zone = models.CharField(max_length=64, blank=True, help_text="Empty: the time zone of the installation.")
    time_limit_s = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Seconds that one execution may take, waits included and pauses not; empty: no limit.",
    )
    keep_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Days for which an execution is kept after its end; empty: as the installation has it.",
    )
    concurrency = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many executions may be under way at the same time; the others wait. Empty: no limit.",
    )
    concurrency_key = models.CharField(
        max_length=200,
        blank=True,
        help_text="A path into the input, such as customer.id: executions with the same value count as one group.",
    )
    concurrency_per_key = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text="How many executions with the same value may be under way at the same time.",
    )
    token_budget = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Tokens of language models that one execution may take with all that it calls; then it pauses, and "
        "whoever resumes it grants as many again. Empty: no limit.",
    )
    priority = models.SmallIntegerField(
        choices=Priority.choices, default=Priority.NORMAL, help_text="Which executions a worker takes first."
    )
    on_failure = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The workflow that is started when an execution of this one fails.",
    )
    draft = models.JSONField(null=True, blank=True, help_text="The definition that is being edited, if it differs.")
    revision = models.PositiveIntegerField(default=0, editable=False, help_text="Counts the changes of the draft.")
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

    # The draft

    def edit(self, make: Callable[[Definition], Change], by: Any = None, seen: int | None = None) -> Change:
        """Makes a change in the draft, and keeps it so that it can be undone.

        `make` says it for the definition as it is now. `seen`: the revision that people had before their eyes; raises
        EditConflict where the draft has moved on since, and EditError where the change cannot be made.
        """
        with transaction.atomic():
            self._take(seen)
            change, is_first = make(self.definition), not (self.draft or self.published)
            if change.splices or is_first:
                self._keep(require(apply(self.definition, change), "definition"))
            if change.splices and not (is_first and change.splices[0].at == "definition"):
                remember(self, change, by)  # a definition that came whole, as the first: there is nothing to go back to
        return change

    def undo(self, by: Any = None, seen: int | None = None) -> WorkflowEdit:
        """Takes the last edit back, whoever made it. Raises EditError where there is none."""
        return self._again(is_undo=True, seen=seen)

    def redo(self, by: Any = None, seen: int | None = None) -> WorkflowEdit:
        return self._again(is_undo=False, seen=seen)

    def keep_draft(self, definition: Any, by: Any = None, seen: int | None = None, words: str = "") -> None:
        """Keeps a definition that is not ready to run. What already runs is no draft. Raises InputError for no JSON."""
        require(definition, "definition")
        self.edit(lambda before: rewrite(before, definition, words or "Rewrote the definition"), by, seen)

    def discard_draft(self, by: Any = None, seen: int | None = None) -> None:
        """Back to what runs; the way forward again is an undo."""
        if self.published:
            self.keep_draft(self.published.definition, by, seen, f"Went back to version {self.published.number}")

    def _again(self, *, is_undo: bool, seen: int | None) -> WorkflowEdit:
        with transaction.atomic():
            self._take(seen)
            edit = (self.edits.done() if is_undo else self.edits.undone()).first()
            if edit is None:
                raise EditError(f"There is nothing to {'undo' if is_undo else 'redo'}.")
            self._keep(apply(self.definition, edit.change.inverse() if is_undo else edit.change))
            edit.is_undone, edit.revision = is_undo, self.revision
            edit.save(update_fields=["is_undone", "revision"])
        return edit

    def _take(self, seen: int | None) -> None:
        """Holds the row against other writers, as it is now."""
        held = Workflow.objects.select_for_update()
        self.refresh_from_db(fields=["draft", "published", "revision"], from_queryset=held)
        if seen is not None and self.revision != seen:
            raise EditConflict

    def _keep(self, definition: Any) -> None:
        self.draft, self.revision = None if self._runs(definition) else definition, self.revision + 1
        self.save(update_fields=["draft", "revision", "updated_at"])

    # What runs

    def publish(
        self, definition: Any = None, by: Any = None, note: str = "", seen: int | None = None
    ) -> WorkflowVersion:
        """Makes `definition` (the draft where none is given) the version that runs from now on.

        Raises DefinitionError with every problem, and EditConflict where the draft has moved on since revision `seen`.
        Publishing what already runs makes no new version.
        """
        with transaction.atomic():
            if definition is None:
                self._take(seen)  # first: an edit that comes between reading and writing would be overwritten
                definition = self.definition
            refuse_errors(definition, self)
            self.keep_draft(definition, by, seen)
            version = self._version_of(definition, by, note)
            self.published, self.draft = version, None
            self.save(update_fields=["published", "draft", "updated_at"])
        return version

    def draft_version(self, definition: Any, by: Any = None, note: str = "") -> WorkflowVersion:
        """The version without a number that has this content, to try it; made at its first use.

        `note`: "up to Shout", where it is a part of the draft. Raises DefinitionError for what cannot run.
        """
        refuse_errors(definition, self)
        facts = {"definition": definition, "created_by": by, "note": note[:500]}
        # Two who try the same draft at once make one row: there is a constraint, and who comes second reads.
        return self.versions.get_or_create(number=None, digest=digest(definition), defaults=facts)[0]

    def archive(self) -> None:
        """Hides the workflow and stops new runs; its history stays until retention."""
        self.archived_at, self.is_active = self.archived_at or timezone.now(), False
        self.save(update_fields=["archived_at", "is_active", "updated_at"])

    def bring_back(self) -> None:
        """Out of the archive; off until somebody turns it on."""
        self.archived_at = None
        self.save(update_fields=["archived_at", "updated_at"])

    def copy(self, owner: Any) -> Workflow:
        """A workflow of this person's own, with what is being edited here as its draft."""
        name = f"Copy of {self.name}"[:200]
        names = ("description", "max_parallel", "time_zone", *LIMITS)
        shared = {name: getattr(self, name) for name in names}
        with transaction.atomic():
            made = Workflow.objects.create(name=name, owner=owner, **shared)
            made.keep_draft(self.definition, owner, words=f"Copied “{self.name}”")
            made.set_tags([tag.name for tag in self.tags.all()])
        return made

    def set_tags(self, names: list[str]) -> None:
        """Exactly these words, in lower case."""
        wanted = {" ".join(name.split()).lower()[:40] for name in names} - {""}
        with transaction.atomic():
            self.tags.exclude(name__in=wanted).delete()
            WorkflowTag.objects.bulk_create(
                [WorkflowTag(workflow=self, name=name) for name in sorted(wanted)], ignore_conflicts=True
            )

    def _version_of(self, definition: dict[str, Any], by: Any, note: str) -> WorkflowVersion:
        # keep_draft() holds the row, so two publishers take different numbers.
        if self.published and self._runs(definition):
            return self.published
        last = self.versions.aggregate(last=Max("number"))["last"] or 0
        return self.versions.create(definition=definition, number=last + 1, created_by=by, note=note)

    def _runs(self, definition: Any) -> bool:
        return self.published is not None and self.published.digest == digest(definition)


def refuse_errors(definition: Any, workflow: Workflow | None = None) -> None:
    errors = [problem for problem in definition_problems(definition, workflow) if problem.level == "error"]
    if errors:
        raise DefinitionError(errors)


def definition_problems(definition: Any, workflow: Workflow | None = None) -> list[Problem]:
    """Everything that is wrong with a definition: no JSON to be kept, structure, kinds, configs, handles, names; and
    what the `workflow` that it is for may not use."""
    try:
        require(definition, "definition")
    except InputError as error:
        return [Problem("graph.unkeepable", error.message, field=error.field)]
    if problems := check(definition):
        return problems
    graph = parse(definition)
    found = [*steps.problems(graph), *unknown_names(graph)]
    if workflow:
        found += [*unusable_secrets(graph, workflow), *unknown_variables(graph, workflow)]
    return sorted(found, key=lambda problem: problem.level)
