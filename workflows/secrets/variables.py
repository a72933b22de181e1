"""Variables that expressions name and that their workflow has not. A warning, since they may still come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from workflows import steps
from workflows.errors import Problem
from workflows.expressions import variables_named
from workflows.graph import Graph, Node
from workflows.models.variable import Variable

if TYPE_CHECKING:
    from workflows.models.workflow import Workflow


def unknown_variables(graph: Graph, workflow: Workflow) -> list[Problem]:
    """A query or two, and none where no expression names a variable."""
    named = [(node, field, name) for node in graph.nodes.values() for field, name in _named(node)]
    if not named:
        return []
    wanted = {name for _, _, name in named}
    known = Variable.objects.filter(name__in=wanted).by_name(workflow)
    return [
        Problem("step.variable", _sentence(node, name), node.id, field, "warning")
        for node, field, name in named
        if name not in known
    ]


def _named(node: Node) -> Iterable[tuple[str, str]]:
    for one in steps.recipe_of(node).expressions:
        for name in sorted(variables_named([one])):
            yield ".".join(map(str, one.place)), name


def _sentence(node: Node, name: str) -> str:
    return f"Step “{node.label}” reads vars.{name[:64]}, and this workflow has no variable of that name."
