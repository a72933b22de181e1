"""The ways by which a step can be left, and what follows by each: for the builder. No Django."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.errors import EditError
from workflows.graph import ERROR, OUT, Edge, Graph, Node
from workflows.steps import handles_of, way


@dataclass(frozen=True, slots=True)
class Way:
    """`followers`: (id, label) of the steps that come next. `is_lost`: the step cannot be left by it any more."""

    handle: str
    words: str
    followers: tuple[tuple[str, str], ...]
    is_lost: bool = False


def ways(graph: Graph, node: Node) -> list[Way]:
    """All that the step has, then those that only its connections still name."""
    handles = handles_of(node)
    lost = dict.fromkeys(edge.handle for edge in graph.outgoing[node.id] if edge.handle not in handles)
    return [_way(graph, node, handle) for handle in handles] + [_way(graph, node, handle, True) for handle in lost]


def free(graph: Graph, node: Node) -> str:
    """Where the next step most likely goes: by the first way that leads nowhere yet, else by the first. A failure is
    never the way that somebody takes for granted."""
    handles, taken = handles_of(node), {edge.handle for edge in graph.outgoing[node.id]}
    return next((handle for handle in handles if handle not in taken and handle != ERROR), handles[0])


def chosen(graph: Graph, node_id: str, handle: str) -> str:
    """The way that was asked for; raises EditError where the step has none like this. Empty: the free one."""
    node = graph.nodes.get(node_id)
    if node is None:
        return handle or OUT
    if handle and handle not in handles_of(node):
        has = ", ".join(f"“{way(node, one)}”" for one in handles_of(node))
        raise EditError(f"“{node.label}” has no way “{handle[:64]}”; it has {has}.")
    return handle or free(graph, node)


def end(graph: Graph, edge: Edge) -> str:
    """ "Urgent? (true)": the step that a connection leaves, and by which of its ways."""
    node = graph.nodes[edge.source]
    return node.label if edge.handle == OUT else f"{node.label} ({way(node, edge.handle)})"


def _way(graph: Graph, node: Node, handle: str, is_lost: bool = False) -> Way:
    targets = dict.fromkeys(edge.target for edge in graph.outgoing[node.id] if edge.handle == handle)
    return Way(handle, way(node, handle), tuple((one, graph.nodes[one].label) for one in targets), is_lost)
