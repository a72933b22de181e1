"""Everything that an execution's page shows at one moment, as one value for page and socket alike. Writes nothing.

Nothing here depends on who looks: rights stand in the page's shell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings

from executions import words
from executions.asking import Asking, asked
from executions.models import WorkflowExecution
from executions.planner import State, is_live
from executions.timeline import Axis, Lane, axis, busiest, lane
from workflows.drawing import Box, Drawing, Link, draw
from workflows.graph import Graph

LARGE = 150  # steps; beyond, a drawing can neither be read nor sent ten times a second
BUSY = 25  # rows that the table of a large execution shows

drawing_of = lru_cache(maxsize=64)(draw)


@dataclass(frozen=True, slots=True)
class Scene:
    """`status`: pending running waiting completed failed cancelled; `word` also says that it is being cancelled.

    `lanes`: every step in an order in which they can run; of a large execution only the busiest, unless it is `whole`.
    """

    execution_id: int
    name: str
    status: str
    word: str
    is_final: bool
    is_cancelling: bool
    taken_over_by: datetime | None
    failure: dict[str, Any] | None
    begun: datetime
    ended: datetime | None
    done: int
    total: int
    axis: Axis
    lanes: list[Lane]
    whole: bool
    drawing: Drawing | None
    boxes: list[tuple[Box, Lane]]
    links: list[tuple[Link, str]]
    asks: list[Asking]

    @property
    def is_large(self) -> bool:
        return not self.whole

    @property
    def took_ms(self) -> float | None:
        return (self.ended - self.begun).total_seconds() * 1000 if self.ended else None

    @property
    def percent(self) -> float:
        return round(100 * self.done / self.total, 1) if self.total else 0


def scene(execution: WorkflowExecution, graph: Graph, state: State, now: datetime, *, whole: bool = False) -> Scene:
    """`whole`: with every step drawn, however many there are."""
    status = _status(execution, state)
    begun = execution.started_at or _first_start(state) or execution.created_at
    ended = _end(execution, state) if state.status else None
    scale = axis(begun, ended, now)
    is_cancelling = (state.cancel_requested or execution.is_cancelling) and state.status is None
    whole = whole or len(graph.nodes) <= LARGE
    drawing = drawing_of(graph) if whole else None
    seen = [lane(graph.nodes[node_id], state, scale) for node_id in (graph.order if whole else busiest(state, BUSY))]
    by_id = {found.node_id: found for found in seen}
    return Scene(
        execution_id=execution.pk,
        name=execution.workflow.name,
        status=status,
        word=words.STATUS["cancelling" if is_cancelling else status],
        is_final=state.status is not None,
        is_cancelling=is_cancelling,
        taken_over_by=_takeover(execution, now) if state.status is None else None,
        failure=None if state.cancel_requested else state.failure,
        begun=begun,
        ended=ended,
        done=state.steps_done,
        total=len(graph.nodes),
        axis=scale,
        lanes=seen,
        whole=whole,
        drawing=drawing,
        boxes=[(box, by_id[box.node.id]) for box in drawing.boxes] if drawing else [],
        links=[(link, link_look(link, state)) for link in drawing.links] if drawing else [],
        asks=asked(graph, state),
    )


def link_look(link: Link, state: State) -> str:
    """taken, untaken (it will never be), or empty: nobody knows yet."""
    lives = [is_live(edge, state) for edge in link.edges]
    if any(lives):
        return "taken"
    is_dead = None not in lives or state.status is not None
    return "untaken" if is_dead else ""


def _status(execution: WorkflowExecution, state: State) -> str:
    """As the journal has it: the row may be older than the entries that are being shown."""
    if state.status is not None:
        return state.status
    if not state.started:
        return "pending"
    return "waiting" if state.active and not state.running else "running"


def _takeover(execution: WorkflowExecution, now: datetime) -> datetime | None:
    """When its lease ends, once its owner has missed to renew it: it may be gone, and nobody else has noticed yet."""
    since = settings.ENGINE["LEASE_SECONDS"] - 1.5 * settings.ENGINE["RENEW_SECONDS"]
    return execution.due_at if execution.owner and execution.due_at < now + timedelta(seconds=since) else None


def _first_start(state: State) -> datetime | None:
    return min((node.started_at for node in state.nodes.values() if node.started_at), default=None)


def _end(execution: WorkflowExecution, state: State) -> datetime:
    last = max((node.ended_at for node in state.nodes.values() if node.ended_at), default=execution.created_at)
    return execution.completed_at or last
