"""A variable: a named JSON value that steps read as vars.<name>. Everybody who may use it may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Q

from workflows.errors import InputError
from workflows.models.named import Named, NamedQuerySet, clean_name, refuse_taken, refuse_taken_in
from workflows.values import require
from workflows.words import as_json

if TYPE_CHECKING:
    from workflows.models.workflow import Workflow

MOST_BYTES = 64 * 1024


class VariableQuerySet(NamedQuerySet["Variable"]):
    def reach(self, workflow: Workflow) -> Q:
        """Those without owner are for all workflows."""
        return super().reach(workflow) | Q(owner=None, group=None)

    def values_for(self, workflow: Workflow) -> dict[str, Any]:
        """What vars.<name> gives in this workflow."""
        return {name: row.value for name, row in self.by_name(workflow).items()}

    def make(
        self, owner: Any, name: str, value: Any, *, group: Any = None, description: str = "", by: Any = None
    ) -> Variable:
        """`owner` None: for everybody. Raises InputError with the field that is wrong."""
        clean_name(name, "variable")
        facts = {"name": name, "owner": owner, "group": group, "description": description}
        refuse_taken(self, name, owner, "variable")
        refuse_taken_in(self, name, group, "variable")
        try:
            with transaction.atomic():
                return self.create(value=clean_value(value), updated_by=by or owner, **facts)
        except IntegrityError:
            raise InputError(f"There is a variable “{name}” already.", "name") from None


class Variable(Named):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="variables")
    value = models.JSONField()

    objects = VariableQuerySet.as_manager()

    class Meta:
        ordering = ("name", "pk")
        constraints = (
            models.UniqueConstraint(fields=["owner", "name"], name="one_variable_a_name"),
            models.UniqueConstraint(
                fields=["group", "name"], name="one_variable_a_name_and_group", condition=Q(group__isnull=False)
            ),
            models.UniqueConstraint(fields=["name"], name="one_variable_for_all", condition=Q(owner__isnull=True)),
            models.CheckConstraint(
                condition=Q(owner__isnull=False) | Q(group__isnull=True), name="a_variable_for_all_has_no_group"
            ),
        )

    def change(self, value: Any, *, group: Any, description: str, by: Any) -> None:
        """Everything but its name. Raises InputError."""
        if group and group.pk != self.group_id:
            refuse_taken_in(Variable.objects.exclude(pk=self.pk), self.name, group, "variable")
        self.value, self.group, self.description, self.updated_by = clean_value(value), group, description, by
        self.save(update_fields=["value", "group", "description", "updated_by", "updated_at"])

    @property
    def kind(self) -> str:
        """As people choose it: text, number, yes or no, JSON."""
        if isinstance(self.value, bool):
            return "boolean"
        return "text" if isinstance(self.value, str) else "number" if isinstance(self.value, int | float) else "json"

    @property
    def shown(self) -> str:
        """As people write it."""
        if self.kind == "boolean":
            return "yes" if self.value else "no"
        return self.value if self.kind == "text" else as_json(self.value)


def clean_value(value: Any) -> Any:
    """Raises InputError."""
    return require(value, "value", MOST_BYTES)
