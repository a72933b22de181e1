"""People and groups that a definition asks, and that are not here. A warning, since they may still come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from workflows.errors import Problem
from workflows.graph import Graph
from workflows.steps import kind_of
from workflows.steps.approval import Approval


def unknown_names(graph: Graph) -> list[Problem]:
    """At most two queries, and none where no step asks anybody by name."""
    asking = [node for node in graph.nodes.values() if issubclass(kind_of(node), Approval)]
    people = {node.id: _names(node.data.get("people")) for node in asking}
    groups = {node.id: _names(node.data.get("groups")) for node in asking}
    users = _known(get_user_model().objects, "username", people.values())
    teams = _known(Group.objects, "name", groups.values())
    strangers = [
        *(
            (node, name, "people", "and nobody here is called so")
            for node in asking
            for name in people[node.id] - users
        ),
        *((node, name, "groups", "a group that is not here") for node in asking for name in groups[node.id] - teams),
    ]
    return [
        Problem("step.unknown_name", f"Step “{node.label}” asks “{name[:80]}”, {why}.", node.id, field, "warning")
        for node, name, field, why in sorted(strangers, key=lambda one: (graph.rank[one[0].id], one[1]))
    ]


def _names(given: Any) -> set[str]:
    return {name for name in given if isinstance(name, str)} if isinstance(given, list) else set()


def _known(rows: Any, field: str, wanted: Iterable[set[str]]) -> set[str]:
    names = set().union(*wanted)
    return set(rows.filter(**{f"{field}__in": names}).values_list(field, flat=True)) if names else set()
