"""What an execution asks of the world outside, as its page shows it: open questions, and how the others ended. Pure.

The same for whoever looks; the form to answer stands in the page's shell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from executions.planner import NodeState, State
from workflows.graph import Graph

ANSWERED_OUTSIDE = ("approval", "callback")


@dataclass(frozen=True, slots=True)
class Asking:
    """`kind`: approval or callback. `verdict`: approved, rejected, called, expired; empty while it is open."""

    node_id: str
    label: str
    attempt: int
    kind: str
    verdict: str = ""
    by: str = ""
    comment: str = ""
    at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return not self.verdict

    @property
    def look(self) -> str:
        """The state whose icon it wears."""
        return {"approved": "completed", "called": "completed", "rejected": "failed"}.get(self.verdict, "cancelled")


def asked(graph: Graph, state: State) -> list[Asking]:
    """In the order of the definition. Nothing is open once the execution is to end."""
    found = [
        _asking(graph, state, node_id, node)
        for node_id, node in state.nodes.items()
        if node.waits_for in ANSWERED_OUTSIDE and node_id in graph.nodes
    ]
    return sorted((one for one in found if one), key=lambda one: graph.rank[one.node_id])


def _asking(graph: Graph, state: State, node_id: str, node: NodeState) -> Asking | None:
    told = (node_id, graph.nodes[node_id].label, node.attempt, node.waits_for or "")
    if node.status == "waiting":
        return None if state.is_stopping else Asking(*told)
    if node.has_lapsed:
        return Asking(*told, "expired", at=node.ended_at or node.until)
    if node.answer is None:
        return None
    if node.waits_for == "callback":
        return Asking(*told, "called", at=node.ended_at)
    answer = node.answer if isinstance(node.answer, dict) else {}
    verdict = "approved" if answer.get("approved") else "rejected"
    return Asking(*told, verdict, str(answer.get("by") or ""), str(answer.get("comment") or ""), node.ended_at)
