"""Everything that an execution's page shows at one moment, as one value for page and socket alike. Writes nothing.

Nothing here depends on who looks: rights stand in the page's shell.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings

from executions import words
from executions.around import NOTHING, Around
from executions.asking import Asking, asked
from executions.models import WorkflowExecution
from executions.plan import drawn_of
from executions.planner import State, is_live
from executions.tally import Tally
from executions.timeline import Axis, Lane, axis, busiest, lane, lane_of_items
from executions.why import SOON
from workflows import steps
from workflows.drawing import Box, Drawing, Link, draw
from workflows.graph import EACH, Graph

LARGE = 150  # steps; beyond, a drawing can neither be read nor sent ten times a second
STUCK = frozenset({"failed", "cancelled", "abandoned"})
BUSY = 25  # rows that the table of a large execution shows

drawing_of = lru_cache(maxsize=64)(draw)


@dataclass(frozen=True, slots=True)
class Scene:
    """`status`: pending running waiting completed failed cancelled; `word` also says that it is being cancelled, or
    who paused it.

    `lanes`: every step in an order in which they can run; of a large execution only the busiest, unless it is `whole`.
    `handled`: steps that failed while the execution went on.
    """

    execution_id: int
    name: str
    status: str
    word: str
    is_final: bool
    is_cancelling: bool
    is_paused: bool
    handled: int
    kept: Kept | None
    around: Around
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
    def tallies(self) -> list[Tally]:
        return list(self.around.tallies.values())

    @property
    def is_large(self) -> bool:
        return not self.whole

    @property
    def took_ms(self) -> float | None:
        return (self.ended - self.begun).total_seconds() * 1000 if self.ended else None

    @property
    def percent(self) -> float:
        return round(100 * self.done / self.total, 1) if self.total else 0


@dataclass(frozen=True, slots=True)
class Kept:
    """Of a failed execution: the steps that a repair keeps, those that it runs again, how many follow, and which of
    all that still comes reach outside."""

    done: int
    again: tuple[str, ...]
    later: int
    outside: tuple[str, ...]


def scene(
    execution: WorkflowExecution,
    graph: Graph,
    state: State,
    now: datetime,
    around: Around = NOTHING,
    *,
    whole: bool = False,
) -> Scene:
    """`whole`: with every step drawn, however many there are."""
    status = _status(execution, state)
    begun = execution.started_at or _first_start(state) or execution.created_at
    ended = _end(execution, state) if state.status else None
    scale = axis(begun, ended, now)
    is_cancelling = (state.cancel_requested or execution.is_cancelling) and state.status is None
    is_paused = bool(state.paused_at or execution.paused_at) and state.status is None and not is_cancelling
    drawn = drawn_of(execution)
    drawn = drawn if drawn.bodies else graph
    whole = whole or len(drawn.nodes) <= LARGE
    drawing = drawing_of(drawn) if whole else None
    halts = set(execution.pause_before)
    seen = [
        lane(graph.nodes[node_id], state, scale, around.tallies.get(node_id), node_id in halts)
        for node_id in (graph.order if whole else busiest(state, BUSY))
    ]
    items = _of_items(drawn, graph, around)
    by_id = items | {found.node_id: found for found in seen}
    return Scene(
        execution_id=execution.pk,
        name=execution.workflow.name,
        status=status,
        word=_paused(execution, graph, state) if is_paused else words.STATUS["cancelling" if is_cancelling else status],
        is_final=state.status is not None,
        is_cancelling=is_cancelling,
        is_paused=is_paused,
        handled=state.handled_failures,
        kept=_kept(graph, state) if status == "failed" else None,
        around=around,
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
        links=[(link, link_look(link, state, around, items)) for link in drawing.links] if drawing else [],
        asks=asked(graph, state),
    )


def _of_items(drawn: Graph, graph: Graph, around: Around) -> dict[str, Lane]:
    """The steps of bodies, each with what is known of the step whose items they are for."""
    found: dict[str, Lane] = {}
    for owner, body in drawn.bodies.items():
        for node_id in body - graph.nodes.keys():
            found[node_id] = lane_of_items(drawn.nodes[node_id], around.tallies.get(owner))
    return found


def _paused(execution: WorkflowExecution, graph: Graph, state: State) -> str:
    if state.running or not state.paused_at:
        return "Pausing…"
    before = graph.nodes.get(state.pause.get("before") or "")
    if before:
        return f"Paused before “{before.label}”"
    return f"Paused by {state.pause['by']}" if state.pause.get("by") else "Paused"


def _kept(graph: Graph, state: State) -> Kept:
    again = [node_id for node_id, node in state.nodes.items() if node.status in STUCK and node.handle is None]
    later = [node_id for node_id in graph.nodes if node_id not in state.nodes]
    labels = tuple(graph.nodes[node_id].label for node_id in again if node_id in graph.nodes)
    coming = [graph.nodes[node_id] for node_id in (*again, *later) if node_id in graph.nodes]
    outside = tuple(node.label for node in coming if steps.reaches_out(node))
    return Kept(state.steps_done, labels, len(later), outside)


def link_look(link: Link, state: State, around: Around = NOTHING, inside: Collection[str] = ()) -> str:
    """taken, untaken (it will never be), or empty: nobody knows yet, or it depends on the item.

    `inside`: the steps of bodies.
    """
    source = link.edges[0].source
    if any(edge.handle == EACH for edge in link.edges):
        return "taken" if source in around.tallies and around.tallies[source].made else ""
    if source in inside:
        return ""
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
        return "waiting" if state.paused_at else "pending"
    if state.running:
        return "running"
    return "waiting" if state.active or state.paused_at else "running"


def _takeover(execution: WorkflowExecution, now: datetime) -> datetime | None:
    """When its lease ends, once its owner has missed to renew it: it may be gone, and nobody else has noticed yet.
    Where that moment has passed and nobody is there to take over, why() says so."""
    since = settings.ENGINE["LEASE_SECONDS"] - 1.5 * settings.ENGINE["RENEW_SECONDS"]
    is_silent = now - SOON < execution.due_at < now + timedelta(seconds=since)
    return execution.due_at if execution.owner and is_silent else None


def _first_start(state: State) -> datetime | None:
    return min((node.started_at for node in state.nodes.values() if node.started_at), default=None)


def _end(execution: WorkflowExecution, state: State) -> datetime:
    last = max((node.ended_at for node in state.nodes.values() if node.ended_at), default=execution.created_at)
    return execution.completed_at or last
