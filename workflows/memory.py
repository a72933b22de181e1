"""What the last executions leave for who builds: what expressions could have named at a step.

This room never runs anything and does not know the next one, so that one puts its own `recall` here when it starts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from workflows.expressions import Chain
from workflows.graph import Graph
from workflows.models import Workflow


class Withheld(str):
    """Stands in for a value that is too large to be looked at here: its size, in words."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """`scope`: by expressions.ROOTS, of those of which something is known; a Withheld for what is too large.
    `execution`: the newest that it comes from; None where there was none yet."""

    scope: dict[str, Any] = field(default_factory=dict)
    execution: int | None = None


class Recall(Protocol):
    """`named`: what expressions ask for; None: everything, as far as it is small."""

    def __call__(
        self, workflow: Workflow, graph: Graph, node_id: str, named: Collection[Chain] | None = None
    ) -> Memory: ...


def _nothing(workflow: Workflow, graph: Graph, node_id: str, named: Collection[Chain] | None = None) -> Memory:
    return Memory()


_source: list[Recall] = [_nothing]


def learn_from(source: Recall) -> None:
    _source[:] = [source]


def recalled(workflow: Workflow, graph: Graph, node_id: str, named: Collection[Chain] | None = None) -> Memory:
    """Who may see the executions of a workflow is who may see the workflow: the caller has asked."""
    return _source[0](workflow, graph, node_id, named)
