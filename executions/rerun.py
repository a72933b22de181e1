"""What running an execution again from a step means, before anybody does it: what is reused, what runs again, and
which of that has effects outside. Pure: no Django; the journal's entries come in, entries for the new one go out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from executions.planner import Entry, State
from workflows import steps
from workflows.blueprint import Blueprint

Reused = tuple[str, int | None, dict[str, Any]]  # step, attempt, what it made as the journal keeps it


@dataclass(frozen=True, slots=True)
class Plan:
    """Step ids, each list in an order in which they can run. `outside`: those of `again` that reach out of here."""

    reused: list[str]
    again: list[str]
    outside: list[str]


def plan(blueprint: Blueprint, state: State, from_node: str | None) -> Plan:
    """From that step on; None: from the beginning."""
    graph, reused, again = blueprint.graph, list[str](), list[str]()
    redone: set[str] = set(graph.nodes) if from_node is None else {from_node}
    for node_id in graph.order:
        status = state.nodes[node_id].status if node_id in state.nodes else None
        is_stale = any(edge.source in redone for edge in graph.incoming[node_id])
        if node_id in redone or is_stale or status not in ("completed", "skipped"):
            redone.add(node_id)
            again.append(node_id)
        elif status == "completed":
            reused.append(node_id)
    return Plan(reused, again, [node_id for node_id in again if _reaches_out(blueprint, node_id)])


def reused_entries(entries: Iterable[Entry], reused: Iterable[str]) -> list[Reused]:
    """For each reused step, in the order in which they ended: what completed it last."""
    wanted, found = set(reused), dict[str, Reused]()
    for entry in entries:
        made = _made(entry)
        if entry.node in wanted and made is not None:
            found.pop(entry.node, None)
            found[entry.node] = (entry.node, entry.attempt, made)
    return list(found.values())


def _made(entry: Entry) -> dict[str, Any] | None:
    if entry.kind in ("completed", "reused"):
        return dict(entry.data)
    return entry.data.get("output") if entry.kind == "repaired" else None


def _reaches_out(blueprint: Blueprint, node_id: str) -> bool:
    """Itself, or a step that runs for each of its items."""
    inside = {node_id, *blueprint.whole.bodies.get(node_id, ())}
    return any(steps.kind_of(blueprint.whole.nodes[one]).effects == "outside" for one in inside)
