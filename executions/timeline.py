"""What each step of an execution shows: its state in a word, its times, its bar. Pure: no Django.

A lane is a value made of the graph, the State and the clock; the same lane always looks the same, in the drawn graph,
in the table of steps, on the page and over the socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from executions.planner import NodeState, State
from executions.tally import Tally
from workflows import steps
from workflows.graph import Node

#: The lengths that an axis may have, in seconds: quarters of them are round, and it grows by steps, so that bars
#: rarely change their scale.
SPANS = (0.1, 0.2, 0.4, 0.8, 2, 4, 8, 12, 20, 40, 60, 120, 240, 480, 1_200, 2_400, 3_600, 7_200, 14_400, 43_200, 86_400)
TICKS = 4
ROOM_S = 10
LEAST = 0.8  # percent: the shortest bar that can be seen

#: NodeState.status -> the class it wears, and the word for people.
SEEN = {
    "running": ("running", "Running"),
    "waiting": ("waiting", "Waiting"),
    "answered": ("waiting", "Going on"),
    "completed": ("completed", "Completed"),
    "failed": ("failed", "Failed"),
    "skipped": ("skipped", "Skipped"),
    "cancelled": ("cancelled", "Cancelled"),
    "abandoned": ("pending", "Starting again"),
}


@dataclass(frozen=True, slots=True)
class Axis:
    """From `begin`, `span_ms` long."""

    begin: datetime
    span_ms: int

    def percent(self, at: datetime) -> float:
        share = (at - self.begin) / timedelta(milliseconds=self.span_ms)
        return round(min(max(share * 100, 0), 100), 2)

    @property
    def ticks(self) -> list[tuple[float, int]]:
        """(percent, milliseconds) of each line, without the last, where the axis ends."""
        return [(100 * n / TICKS, self.span_ms * n // TICKS) for n in range(TICKS)]


@dataclass(frozen=True, slots=True)
class Lane:
    """One step. `status`: the class it wears. `since`: it is still going. Its bar: `x`, `width`, in percent.

    `past`: x and width of earlier attempts that failed. `is_handled`: it failed, and the execution went on. `tally`:
    its children, counted. `halts`: the execution is going to pause before it. `of_items`: its children walk it, not
    this execution; then `since` and bar are not there.
    """

    node_id: str
    label: str
    kind: str
    icon: str
    status: str
    word: str
    attempt: int = 1
    took_ms: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    x: float | None = None
    width: float = 0
    past: tuple[tuple[float, float], ...] = ()
    is_handled: bool = False
    tally: Tally | None = None
    halts: bool = False
    of_items: bool = False

    @property
    def look(self) -> str:
        """The class of its bar."""
        return {"waiting": "seg-wait", "failed": "seg-fail"}.get(self.status, "seg-run")


def axis(begin: datetime, end: datetime | None, now: datetime) -> Axis:
    """Until the end; while there is none, with room for bars to grow before the scale must change."""
    seconds = (end - begin).total_seconds() if end else max(ROOM_S, (now - begin).total_seconds() * 1.5)
    span = next((span for span in SPANS if span >= seconds), None)
    if span is None:
        span = SPANS[-1] * (1 + int(seconds // SPANS[-1]))
    return Axis(begin, round(span * 1000))


def busiest(state: State, most: int) -> list[str]:
    """Of an execution that is too large to be shown whole: the steps at work, and those that were touched last."""
    failed = [state.failure["node"]] if state.failure and state.failure.get("node") in state.nodes else []
    last = islice(reversed(state.nodes), most)
    return list(dict.fromkeys([*failed, *islice(state.active, most), *last]))[:most]


def lane(node: Node, state: State, scale: Axis, tally: Tally | None = None, halts: bool = False) -> Lane:
    kind = steps.kind_of(node)
    seen = state.nodes.get(node.id)
    if seen is None:
        word = "Pending" if state.status is None else "Not reached"
        halts = halts and state.status is None
        word = "Pauses before it" if halts else word
        return Lane(node.id, node.label, kind.label, kind.icon, "pending", word, halts=halts)
    status, word = SEEN[seen.status]
    is_handled = seen.status == "failed" and seen.handle is not None
    if seen.status == "waiting" and seen.waits_for == "retry":
        word = f"Failed {seen.failures}×, tries again"
    if is_handled:
        word = "Failed, handled"
    going = seen.started_at if seen.status in ("running", "waiting", "answered") else None
    until = seen.until if seen.status == "waiting" else None
    x, width = _bar(seen, scale)
    times = (seen.attempt, _took(seen), going, until, x, width)
    return Lane(node.id, node.label, kind.label, kind.icon, status, word, *times, _past(seen, scale), is_handled, tally)


def lane_of_items(node: Node, tally: Tally | None) -> Lane:
    """A step of a body: quiet, since it is for each item and not for this execution."""
    kind = steps.kind_of(node)
    word = f"for each, {tally.words}" if tally else "for each item"
    return Lane(node.id, node.label, kind.label, kind.icon, "pending", word, of_items=True)


def _took(seen: NodeState) -> int | None:
    """What its run took; where it waited, from start to end."""
    if seen.waits_for is None or seen.started_at is None or seen.ended_at is None:
        return seen.took_ms
    return round((seen.ended_at - seen.started_at) / timedelta(milliseconds=1))


def _past(seen: NodeState, scale: Axis) -> tuple[tuple[float, float], ...]:
    begins = [(min(scale.percent(begin), 100 - LEAST), scale.percent(end)) for begin, end in seen.past]
    return tuple((x, round(max(end - x, LEAST), 2)) for x, end in begins)


def _bar(seen: NodeState, scale: Axis) -> tuple[float | None, float]:
    if seen.started_at is None:
        return None, 0
    is_over = seen.ended_at is not None and seen.ended_at >= seen.started_at
    x = min(scale.percent(seen.started_at), 100 - LEAST)
    if seen.status in ("running", "waiting", "answered"):
        # Where "now" is belongs to the reader's clock: times.js moves the end of the bar.
        return x, LEAST
    end = scale.percent(seen.ended_at) if is_over and seen.ended_at else x
    return x, round(max(end - x, LEAST), 2)
