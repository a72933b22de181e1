"""The graph of a definition: parse, check, order. Pure, no Django; knows nothing of step kinds.

Source of the shape: what React Flow editors save, {"nodes": [{"id", "type", "data", …}], "edges": [{"source",
"target", "sourceHandle"?, …}]}. Unknown keys are left alone: the definition itself is what is stored.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workflows.errors import DefinitionError, Problem

NODE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
MAX_NODES = 2_000
MAX_EDGES = 10_000
OUT = "out"
ERROR = "error"  # by it leaves a step that failed, where its policy says so
EACH = "each"  # what is reachable by this handle is a body: it runs once for each item, as executions of their own


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    type: str
    data: dict[str, Any]

    @property
    def label(self) -> str:
        """What people call it; a label is shown in every row, so a very long one is cut."""
        return str(self.data.get("label") or self.id)[:200]


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    target: str
    handle: str = OUT


class Graph:
    """A checked graph. `nodes` keeps the order of the definition; `order` is topological, ties in that order."""

    def __init__(self, nodes: Iterable[Node], edges: Iterable[Edge], max_parallel: int = 8) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.edges = list(edges)
        self.max_parallel = max(1, max_parallel)
        self.incoming: dict[str, list[Edge]] = {node_id: [] for node_id in self.nodes}
        self.outgoing: dict[str, list[Edge]] = {node_id: [] for node_id in self.nodes}
        for edge in self.edges:
            self.incoming[edge.target].append(edge)
            self.outgoing[edge.source].append(edge)
        self.rank = {node_id: index for index, node_id in enumerate(self.nodes)}
        self.roots = [node_id for node_id, edges in self.incoming.items() if not edges]
        self.leaves = [node_id for node_id, edges in self.outgoing.items() if not edges]

    @cached_property
    def order(self) -> list[str]:
        """Node ids, every step after what it depends on. Shorter than `nodes` where there is a cycle."""
        missing = {node_id: len(edges) for node_id, edges in self.incoming.items()}
        ready = [self.rank[node_id] for node_id in self.roots]
        names = list(self.nodes)
        order: list[str] = []
        while ready:
            node_id = names[heapq.heappop(ready)]
            order.append(node_id)
            for edge in self.outgoing[node_id]:
                missing[edge.target] -= 1
                if not missing[edge.target]:
                    heapq.heappush(ready, self.rank[edge.target])
        return order

    def after(self, node_id: str) -> set[str]:
        """All that runs after a step."""
        return self._reached(edge.target for edge in self.outgoing[node_id])

    def before(self, node_id: str) -> set[str]:
        """All that has ended, in the same execution, when a step begins."""
        found: set[str] = set()
        left = [node_id]
        while left:
            new = {edge.source for edge in self.incoming[left.pop()]} - found
            found |= new
            left += new
        return {other for other in found if self.body_of(other) == self.body_of(node_id)}

    def body_of(self, node_id: str) -> str | None:
        """The step whose body it is in, the innermost one; None for a step that runs once."""
        around = [(len(inside), step) for step, inside in self.bodies.items() if node_id in inside]
        return min(around)[1] if around else None

    @cached_property
    def bodies(self) -> dict[str, set[str]]:
        """For each step that has one: the steps that run once for each of its items."""
        firsts: dict[str, list[str]] = {}
        for edge in self.edges:
            if edge.handle == EACH:
                firsts.setdefault(edge.source, []).append(edge.target)
        return {node_id: self._reached(targets) for node_id, targets in firsts.items()}

    @cached_property
    def inner(self) -> set[str]:
        """Every step that is in a body."""
        return set().union(*self.bodies.values())

    def within(self, body: str | None) -> Graph:
        """What one execution walks: a step's body, or all that is in no body. Bodies inside of it are left out."""
        if body is None and not self.bodies:
            return self
        inside = set(self.nodes) if body is None else self.bodies.get(body, set())
        inner = [steps for node_id, steps in self.bodies.items() if node_id in inside]
        return self._of(inside.difference(*inner))

    def inside(self, body: str | None) -> Graph:
        """What is drawn of one execution: a step's body, or everything; bodies inside of it as well."""
        return self if body is None else self._of(self.bodies.get(body, set()))

    def _of(self, kept: set[str]) -> Graph:
        nodes = (node for node in self.nodes.values() if node.id in kept)
        edges = (edge for edge in self.edges if edge.source in kept and edge.target in kept)
        return Graph(nodes, edges, self.max_parallel)

    def _reached(self, first: Iterable[str]) -> set[str]:
        found = set(first)
        left = list(found)
        while left:
            new = {edge.target for edge in self.outgoing[left.pop()]} - found
            found |= new
            left += new
        return found


def parse(definition: Any, max_parallel: int = 8) -> Graph:
    """The graph of a definition; raises DefinitionError with every structural problem that was found."""
    problems = list(check(definition))
    if problems:
        raise DefinitionError(problems)
    return _build(definition, max_parallel)


def sketch(definition: Any) -> Graph:
    """As parse(), for what is still being built: no steps are an empty graph."""
    is_empty = isinstance(definition, dict) and definition.get("nodes") in ([], None) and not definition.get("edges")
    return Graph([], []) if is_empty else parse(definition)


def check(definition: Any) -> list[Problem]:
    """Every structural problem: shape first, then ids and edges, then cycles; later rules need the earlier ones."""
    shape = _shape_problems(definition)
    if shape:
        return shape
    problems = [*_node_problems(definition["nodes"]), *_edge_problems(definition)]
    if problems:
        return problems
    graph = _build(definition)
    return _cycle_problems(graph) or list(_body_problems(graph))


def _build(definition: dict[str, Any], max_parallel: int = 8) -> Graph:
    nodes = (Node(node["id"], node["type"], node.get("data") or {}) for node in definition["nodes"])
    edges = (
        Edge(edge["source"], edge["target"], edge.get("sourceHandle") or OUT) for edge in definition.get("edges") or []
    )
    return Graph(nodes, edges, max_parallel)


def _shape_problems(definition: Any) -> list[Problem]:
    if not isinstance(definition, dict):
        return [Problem("graph.shape", "A definition is a JSON object with “nodes” and “edges”.")]
    nodes, edges = definition.get("nodes"), definition.get("edges", [])
    if not isinstance(nodes, list):
        return [Problem("graph.shape", "“nodes” must be a list of steps.", field="nodes")]
    if not isinstance(edges, list | None):
        return [Problem("graph.shape", "“edges” must be a list of connections.", field="edges")]
    if not nodes:
        return [Problem("graph.empty", "The workflow has no nodes to execute: add at least one step.", field="nodes")]
    edges = edges or []
    if len(nodes) > MAX_NODES or len(edges) > MAX_EDGES:
        sizes = f"{len(nodes):,} steps and {len(edges):,} connections"
        return [Problem("graph.too_large", f"{sizes}; at most {MAX_NODES:,} and {MAX_EDGES:,} are allowed.")]
    wrong_nodes = (_node_shape_problem(index, node) for index, node in enumerate(nodes))
    wrong_edges = (_edge_shape_problem(index, edge) for index, edge in enumerate(edges))
    return [problem for problem in (*wrong_nodes, *wrong_edges) if problem]


def _node_shape_problem(index: int, node: Any) -> Problem | None:
    where = f"nodes[{index}]"
    if not isinstance(node, dict):
        return Problem("graph.shape", f"{where} must be an object with “id”, “type” and “data”.", field=where)
    node_id = node.get("id")
    if not isinstance(node_id, str) or not NODE_ID.match(node_id):
        allowed = "1 to 64 letters, digits, “_” or “-”"
        return Problem(
            "graph.bad_id", f"{where} has the id {_quote(node_id)}; an id is {allowed}.", field=f"{where}.id"
        )
    if not isinstance(node.get("type"), str) or not node["type"]:
        return Problem("graph.shape", f"Step “{node_id}” needs a “type”.", node_id, "type")
    if not isinstance(node.get("data"), dict | None):
        return Problem("graph.shape", f"“data” of step “{node_id}” must be an object.", node_id, "data")
    return None


def _edge_shape_problem(index: int, edge: Any) -> Problem | None:
    where = f"edges[{index}]"
    if not isinstance(edge, dict) or not all(isinstance(edge.get(end), str) for end in ("source", "target")):
        return Problem("graph.shape", f"{where} must be an object with “source” and “target”.", field=where)
    if not isinstance(edge.get("sourceHandle"), str | None):
        return Problem("graph.shape", f"“sourceHandle” of {where} must be text or null.", field=where)
    return None


def _node_problems(nodes: list[dict[str, Any]]) -> Iterable[Problem]:
    seen: set[str] = set()
    for node in nodes:
        if node["id"] in seen:
            yield Problem("graph.duplicate_id", f"Two steps have the id “{node['id']}”; ids are unique.", node["id"])
        seen.add(node["id"])


def _edge_problems(definition: dict[str, Any]) -> Iterable[Problem]:
    known = {node["id"] for node in definition["nodes"]}
    for index, edge in enumerate(definition.get("edges") or []):
        for end in ("source", "target"):
            if edge[end] not in known:
                text = f"edges[{index}] names {_quote(edge[end])} as its {end}, but there is no such step."
                yield Problem("graph.unknown_node", text, edge[end][:64], f"edges[{index}].{end}")


def _cycle_problems(graph: Graph) -> list[Problem]:
    if len(graph.order) == len(graph.nodes):
        return []
    loop = _find_cycle(graph)
    path = " → ".join(f"“{node_id}”" for node_id in [*loop, loop[0]])
    return [Problem("graph.cycle", f"The steps form a cycle: {path}. A step cannot run after itself.", loop[0])]


def _body_problems(graph: Graph) -> Iterable[Problem]:
    """A body is closed: the only way into it is from the step whose items it is for."""
    for owner, body in graph.bodies.items():
        for edge in graph.edges:
            is_door = edge.source == owner and edge.handle == EACH
            if edge.target in body and edge.source not in body and not is_door:
                source, target, loop = (graph.nodes[name].label for name in (edge.source, edge.target, owner))
                text = (
                    f"“{target}” runs once for each item of “{loop}”, and “{source}”, which leads there, does not. "
                    f"What comes after all items follows “{loop}” by “done”."
                )
                yield Problem("graph.open_body", text, edge.target)


def _find_cycle(graph: Graph) -> list[str]:
    """One cycle, by walking backwards among the nodes that no order could place: each has such a predecessor."""
    stuck = set(graph.nodes) - set(graph.order)
    node_id = next(node_id for node_id in graph.nodes if node_id in stuck)
    path: list[str] = []
    while node_id not in path:
        path.append(node_id)
        node_id = next(edge.source for edge in graph.incoming[node_id] if edge.source in stuck)
    return path[path.index(node_id) :][::-1]


def _quote(value: Any) -> str:
    return f"“{str(value)[:80]}”" if value is not None else "nothing"
