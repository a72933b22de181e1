"""What a step saw and made, from what the journal keeps of it. Pure: no Django.

A chain of n steps must cost O(n) bytes, though each step's input holds all that came before. So an entry keeps only
what its step added to its incoming data (`pack`), and the rest is rebuilt on reading (`unpack`, `Ledger`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from executions.planner import Entry, State, is_end, live_edges
from workflows.graph import ERROR, OUT, Graph

Data = dict[str, Any]
E = TypeVar("E", bound=Entry)


def pack(incoming: Data, output: Mapping[str, Any], handle: str = OUT, is_instead: bool = False) -> Data:
    """A completed entry's data.

    "added": the keys that differ from the incoming data. "kept": the names of those that do not; True for all of
    them but those in "left". "whole": the keys that hold the incoming data itself, as `output` steps do. "handle",
    where it is not "out". "instead": those who follow see the output alone, and not merged over the incoming data.
    """
    kept = [key for key, value in output.items() if key in incoming and _same(incoming[key], value)]
    whole = [key for key, value in output.items() if value and _same(value, incoming)]
    told = {*kept, *whole}
    packed: Data = {"added": {key: value for key, value in output.items() if key not in told}}
    left = [key for key in incoming if key not in output]
    if kept:
        packed["kept"] = True if len(left) < len(kept) else kept
    if left and packed.get("kept") is True:
        packed["left"] = left
    if whole:
        packed["whole"] = whole
    if handle != OUT:
        packed["handle"] = handle
    if is_instead:
        packed["instead"] = True
    return packed


def unpack(incoming: Data, packed: Mapping[str, Any]) -> Data:
    """The output that pack() was given."""
    kept, left = packed.get("kept", []), packed.get("left", ())
    names = (key for key in incoming if key not in left) if kept is True else kept
    output = {key: incoming[key] for key in names}
    output.update(packed["added"])
    output.update({key: dict(incoming) for key in packed.get("whole", [])})
    return output


def instead(given: Data, entry: Entry) -> Data:
    """As pack(), of a completed entry for another execution: all that the step handed on, in place of what it would see
    there, since it ran on an input that somebody changed."""
    packed = _packed(entry)
    told = {key: packed[key] for key in ("handle",) if key in packed}
    before = {} if "instead" in packed else given
    return {"added": {**before, **unpack(given, packed)}, "instead": True, **told}


def repaired_input(entry: Entry) -> Data:
    whole: Data | None = getattr(entry, "added", None)
    given: Data = entry.data["input"]
    return given if whole is None else whole


class Ledger:
    """Each step's data while an execution goes on: `incoming` of those under way, `accumulated` of those that ended.

    Apply every entry to it before its State. It forgets what no later step can ask for, so a long chain stays small.
    """

    def __init__(self, graph: Graph, given: Data, named: Collection[str] = ()) -> None:
        """`named`: the steps that expressions ask for, whenever that may be."""
        self.graph = graph
        self.told: dict[str, Data] = {}  # of steps in `named` that ended: {"status", "output", "error"}
        self._named = named
        self.given = given
        self.incoming: dict[str, Data] = {}
        self.accumulated: dict[str, Data] = {}
        self.ends: dict[str, Data] = {}  # of steps that nothing follows
        self._readers = {node_id: len(edges) for node_id, edges in graph.outgoing.items()}

    def apply(self, entry: Entry, state: State) -> None:
        """`state`: as it was before the entry."""
        if entry.node is None or entry.node not in self.graph.nodes:
            return
        if entry.kind == "started" and entry.node not in self.incoming:
            self.incoming[entry.node] = self._merged(entry.node, state)
        elif entry.kind == "skipped":
            self._release(entry.node)
            self._tell(entry.node, "skipped", {})
        elif entry.kind in ("completed", "reused"):
            self._end(entry.node, _packed(entry), state)
        elif entry.kind == "failed" and "handle" in entry.data:  # its policy lets the execution go on
            added = {"error": told(entry.data["error"])} if entry.data["handle"] == ERROR else {}
            self._end(entry.node, {"added": added, "kept": True, "handle": entry.data["handle"]}, state)
            self._tell(entry.node, "failed", {}, told(entry.data["error"]))
        elif entry.kind == "repaired" and "output" in entry.data:
            self._end(entry.node, _packed(entry), state)
        elif entry.kind == "repaired" and "input" in entry.data:
            self.incoming[entry.node] = repaired_input(entry)

    def seen_by(self, entry: Entry, state: State) -> Data:
        """The data that a step sees or saw; for a reused one, what it would have seen."""
        if entry.kind == "reused" and entry.node in self.graph.nodes:
            return self._peeked(entry.node, state)
        return self.incoming.get(entry.node or "", {})

    def result(self) -> Data:
        """The execution's output: the accumulated data of every step that ended and that nothing followed, merged in
        the order of the definition."""
        merged: Data = {}
        for node_id in sorted(self.ends, key=self.graph.rank.__getitem__):
            merged.update(self.ends[node_id])
        return merged

    def _end(self, node_id: str, packed: Mapping[str, Any], state: State) -> None:
        """A reused step was never started here."""
        incoming = self.incoming.pop(node_id) if node_id in self.incoming else self._merged(node_id, state)
        accumulated = unpack(incoming, packed)
        self._tell(node_id, "completed", accumulated)
        if "instead" not in packed:
            accumulated = {**incoming, **accumulated}
        has_ended = is_end(self.graph, node_id, packed.get("handle", OUT))
        (self.ends if has_ended else self.accumulated)[node_id] = accumulated

    def _tell(self, node_id: str, status: str, output: Data, error: Data | None = None) -> None:
        if node_id in self._named:
            self.told[node_id] = {"status": status, "output": output, "error": error}

    def _merged(self, node_id: str, state: State) -> Data:
        merged = self._peeked(node_id, state)
        self._release(node_id)
        return merged

    def _peeked(self, node_id: str, state: State) -> Data:
        if not self.graph.incoming[node_id]:
            return dict(self.given)
        merged: Data = {}
        for edge in live_edges(self.graph, state, node_id):
            merged.update(self.accumulated[edge.source])
        return merged

    def _release(self, node_id: str) -> None:
        for edge in self.graph.incoming[node_id]:
            self._readers[edge.source] -= 1
            if not self._readers[edge.source]:
                self.accumulated.pop(edge.source, None)


def told(error: Mapping[str, Any]) -> Data:
    """What the steps behind an “error” connection get of it."""
    return {name: error.get(name) for name in ("type", "message", "node", "step_name", "attempt", "details")}


def replay(graph: Graph, given: Data, entries: Iterator[E]) -> Iterator[tuple[E, Data, Data | None]]:
    """For each entry that ends a step's attempt: the entry, the data it saw, and its output where it completed."""
    state, ledger = State(), Ledger(graph, given)
    for entry in entries:
        incoming = ledger.seen_by(entry, state)
        ledger.apply(entry, state)
        state.apply(entry)
        is_supplied = entry.kind == "repaired" and "output" in entry.data
        if entry.kind in ("completed", "reused") or is_supplied:
            packed = _packed(entry)
            # A version that somebody broke by hand has lost the step: what it added is all that is left to say.
            yield entry, incoming, unpack(incoming, packed) if entry.node in graph.nodes else packed["added"]
        elif entry.kind in ("failed", "retried", "cancelled", "abandoned") and entry.node:
            yield entry, incoming, None


def _packed(entry: Entry) -> Mapping[str, Any]:
    """The output. Where some of what was added is kept in files, whoever read those has put the whole into `added`."""
    packed: Mapping[str, Any] = entry.data["output"] if entry.kind == "repaired" else entry.data
    added = getattr(entry, "added", None)
    return packed if added is None else {**packed, "added": added}


def _same(left: Any, right: Any) -> bool:
    """Equal and of one type all the way down: 1, 1.0 and True are different data."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(value, right[key]) for key, value in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
