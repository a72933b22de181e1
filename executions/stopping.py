"""How an execution was cancelled, as its journal proves it: asked when and by whom, how each step stopped, and when all
of it had. Pure: no Django.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.planner import Entry, State
from workflows.graph import Graph

MOST = 25  # steps that are told one by one
STOPPING = frozenset({"cancelled", "abandoned", "completed", "failed"})


@dataclass(frozen=True, slots=True)
class Stop:
    """How one step stopped, `after_ms` since it was asked for; None: it has not stopped yet."""

    node: str
    label: str
    look: str
    how: str
    after_ms: float | None


@dataclass(frozen=True, slots=True)
class Proof:
    """`stopped`, `stopping`: children that have ended by it, and those that have not yet."""

    asked_at: datetime
    by: str
    stops: tuple[Stop, ...]
    more: int
    ended_at: datetime | None
    stopped: int = 0
    stopping: int = 0

    @property
    def took_ms(self) -> float | None:
        return _ms(self.ended_at - self.asked_at) if self.ended_at else None


def proof(entries: Iterable[Entry], graph: Graph, state: State, stopped: int = 0, stopping: int = 0) -> Proof | None:
    """`entries`: those of the journal from the request on. None where there was no request."""
    asked = ended = None
    stops: list[Stop] = []
    for entry in entries:
        if entry.kind == "cancel_requested":
            asked = asked or entry
        elif asked and entry.kind == "finished":
            ended = entry.at
        elif asked and entry.node and entry.kind in STOPPING:
            stops.append(_stop(entry, asked.at, graph, state))
    if asked is None:
        return None
    going = [_going(node_id, graph) for node_id in state.active if state.status is None]
    told = [*going, *stops]
    by = str((asked.data or {}).get("by") or "")
    return Proof(asked.at, by, tuple(told[:MOST]), len(told[MOST:]), ended, stopped, stopping)


def _stop(entry: Entry, asked_at: datetime, graph: Graph, state: State) -> Stop:
    assert entry.node is not None
    return Stop(entry.node, _label(entry.node, graph), *_how(entry, state), _ms(entry.at - asked_at))


def _how(entry: Entry, state: State) -> tuple[str, str]:
    """(look, words)"""
    reason = str((entry.data or {}).get("reason") or "")
    match entry.kind:
        case "completed":
            return "completed", "It had just ended by itself."
        case "failed":
            return "failed", "It failed at that moment."
        case "abandoned":
            return "waiting", reason or "It could not be stopped; what it answers is refused."
    if entry.took_ms is not None:
        return "cancelled", f"Its task was cancelled; it ended with {reason}." if reason else "Its task was cancelled."
    node = state.nodes.get(entry.node or "")
    if node and node.waits_for == "child":
        return "cancelled", "It waited for executions of its own, and they were told to stop."
    return "cancelled", "It was waiting: there was nothing to stop."


def _going(node_id: str, graph: Graph) -> Stop:
    return Stop(node_id, _label(node_id, graph), "running", "It has been told to stop.", None)


def _label(node_id: str, graph: Graph) -> str:
    return graph.nodes[node_id].label if node_id in graph.nodes else node_id


def _ms(span: timedelta) -> float:
    return max(0.0, span.total_seconds() * 1000)
