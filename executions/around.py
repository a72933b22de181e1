"""What an execution's page shows that its own journal does not tell alone: its children, what holds it up, and what
became of a cancel. Reads a few rows, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from executions import spending
from executions.models import ExecutionStatus, Kind, WorkflowExecution
from executions.planner import State
from executions.spending import Spent
from executions.stopping import Proof, proof
from executions.tally import Tally, tallies
from executions.why import why
from executions.words import Sentence
from workflows.graph import Graph

HANDLERS = 3


@dataclass(frozen=True, slots=True)
class Around:
    """`tallies`: by step. `handlers`: executions that its failure has started. `spent`: what language models took."""

    tallies: Mapping[str, Tally] = field(default_factory=dict)
    why: Sentence = ()
    proof: Proof | None = None
    handlers: tuple[int, ...] = ()
    spent: Spent | None = None


NOTHING = Around()


def around(execution: WorkflowExecution, graph: Graph, state: State) -> Around:
    counted = tallies(execution, graph, state)
    return Around(
        counted,
        why(execution, graph, state, counted),
        _proof(execution, graph, state) if state.cancel_requested else None,
        _handlers(execution) if state.status == "failed" else (),
        spending.of_execution(execution),
    )


def _proof(execution: WorkflowExecution, graph: Graph, state: State) -> Proof | None:
    asked = execution.entries.filter(kind=Kind.CANCEL_REQUESTED).order_by("seq").values_list("seq", flat=True).first()
    entries = execution.entries.told().filter(seq__gte=asked or 0).order_by("seq")
    below = WorkflowExecution.objects.filter(parent=execution)
    if not any(node.waits_for == "child" for node in state.nodes.values()):
        return proof(entries, graph, state)
    stopping = below.live().count()
    stopped = below.filter(status=ExecutionStatus.CANCELLED).count()
    return proof(entries, graph, state, stopped, stopping)


def _handlers(execution: WorkflowExecution) -> tuple[int, ...]:
    return tuple(execution.handlers.order_by("pk").values_list("pk", flat=True)[:HANDLERS])
