"""A published definition, ready to be walked: its graph and its steps, made once and shared by all executions."""

from __future__ import annotations

from typing import Any

from workflows import steps
from workflows.graph import Graph, parse


class Blueprint:
    def __init__(self, definition: Any, max_parallel: int) -> None:
        """Raises DefinitionError where the definition has no steps or a broken structure."""
        self.graph: Graph = parse(definition, max_parallel)
        self._steps: dict[str, steps.AnyStep] = {}

    def step(self, node_id: str) -> steps.AnyStep:
        """Raises ValidationError where the kind's Config has become stricter since the version was published."""
        if node_id not in self._steps:
            self._steps[node_id] = steps.make(self.graph.nodes[node_id])
        return self._steps[node_id]
