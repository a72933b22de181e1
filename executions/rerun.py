"""What running an execution again from a step means, before anybody does it: what is reused, what runs again, and
which of that has effects outside. Pure: no Django; the journal's entries come in, entries for the new one go out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from executions.data import Data, instead, repaired_input
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
    """For each reused step, in the order in which they ended: what completed it last.

    Of steps whose input was repaired, the entries must be whole: see large.filled().
    """
    wanted, found, given = set(reused), dict[str, Reused](), dict[str, Data]()
    for entry in entries:
        if entry.node not in wanted or entry.node is None:
            continue
        if is_given(entry):
            given[entry.node] = repaired_input(entry)
        elif (made := _made(entry)) is not None:
            if entry.node in given:  # it ran on data that no step before it has made
                made = instead(given[entry.node], entry)
            found.pop(entry.node, None)
            found[entry.node] = (entry.node, entry.attempt, made)
    return list(found.values())


def is_given(entry: Entry) -> bool:
    """Somebody changed the input of this step."""
    return entry.kind == "repaired" and entry.node is not None and "input" in entry.data


def _made(entry: Entry) -> dict[str, Any] | None:
    if entry.kind in ("completed", "reused"):
        return dict(entry.data)
    return entry.data.get("output") if entry.kind == "repaired" else None


def _reaches_out(blueprint: Blueprint, node_id: str) -> bool:
    """Itself, or a step that runs for each of its items."""
    inside = {node_id, *blueprint.whole.bodies.get(node_id, ())}
    return any(steps.reaches_out(blueprint.whole.nodes[one]) for one in inside)
