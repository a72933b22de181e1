"""The children of a step, counted for its page: three looks into small indices, however many there are."""

from __future__ import annotations

from dataclasses import dataclass

from executions import children
from executions.models import WorkflowExecution
from executions.planner import State
from workflows.graph import Graph
from workflows.permissions import shows
from workflows.words import count

MOST = 20  # steps whose children are counted
NAMED = ("status", "workflow__name", "workflow__owner_id", "workflow__group_id")


@dataclass(frozen=True, slots=True)
class Tally:
    """`node` has `total` children to run, of which `made` have begun and `live` are under way.

    `called`: the one execution of a called workflow; `name` and `status` are its own. Without `name` it is one that
    not everybody may see who sees this here.
    """

    node: str
    label: str
    total: int
    made: int = 0
    live: int = 0
    failed: int = 0
    cancelled: int = 0
    called: int | None = None
    name: str = ""
    status: str = ""
    is_call: bool = False

    @property
    def done(self) -> int:
        return self.made - self.live

    @property
    def percent(self) -> float:
        return round(100 * self.done / self.total, 1) if self.total else 100

    @property
    def bad_percent(self) -> float:
        return round(100 * (self.failed + self.cancelled) / self.total, 1) if self.total else 0

    @property
    def completed(self) -> int:
        return self.done - self.failed - self.cancelled

    @property
    def of_name(self) -> str:
        return f" of {self.name}" if self.name else ""

    @property
    def words(self) -> str:
        if self.is_call:
            return f"#{self.called}{self.of_name}" if self.called else "another workflow"
        return f"{self.done:,} of {count(self.total, 'item')}"


def tallies(execution: WorkflowExecution, graph: Graph, state: State) -> dict[str, Tally]:
    """By the step whose children they are."""
    parents = [node_id for node_id, node in state.nodes.items() if node.waits_for == "child"]
    return {node_id: _tally(execution, graph, state, node_id) for node_id in parents[:MOST] if node_id in graph.nodes}


def _tally(execution: WorkflowExecution, graph: Graph, state: State, node_id: str) -> Tally:
    node, label = state.nodes[node_id], graph.nodes[node_id].label
    rows = children.of(execution.pk, node_id, node.attempt)
    if node.items is None:
        called = rows.select_related("workflow").only(*NAMED).first()
        if called is None:
            return Tally(node_id, label, 1, is_call=True)
        name = called.workflow.name if shows(execution.workflow, called.workflow) else ""
        return Tally(node_id, label, 1, called=called.pk, name=name, status=called.status, is_call=True)
    step = (execution.pk, node_id, node.attempt)
    survey = children.count(*step)
    failed = children.failed(*step) if survey.bad else 0
    return Tally(node_id, label, node.items, survey.last + 1, survey.live, failed, survey.bad - failed)
