"""The one place for rights: who may see a workflow and what they may do with it.

The owner may do everything; members of its group may view, run and edit; a workflow without owner (an example) may
be viewed and run by everybody who is signed in. Superusers may do everything. Executions inherit all of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from django.db.models import Q, QuerySet

from workflows.models import Workflow

Verb = Literal["view", "run", "edit", "administer"]


def visible_to(user: Any) -> QuerySet[Workflow]:
    """The workflows that `user` may view, archived ones included: their history stays."""
    return Workflow.objects.filter(visible(user))


def visible(user: Any, path: str = "") -> Q:
    """The same as a condition, for rows that reach their workflow by `path` (such as "workflow__")."""
    if not user.is_authenticated or not user.is_active:
        return Q(pk__in=[])
    if user.is_superuser:
        return Q()
    mine = Q(**{f"{path}owner": user}) | Q(**{f"{path}group__in": user.groups.all()})
    return mine | Q(**{f"{path}owner": None, f"{path}group": None})


def can(user: Any, verb: Verb, workflow: Workflow) -> bool:
    return workflow in permitted(user, verb, [workflow])


def permitted(user: Any, verb: Verb, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Those of `workflows` with which `user` may do this: the same rule for a whole page, in at most one query."""
    if not user.is_authenticated or not user.is_active:
        return []
    if user.is_superuser:
        return list(workflows)
    shared = any(workflow.group_id is not None and workflow.owner_id != user.pk for workflow in workflows)
    groups = set(user.groups.values_list("pk", flat=True)) if shared else set()
    return [workflow for workflow in workflows if _may(user, verb, workflow, groups)]


def _may(user: Any, verb: Verb, workflow: Workflow, groups: set[int]) -> bool:
    if workflow.owner_id == user.pk:
        return True
    if workflow.group_id in groups:
        return verb != "administer"
    return workflow.owner_id is None and workflow.group_id is None and verb in ("view", "run")


def may_start(workflow: Workflow, other: Workflow) -> bool:
    """Whether one workflow may set another going: it acts with the rights of its owner, as they are now. One without
    owner reaches only what is everybody's."""
    if workflow.pk == other.pk:
        return True
    if workflow.owner is None:
        return other.owner_id is None and other.group_id is None
    return can(workflow.owner, "run", other)


def startable(user: Any, workflow: Workflow) -> QuerySet[Workflow]:
    """What `user` may let this workflow set going: what they see themselves, and may_start() allows."""
    everybodys = Q(owner=None, group=None)
    owners = visible(workflow.owner) if workflow.owner else everybodys
    return visible_to(user).filter(owners | Q(pk=workflow.pk))


def may_change(user: Any, row: Any) -> bool:
    """Whether somebody may change this secret or variable. Members of its group use it, and see its name."""
    return bool(user.is_authenticated and user.is_active and (user.is_superuser or row.owner_id == user.pk))


def shows(workflow: Workflow, other: Workflow) -> bool:
    """Whether everybody who may see `workflow` may see `other` too: what both kinds of viewers get may name it."""
    if other.owner_id is None and other.group_id is None:
        return True
    if workflow.owner_id is None and workflow.group_id is None:
        return False
    return workflow.owner_id in (None, other.owner_id) and workflow.group_id in (None, other.group_id)


def why_not(verb: Verb, workflow: Workflow) -> str:
    """For somebody who may see the workflow but not `verb` it: the right that is missing, and who can give it."""
    if workflow.owner_id is None and workflow.group_id is None:
        return f"“{workflow.name}” is an example for everybody: only an administrator of this server may {verb} it."
    giver = f"its owner {workflow.owner.get_username()}" if workflow.owner else "an administrator of this server"
    if verb == "administer":
        return f"Only {giver} may do this with “{workflow.name}”. Members of its group may run and edit it."
    return f"You may not {verb} “{workflow.name}”. Ask {giver} to share it with a group that you are in."
