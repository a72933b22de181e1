"""Random graphs and the ways through them, for the property tests. Pure: no Django."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import strategies as st

from executions.data import pack
from executions.planner import (
    Finish,
    GiveUp,
    Move,
    Pause,
    Rest,
    Resume,
    Skip,
    Start,
    State,
    Stop,
    next_moves,
)
from workflows.graph import ERROR, OUT, Edge, Graph, Node

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
HANDLES = {"plain": (OUT,), "choice": ("true", "false")}


@dataclass(slots=True)
class Entry:
    """As executions.entry.Entry, which needs a database's settings."""

    kind: str
    node: str | None = None
    attempt: int | None = None
    data: Any = None
    took_ms: int | None = None
    seq: int = 0
    at: datetime = AT


def drawn(nodes: str, *edges: str, max_parallel: int = 8) -> Graph:
    """A graph from “a b c” and “a>b”, “a:true>b”."""
    return Graph((Node(name, "plain", {}) for name in nodes.split()), map(_edge, edges), max_parallel)


def _edge(text: str) -> Edge:
    source, target = text.split(">")
    source, _, handle = source.partition(":")
    return Edge(source, target, handle or OUT)


@st.composite
def graphs(draw: st.DrawFn, most: int = 7) -> Graph:
    """A directed acyclic graph with branching steps, in an order of definition that is not its own."""
    size = draw(st.integers(1, most))
    kinds = draw(st.lists(st.sampled_from(sorted(HANDLES)), min_size=size, max_size=size))
    places = draw(st.permutations(range(size)))
    pairs = [(low, high) for high in range(size) for low in range(high)]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=2 * size)) if pairs else []
    edges = [
        Edge(f"n{places[low]}", f"n{places[high]}", draw(st.sampled_from((*HANDLES[kinds[places[low]]], ERROR))))
        for low, high in chosen
    ]
    nodes = [Node(f"n{index}", kinds[index], {}) for index in range(size)]
    return Graph(nodes, edges, draw(st.integers(1, 4)))


@dataclass
class Walk:
    """Drives a graph to its end as an engine would, with chance in the place of steps, people and crashes.

    `strength`: steps also fail and are tried again or gone on from, wait for children, and people pause and repair.
    """

    graph: Graph
    chance: Random
    faults: bool = False
    strength: bool = False
    seen: Callable[[Walk], None] = lambda walk: None
    state: State = field(default_factory=State)
    entries: list[Entry] = field(default_factory=list)
    most_running: int = 0
    pause_before: set[str] = field(default_factory=set)
    repairs_left: int = 2

    def to_end(self, limit: int = 5_000) -> Walk:
        self.note(Entry("queued"))
        self.note(Entry("started"))
        if self.strength:
            self.pause_before = {node_id for node_id in self.graph.nodes if self.chance.random() < 0.1}
        for _ in range(limit):
            self.seen(self)
            for move in next_moves(self.graph, self.state, self.pause_before):
                self._act(move)
            self.most_running = max(self.most_running, self.state.running)
            if self.state.status is not None and not self._is_repaired():
                return self
            self._something_happens()
        raise AssertionError(f"It does not end: {self.entries[-20:]}")

    def note(self, entry: Entry) -> None:
        entry.seq = len(self.entries) + 1
        self.entries.append(entry)
        self.state.apply(entry)

    def kinds(self, *kinds: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind in kinds and entry.node]

    def _act(self, move: Move) -> None:
        match move:
            case Start(node_id, attempt):
                self.note(Entry("started", node_id, attempt))
            case Skip(node_id):
                self.note(Entry("skipped", node_id))
            case Resume(node_id):
                self._end(node_id)
            case Stop(node_id):
                kind = "abandoned" if self.faults and self.chance.random() < 0.2 else "cancelled"
                self.note(Entry(kind, node_id, self.state.nodes[node_id].attempt))
            case GiveUp(node_id):
                self._fail(node_id)
            case Pause(node_id):
                self.pause_before.discard(node_id)
                self.note(Entry("paused", data={"by": None, "before": node_id}))
            case Finish(status):
                self.note(Entry("finished", data={"status": status}))
            case Rest():
                pass

    def _something_happens(self) -> None:
        """One running step ends, or waits, or one waiting step is answered; with `faults` also what nobody wants."""
        running = [node_id for node_id in self.state.active if self.state.nodes[node_id].status == "running"]
        waiting = [node_id for node_id in self.state.active if self.state.nodes[node_id].status == "waiting"]
        if self.faults and self._fault_happens(running):
            return
        if self.strength and self._somebody_comes(running):
            return
        if waiting and (not running or self.chance.random() < 0.3):
            node_id = self.chance.choice(waiting)
            data = {"answer": 1, "due": self.chance.random() < 0.5}
            self.note(Entry("answered", node_id, self.state.nodes[node_id].attempt, data))
        elif running:
            node_id = self.chance.choice(running)
            if self.chance.random() < 0.2:
                self.note(Entry("waited", node_id, self.state.nodes[node_id].attempt, {"until": None, "reason": ""}))
            else:
                self._end(node_id)

    def _somebody_comes(self, running: list[str]) -> bool:
        """A pause or its end, a limit, a failure with a policy, children: one of them, now and then."""
        dice = self.chance.random()
        if self.state.paused_at:
            if dice < 0.4 or not running:
                self.note(Entry("resumed", data={"by": None, "expires_at": None}))
                return True
        elif dice < 0.06:
            self.note(Entry("paused", data={"by": "somebody"}))
            return True
        if not running or dice > 0.4:
            return False
        node_id = self.chance.choice(running)
        attempt = self.state.nodes[node_id].attempt
        error = {"message": "no", "node": node_id}
        if dice < 0.15:
            self.note(Entry("retried", node_id, attempt, {"error": error, "until": AT.isoformat(), "failures": 1}))
        elif dice < 0.25:
            handle = self.chance.choice((OUT, ERROR))
            self.note(Entry("failed", node_id, attempt, {"error": error, "handle": handle}))
        elif dice < 0.35:
            self.note(Entry("waited", node_id, attempt, {"kind": "child", "until": None, "each": 3}))
        elif dice < 0.38:
            self._fail(node_id)
        else:
            self.note(Entry("limited", data={"limit": "time", "value": 1, "error": {"message": "no", "node": None}}))
        return True

    def _is_repaired(self) -> bool:
        """A failed execution is sometimes repaired: tried again, on another input, or by an output."""
        if not self.strength or self.state.status != "failed" or self.repairs_left == 0 or self.chance.random() < 0.3:
            return False
        self.repairs_left -= 1
        stuck = [name for name, node in self.state.nodes.items() if node.status == "failed" and node.handle is None]
        if not stuck:  # a limit ended it
            self.note(Entry("repaired", data={"by": None, "reason": ""}))
            return True
        node_id = self.chance.choice(stuck)
        output = pack({}, {node_id: "by hand"}, self.chance.choice(HANDLES[self.graph.nodes[node_id].type]))
        change: dict[str, Any] = self.chance.choice(({}, {"input": {"other": 1}}, {"output": output}))
        self.note(Entry("repaired", node_id, self.state.nodes[node_id].attempt, {"by": None, "reason": "", **change}))
        return True

    def _fault_happens(self, running: list[str]) -> bool:
        dice = self.chance.random()
        if dice < 0.08:
            self.note(Entry("taken_over", data={"nodes": running}))
        elif dice < 0.12 and running:
            self.note(Entry("abandoned", running[0], self.state.nodes[running[0]].attempt))
        elif dice < 0.15 and running:
            self._fail(running[0])
        elif dice < 0.17 and not self.state.cancel_requested:
            self.note(Entry("cancel_requested", data={"by": None}))
        else:
            return False
        return True

    def _end(self, node_id: str) -> None:
        handle = self.chance.choice(HANDLES[self.graph.nodes[node_id].type])
        data = {"added": {node_id: 1}} | ({} if handle == OUT else {"handle": handle})
        self.note(Entry("completed", node_id, self.state.nodes[node_id].attempt, data))

    def _fail(self, node_id: str) -> None:
        attempt = self.state.nodes[node_id].attempt
        self.note(Entry("failed", node_id, attempt, {"error": {"message": "no", "node": node_id}}))


def plain_moves(graph: Graph, state: State, pause_before: Collection[str] = ()) -> list[Move]:
    """What next_moves() must say, by looking at every step each time: slow, short, and without a frontier."""
    if state.status is not None:
        return []
    if state.cancel_requested or state.failure is not None:
        active = [Stop(node_id) for node_id in state.active]
        return [*active] or [Finish("cancelled" if state.cancel_requested else "failed")]
    if state.paused_at:
        return [] if any(node.status == "running" for node in state.nodes.values()) else [Rest()]
    moves: list[Move] = []
    free = graph.max_parallel - sum(node.status == "running" for node in state.nodes.values())
    for node_id in graph.nodes:
        move = _plain_move(graph, state, node_id)
        free -= isinstance(move, Start)
        if move and not (isinstance(move, Start) and free < 0):
            moves.append(move)
    held = [move.node for move in moves if isinstance(move, Start) and move.node in pause_before]
    if held:
        return [*(move for move in moves if not isinstance(move, Start)), Pause(held[0])]
    statuses = {node.status for node in state.nodes.values()}
    if moves or "running" in statuses:
        return moves
    return [Rest()] if "waiting" in statuses else [Finish("completed")]


def _plain_move(graph: Graph, state: State, node_id: str) -> Move | None:
    node = state.nodes.get(node_id)
    if node is not None:
        if node.status == "answered":
            return Start(node_id, node.attempt + 1) if node.waits_for == "retry" else Resume(node_id)
        if node.status == "abandoned":
            return GiveUp(node_id) if node.losses >= 3 else Start(node_id, node.attempt + 1)
        return None
    edges = [edge for edge in graph.edges if edge.target == node_id]
    sources = [state.nodes.get(edge.source) for edge in edges]
    if any(source is None or not (source.status == "skipped" or source.handle) for source in sources):
        return None
    if not edges or any(source and source.handle == edge.handle for source, edge in zip(sources, edges, strict=True)):
        return Start(node_id)
    return Skip(node_id)
