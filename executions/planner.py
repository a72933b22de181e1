"""The map room: what the journal says (fold) and what follows from it (next_moves). Pure: no Django, no clock.

A State is nothing but the fold of an execution's entries; the same entries give the same State in every process, so
a crash is answered by reading the journal again. The planner decides; the engine acts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, Protocol

from workflows.graph import Edge, Graph

MAX_PAST = 20  # attempts that are kept of a step, for who looks
MAX_LOSSES = 3  # leases lost in a row on the same step, before it is taken to be what kills the workers


class Entry(Protocol):
    """One entry of the journal: an ExecutionLog row, or the engine's own before it is one."""

    seq: int
    kind: str
    node: str | None
    attempt: int | None
    at: datetime
    data: Any
    took_ms: int | None


NodeStatus = Literal["running", "waiting", "answered", "completed", "failed", "skipped", "cancelled", "abandoned"]
ENDED = frozenset({"completed", "failed", "skipped", "cancelled"})
ACTIVE = frozenset({"running", "waiting", "answered"})


@dataclass(slots=True)
class NodeState:
    """One step that the journal has spoken of.

    `handle`: by which it left; None where it did not. `waits_for`: "time" "retry" "approval" "callback" "child".
    `items`: for how many its body runs; None where it calls a workflow. `past`: begin and end of the last attempts that
    failed and were followed by another.
    """

    status: NodeStatus
    attempt: int = 1
    handle: str | None = None
    losses: int = 0
    failures: int = 0  # of those that it was tried again after
    repairs: int = 0
    began_at: datetime | None = None  # the first of all attempts; a repair begins anew
    started_at: datetime | None = None
    ended_at: datetime | None = None
    took_ms: int | None = None
    until: datetime | None = None
    waits_for: str | None = None
    items: int | None = None
    past: tuple[tuple[datetime, datetime], ...] = ()
    answer: Any = None
    has_lapsed: bool = False  # its time came before any answer


@dataclass(slots=True)
class State:
    """Everything that the entries up to `seq` say. `frontier` only spares the planner work that is done."""

    seq: int = 0
    status: str | None = None
    started: bool = False
    starts: int = 0  # of steps, every attempt counted
    is_log_full: bool = False
    cancel_requested: bool = False
    paused_at: datetime | None = None
    pause: dict[str, Any] = field(default_factory=dict)  # {"by", "before"?} of the last one
    variables: dict[str, Any] = field(default_factory=dict)  # as they were when it began: expressions stay the same
    expires_at: datetime | None = None  # when its time limit is over; stands still while it is paused
    failure: dict[str, Any] | None = None
    nodes: dict[str, NodeState] = field(default_factory=dict)
    frontier: dict[str, None] = field(default_factory=dict)
    active: dict[str, None] = field(default_factory=dict)

    def apply(self, entry: Entry) -> None:
        self.seq = max(self.seq, entry.seq)
        if entry.node is None:
            self._apply_to_execution(entry)
        elif entry.kind in NODE_STATUS:
            self._apply_to_node(entry)

    def _apply_to_execution(self, entry: Entry) -> None:
        data = entry.data or {}
        match entry.kind:
            case "started":
                self.started, self.expires_at = True, _moment(data.get("expires_at"))
                self.variables = data.get("vars") or {}
            case "cancel_requested":
                self.cancel_requested = True
            case "paused":
                self.paused_at, self.pause = entry.at, data
            case "resumed":
                self.paused_at, self.expires_at = None, _moment(data.get("expires_at"))
            case "limited":
                self.failure = self.failure or data.get("error")
                self.is_log_full = self.is_log_full or data.get("limit") == "log"
            case "finished":
                self.status = data["status"]
                self.failure = self.failure or data.get("error")  # where the engine itself gave up
            case "taken_over":
                for node_id in [node_id for node_id in self.active if self.nodes[node_id].status == "running"]:
                    self._lose(node_id)
            case "repaired":
                self._go_on_from(entry)

    def _lose(self, node_id: str) -> None:
        self.nodes[node_id].status = "abandoned"
        self.nodes[node_id].losses += 1
        self._track(node_id)

    def _apply_to_node(self, entry: Entry) -> None:
        assert entry.node is not None
        node = self.nodes.get(entry.node)
        if node is None:
            node = self.nodes[entry.node] = NodeState("running")
        node.status = NODE_STATUS[entry.kind]
        node.attempt = entry.attempt or node.attempt
        if entry.kind == "started":
            node.started_at, node.until, node.waits_for, node.answer = entry.at, None, None, None
            node.began_at = node.began_at or entry.at
            node.has_lapsed = False
            self.starts += 1
        elif entry.kind in ("waited", "retried"):
            self._wait(node, entry)
        elif entry.kind == "answered":
            node.answer, node.has_lapsed = entry.data.get("answer"), bool(entry.data.get("due"))
        elif entry.kind == "repaired":
            self._go_on_from(entry)
        elif node.status in ENDED:
            self._end(node, entry)
        self._track(entry.node)

    def _wait(self, node: NodeState, entry: Entry) -> None:
        node.until = _moment(entry.data.get("until"))
        node.waits_for, node.answer, node.has_lapsed = entry.data.get("kind", "time"), None, False
        node.items = entry.data.get("each")
        if entry.kind == "retried":
            node.failures, node.losses, node.waits_for = node.failures + 1, 0, "retry"
            _remember(node, entry.at)

    def _end(self, node: NodeState, entry: Entry) -> None:
        node.ended_at, node.took_ms = entry.at, entry.took_ms
        if entry.kind in ("completed", "reused"):
            node.handle, node.losses = entry.data.get("handle", "out"), 0
        elif entry.kind == "failed":
            node.handle = entry.data.get("handle")  # where its policy lets the execution go on
            if node.handle is None and self.failure is None:
                self.failure = entry.data["error"]

    def _go_on_from(self, entry: Entry) -> None:
        """A failed execution lives again: what failed or was stopped by it runs once more."""
        self.status, self.failure, self.paused_at = None, None, None
        self.expires_at = _moment(entry.data.get("expires_at"))
        for node_id, node in self.nodes.items():
            is_stuck = node.status in ("failed", "cancelled") and node.handle is None
            if is_stuck and node_id != entry.node:
                node.status, node.losses, node.failures = "abandoned", 0, 0
                self._track(node_id)
        if entry.node is not None:
            node = self.nodes[entry.node]
            if node.ended_at:
                _remember(node, node.ended_at)
            node.repairs, node.losses, node.failures, node.began_at = node.repairs + 1, 0, 0, None
            has_output = "output" in entry.data
            node.status = "completed" if has_output else "abandoned"
            node.handle = entry.data["output"].get("handle", "out") if has_output else None
            node.ended_at = entry.at if has_output else None

    def _track(self, node_id: str) -> None:
        status = self.nodes[node_id].status
        if status in ACTIVE:
            self.active[node_id] = None
            return
        self.active.pop(node_id, None)
        self.frontier[node_id] = None

    @property
    def is_stopping(self) -> bool:
        return self.cancel_requested or self.failure is not None

    @property
    def handled_failures(self) -> int:
        """Steps that failed while their policy let the execution go on."""
        return sum(node.status == "failed" and node.handle is not None for node in self.nodes.values())

    @property
    def running(self) -> int:
        return sum(self.nodes[node_id].status == "running" for node_id in self.active)

    @property
    def steps_done(self) -> int:
        return sum(
            node.status in ("completed", "skipped") or (node.status == "failed" and node.handle is not None)
            for node in self.nodes.values()
        )


def _remember(node: NodeState, ended_at: datetime) -> None:
    if node.started_at:
        node.past = (*node.past, (node.started_at, ended_at))[-MAX_PAST:]


NODE_STATUS: dict[str, NodeStatus] = {
    "started": "running",
    "waited": "waiting",
    "retried": "waiting",
    "repaired": "abandoned",
    "answered": "answered",
    "completed": "completed",
    "reused": "completed",
    "failed": "failed",
    "skipped": "skipped",
    "cancelled": "cancelled",
    "abandoned": "abandoned",
}


@dataclass(frozen=True, slots=True)
class Start:
    node: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Resume:
    """The wait of this step is over: ask it what follows."""

    node: str


@dataclass(frozen=True, slots=True)
class Skip:
    node: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The step is under way and must not be."""

    node: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The step lost its worker too often."""

    node: str


@dataclass(frozen=True, slots=True)
class Pause:
    """The execution was asked to stop before this step."""

    node: str


@dataclass(frozen=True, slots=True)
class Rest:
    """Everything that is left waits: let go of the execution."""


@dataclass(frozen=True, slots=True)
class Finish:
    status: Literal["completed", "failed", "cancelled"]


Move = Start | Resume | Skip | Stop | GiveUp | Pause | Rest | Finish


def fold(entries: Iterable[Entry]) -> State:
    state = State()
    for entry in entries:
        state.apply(entry)
    return state


def next_moves(graph: Graph, state: State, pause_before: Collection[str] = ()) -> list[Move]:
    """What to do now, in the order of the definition. Nothing: wait for what is running."""
    if state.status is not None:
        return []
    if state.is_stopping:
        return _stopping(state)
    if state.paused_at:
        return [] if state.running else [Rest()]
    moves = _going_on(graph, state)
    for move in moves if pause_before else ():
        if isinstance(move, Start) and move.node in pause_before:
            return [*(move for move in moves if not isinstance(move, Start)), Pause(move.node)]
    return moves


@lru_cache(maxsize=256)
def first_moves(graph: Graph) -> Sequence[Move]:
    """Of any execution of this graph, as it begins."""
    return tuple(next_moves(graph, State(started=True)))


def _stopping(state: State) -> list[Move]:
    if state.active:
        return [Stop(node_id) for node_id in state.active]
    # A cancel that came in time is the only end, whatever failed meanwhile.
    return [Finish("cancelled" if state.cancel_requested else "failed")]


def _going_on(graph: Graph, state: State) -> list[Move]:
    moves: list[Move] = []
    running = state.running
    slots = graph.max_parallel - running
    for node_id in sorted(_candidates(graph, state), key=graph.rank.__getitem__):
        move = _move(graph, state, node_id)
        if isinstance(move, Start):
            slots -= 1
            if slots < 0:
                continue
        if move:
            moves.append(move)
    if given_up := [move for move in moves if isinstance(move, GiveUp)]:
        return [*given_up]  # first of all: its failure may be the end
    if moves or running:
        return moves
    return [Rest()] if state.active else [Finish("completed")]


def _candidates(graph: Graph, state: State) -> set[str]:
    """The steps that something may have changed for: all others are settled, under way, or not reached yet."""
    found = (
        {node_id for node_id in graph.roots if node_id not in state.nodes}
        if len(state.nodes) < len(graph.nodes)
        else set()
    )
    found.update(node_id for node_id in state.active if state.nodes[node_id].status == "answered")
    for node_id in list(state.frontier):
        if state.nodes[node_id].status == "abandoned":
            found.add(node_id)
            continue
        untouched = [edge.target for edge in graph.outgoing[node_id] if edge.target not in state.nodes]
        found.update(untouched)
        if not untouched:
            del state.frontier[node_id]
    return found


def _move(graph: Graph, state: State, node_id: str) -> Move | None:
    node = state.nodes.get(node_id)
    if node is None:
        return _first_move(graph, state, node_id)
    if node.status == "answered":
        return Start(node_id, node.attempt + 1) if node.waits_for == "retry" else Resume(node_id)
    if node.losses >= MAX_LOSSES:
        return GiveUp(node_id)
    return Start(node_id, node.attempt + 1)


def _first_move(graph: Graph, state: State, node_id: str) -> Move | None:
    edges = graph.incoming[node_id]
    lives = [is_live(edge, state) for edge in edges]
    if None in lives:
        return None
    return Start(node_id) if not edges or any(lives) else Skip(node_id)


def is_live(edge: Edge, state: State) -> bool | None:
    """Whether data comes along this edge; None while its source has not ended."""
    source = state.nodes.get(edge.source)
    if source is None or source.status not in ENDED:
        return None
    return source.handle == edge.handle


def is_end(graph: Graph, node_id: str, handle: str) -> bool:
    """Whether nothing follows a step that leaves by this handle."""
    return all(edge.handle != handle for edge in graph.outgoing[node_id])


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def live_edges(graph: Graph, state: State, node_id: str) -> Iterator[Edge]:
    return (edge for edge in graph.incoming[node_id] if is_live(edge, state))
