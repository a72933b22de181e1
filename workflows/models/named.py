"""What secrets and variables have in common: a name, an owner, a group, and which workflows may use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from workflows.errors import InputError
from workflows.steps.secret_name import NAME, RULE

if TYPE_CHECKING:
    from workflows.models.workflow import Workflow  # which asks secrets whether it may be published

Row = TypeVar("Row", bound="Named")


class NamedQuerySet(models.QuerySet[Row]):
    def usable_by(self, workflow: Workflow) -> NamedQuerySet[Row]:
        """Those of its owner, and those of its group where its owner is a member of that now. A workflow acts with the
        rights of its owner: without one it has none here."""
        return self.filter(self.reach(workflow))

    def reach(self, workflow: Workflow) -> Q:
        if workflow.owner is None:
            return Q(pk__in=[])
        groups = Group.objects.filter(pk__in=[workflow.group_id] if workflow.group_id else [])
        groups = groups if workflow.owner.is_superuser else groups.filter(user=workflow.owner)
        return Q(owner=workflow.owner_id) | Q(group__in=groups)

    def by_name(self, workflow: Workflow) -> dict[str, Row]:
        """What each name means in a workflow: its owner's own before its group's, those before everybody's."""
        rows = sorted(self.usable_by(workflow), key=lambda row: _nearness(row, workflow))
        return {row.name: row for row in rows}

    def meant_by(self, name: str, workflow: Workflow) -> Row | None:
        return self.filter(name=name).by_name(workflow).get(name)


def _nearness(row: Named, workflow: Workflow) -> int:
    owner_id = getattr(row, "owner_id", None)
    return 2 if owner_id == workflow.owner_id else 1 if owner_id is not None else 0


class Named(models.Model):
    name = models.CharField(max_length=64)
    group = models.ForeignKey("auth.Group", models.PROTECT, null=True, blank=True, related_name="%(class)ss")
    description = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


def clean_name(name: str, word: str) -> str:
    """Raises InputError. A name is never changed: workflows know the row by it."""
    if not NAME.fullmatch(name):
        raise InputError(f"“{name[:80]}” is no name of a {word}: that has {RULE}.", "name")
    return name


def refuse_taken(rows: Any, name: str, owner: Any, word: str) -> None:
    """A name means one thing to its owner, and one to everybody: raises InputError."""
    if rows.filter(name=name, owner=owner).exists():
        whose = "Everybody has" if owner is None else f"{owner.get_username()} has"
        raise InputError(f"{whose} a {word} “{name}” already. Change that one, or choose another name.", "name")


def refuse_taken_in(rows: Any, name: str, group: Any, word: str) -> None:
    """And one to a group: raises InputError with who has it."""
    if group and (other := rows.filter(name=name, group=group).select_related("owner").first()):
        of = f", of {other.owner.get_username()}" if other.owner else ""
        raise InputError(f"The group {group.name} has a {word} “{name}” already{of}. Choose another name.", "group")
