"""Parts of a definition, to try them: everything up to a step, or one step alone. Pure: no Django.

Both take a definition of sound structure (graph.check) and keep whatever they do not know.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from workflows.graph import parse

Definition = dict[str, Any]
ALONE = "only"  # how the note of a version begins that is one step alone: its input is no workflow's input


def up_to(definition: Definition, node_id: str) -> Definition:
    """The step, and all that lead to it. Raises KeyError for an unknown step."""
    graph, kept = parse(definition), {node_id}
    coming = list(graph.incoming[node_id])
    while coming:
        source = coming.pop().source
        if source not in kept:
            kept.add(source)
            coming += graph.incoming[source]
    return _kept(definition, kept)


def only(definition: Definition, node_id: str) -> Definition:
    """That step alone: what it gets is then the execution's own input. Raises KeyError for an unknown step."""
    parse(definition).nodes[node_id]
    return _kept(definition, {node_id})


def _kept(definition: Definition, node_ids: Collection[str]) -> Definition:
    nodes = [node for node in definition["nodes"] if node["id"] in node_ids]
    edges = definition.get("edges") or []
    inside = [edge for edge in edges if edge["source"] in node_ids and edge["target"] in node_ids]
    return {**definition, "nodes": nodes, "edges": inside}
