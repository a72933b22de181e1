"""Which secrets a definition names, and where: read out of the settings that are names of secrets. No Django."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from workflows.config import looks
from workflows.graph import Graph, Node
from workflows.steps import kind_of

LOOK = "secret"


@dataclass(frozen=True, slots=True)
class Mention:
    node: Node
    field: str
    name: str


def secrets_named(graph: Graph) -> list[Mention]:
    """In the order of the steps. A text that is no name stands there too: it is no secret's."""
    return [
        Mention(node, field, value)
        for node in (graph.nodes[node_id] for node_id in graph.order)
        for field, value in _named(kind_of(node).Config, node.data, "")
    ]


def _named(config: type[BaseModel], data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, info in config.model_fields.items():
        value, look = data.get(name), looks(info)
        if look == LOOK and isinstance(value, str) and value:
            yield f"{prefix}{name}", value
        elif look == "rows" and isinstance(value, list):
            model = get_args(info.annotation)[0]
            for number, row in enumerate(value):
                if isinstance(row, dict):
                    yield from _named(model, row, f"{prefix}{name}.{number}.")
