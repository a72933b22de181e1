"""What a step saw and made, from what the journal keeps of it. Pure: no Django.

A chain of n steps must cost O(n) bytes, though each step's input holds all that came before. So an entry keeps only
what its step added to its incoming data (`pack`), and the rest is rebuilt on reading (`unpack`, `Ledger`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from executions.planner import Entry, State, live_edges
from workflows.graph import OUT, Graph

Data = dict[str, Any]
E = TypeVar("E", bound=Entry)


def pack(incoming: Data, output: Mapping[str, Any], handle: str = OUT) -> Data:
    """A completed entry's data.

    "added": the keys that differ from the incoming data. "kept": the names of those that do not; True for all of
    them but those in "left". "whole": the keys that hold the incoming data itself, as `output` steps do. "handle",
    where it is not "out".
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
    return packed


def unpack(incoming: Data, packed: Mapping[str, Any]) -> Data:
    """The output that pack() was given."""
    kept, left = packed.get("kept", []), packed.get("left", ())
    names = (key for key in incoming if key not in left) if kept is True else kept
    output = {key: incoming[key] for key in names}
    output.update(packed["added"])
    output.update({key: dict(incoming) for key in packed.get("whole", [])})
    return output


class Ledger:
    """Each step's data while an execution goes on: `incoming` of those under way, `accumulated` of those that ended.

    Apply every entry to it before its State. It forgets what no later step can ask for, so a long chain stays small.
    """

    def __init__(self, graph: Graph, given: Data) -> None:
        self.graph = graph
        self.given = given
        self.incoming: dict[str, Data] = {}
        self.accumulated: dict[str, Data] = {}
        self._readers = {node_id: len(edges) for node_id, edges in graph.outgoing.items()}

    def apply(self, entry: Entry, state: State) -> None:
        """`state`: as it was before the entry."""
        if entry.node is None or entry.node not in self.graph.nodes:
            return
        if entry.kind == "started" and entry.node not in self.incoming:
            self.incoming[entry.node] = self._merged(entry.node, state)
        elif entry.kind == "skipped":
            self._release(entry.node)
        elif entry.kind in ("completed", "reused"):
            incoming = self.incoming.pop(entry.node, {})
            self.accumulated[entry.node] = {**incoming, **unpack(incoming, _told(entry))}

    def result(self, state: State) -> Data:
        """The execution's output: the accumulated data of every leaf that completed, merged in definition order."""
        merged: Data = {}
        for node_id in self.graph.leaves:
            merged.update(self.accumulated.get(node_id, {}))
        return merged

    def _merged(self, node_id: str, state: State) -> Data:
        if not self.graph.incoming[node_id]:
            return dict(self.given)
        merged: Data = {}
        for edge in live_edges(self.graph, state, node_id):
            merged.update(self.accumulated[edge.source])
        self._release(node_id)
        return merged

    def _release(self, node_id: str) -> None:
        for edge in self.graph.incoming[node_id]:
            self._readers[edge.source] -= 1
            if not self._readers[edge.source]:
                self.accumulated.pop(edge.source, None)


def replay(graph: Graph, given: Data, entries: Iterator[E]) -> Iterator[tuple[E, Data, Data | None]]:
    """For each entry that ends a step's attempt: the entry, the data it saw, and its output where it completed."""
    state, ledger = State(), Ledger(graph, given)
    for entry in entries:
        incoming = ledger.incoming.get(entry.node or "", {})
        ledger.apply(entry, state)
        state.apply(entry)
        if entry.kind in ("completed", "reused"):
            # A version that somebody broke by hand has lost the step: what it added is all that is left to say.
            packed = _told(entry)
            yield entry, incoming, unpack(incoming, packed) if entry.node in graph.nodes else packed["added"]
        elif entry.kind in ("failed", "retried", "cancelled", "abandoned") and entry.node:
            yield entry, incoming, None


def _told(entry: Entry) -> Mapping[str, Any]:
    """Its data. Where some of what it added is kept in files, whoever read those has put the whole into `added`."""
    added = getattr(entry, "added", None)
    return entry.data if added is None else {**entry.data, "added": added}


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
