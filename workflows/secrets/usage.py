"""Which workflows use a secret or a variable: those whose draft, or what runs of them, names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, TextField
from django.db.models import Value as Constant
from django.db.models.functions import Cast, Coalesce

from workflows import steps
from workflows.errors import DefinitionError
from workflows.expressions import variables_named
from workflows.graph import Graph, sketch
from workflows.models import Secret, Variable, Workflow
from workflows.permissions import visible_to
from workflows.secrets.mentions import secrets_named

Row = Secret | Variable


@dataclass(slots=True)
class Usage:
    """`workflows`: those that the person may see, as (number, name). `hidden`: how many others."""

    workflows: list[tuple[int, str]] = field(default_factory=list)
    hidden: int = 0

    @property
    def count(self) -> int:
        return len(self.workflows) + self.hidden


def usage(row: Row, user: Any) -> Usage:
    return usages([row], user)[row.pk]


def usages(rows: Sequence[Row], user: Any) -> dict[int, Usage]:
    """For rows of one kind, by their number. One pass over the definitions that may name any of them."""
    found = {row.pk: Usage() for row in rows}
    if not rows:
        return found
    seen = set(visible_to(user).values_list("pk", flat=True))
    taken: set[Any] = set(
        type(rows[0]).objects.filter(name__in={row.name for row in rows}).values_list("owner", "name")
    )
    for workflow in _candidates(rows):
        names = _named(rows[0], (workflow["now"], workflow["next"]))
        for row in rows:
            if row.name in names and _is_meant(row, workflow, taken):
                _note(found[row.pk], workflow, is_seen=workflow["pk"] in seen)
    return found


def _note(usage: Usage, workflow: dict[str, Any], *, is_seen: bool) -> None:
    if is_seen:
        usage.workflows.append((workflow["pk"], workflow["name"]))
    else:
        usage.hidden += 1


def _candidates(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Whose text holds one of the names at all, among the workflows that could mean one of these rows."""
    workflows: Any = Workflow.objects.listed().order_by("name", "pk")
    if all(row.owner_id is not None for row in rows):
        groups = {row.group_id for row in rows} - {None}
        workflows = workflows.filter(Q(owner__in={row.owner_id for row in rows}) | Q(group__in=groups))
    empty = Constant("", TextField())
    texts = {
        "now": Coalesce(Cast("published__definition", TextField()), empty),
        "next": Coalesce(Cast("draft", TextField()), empty),
    }
    names = {row.name for row in rows}
    held = reduce(or_, (Q(now__contains=name) | Q(next__contains=name) for name in names))
    facts = workflows.annotate(**texts).filter(held).values("pk", "name", "now", "next", "owner_id", "group_id")
    return facts.iterator()


def _named(row: Row, texts: Iterable[str]) -> set[str]:
    """What is read out of the definitions themselves: a name may stand in any text."""
    names_in = _variables_in if isinstance(row, Variable) else _secrets_in
    return {name for text in texts if text for name in _names(text, names_in)}


def _names(text: str, names_in: Callable[[Graph], set[str]]) -> set[str]:
    try:
        return names_in(sketch(json.loads(text)))
    except (DefinitionError, ValueError, RecursionError):
        return set()  # a draft that is too broken to be read names nothing


def _secrets_in(graph: Graph) -> set[str]:
    return {mention.name for mention in secrets_named(graph)}


def _variables_in(graph: Graph) -> set[str]:
    return {name for node in graph.nodes.values() for name in variables_named(steps.recipe_of(node).expressions)}


def _is_meant(row: Row, workflow: dict[str, Any], taken: set[Any]) -> bool:
    """The nearest of its name: the owner's own, the group's, everybody's. As Named.by_name() has it."""
    if row.owner_id == workflow["owner_id"]:
        return True
    if (workflow["owner_id"], row.name) in taken:
        return False
    if row.owner_id is None:
        return True
    return row.group_id is not None and row.group_id == workflow["group_id"] and workflow["owner_id"] is not None
