"""A change of a definition as splices: at this place, these items become those. Pure, no Django.

The inverse of a change is the same list backwards with both sides exchanged. A splice that does not find what it
expects is refused, so nothing is ever overwritten unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, Literal

from workflows.errors import EditError
from workflows.graph import OUT, check
from workflows.values import copied, same

Place = Literal["nodes", "edges", "definition"]
Definition = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Splice:
    """At `index` of the definition's `at` list, `before` becomes `after`; one of both may be empty."""

    at: Place
    index: int
    before: list[Any]
    after: list[Any]

    def inverse(self) -> Splice:
        return replace(self, before=self.after, after=self.before)


@dataclass(frozen=True, slots=True)
class Change:
    """`words`: what was done, as history tells it. `node`: where one goes on. `subject`: changes in a row of the same
    subject are one to whoever undoes them; empty for those that stand alone."""

    words: str
    splices: list[Splice]
    node: str | None = None
    subject: str = ""

    def inverse(self) -> Change:
        return replace(self, splices=[splice.inverse() for splice in reversed(self.splices)])


def apply(definition: Definition, change: Change) -> Definition:
    """The definition after the change, in containers of its own. Raises EditError where it does not fit any more."""
    made = copied(definition)
    for splice in change.splices:
        made = _applied(made, splice)
    return made


def _applied(made: Definition, splice: Splice) -> Definition:
    items = [made] if splice.at == "definition" else list(made.get(splice.at) or [])
    end = splice.index + len(splice.before)
    if items[splice.index : end] != splice.before:
        raise EditError("The draft has changed meanwhile in the same place, so this does not fit any more.")
    items[splice.index : end] = copied(splice.after)
    if splice.at == "definition":
        return dict(items[0])
    return {**made, splice.at: items}


@dataclass(slots=True)
class Pen:
    """Writes on a copy of a definition and keeps the splices."""

    definition: Definition
    splices: list[Splice] = field(default_factory=list)

    # As they are at this moment: each splice makes a new list, so one can be walked while the next is written.

    @property
    def nodes(self) -> list[dict[str, Any]]:
        return self.definition.get("nodes") or []

    @property
    def edges(self) -> list[dict[str, Any]]:
        return self.definition.get("edges") or []

    def splice(self, at: Place, index: int, before: list[Any], after: list[Any]) -> None:
        done = Splice(at, index, copied(before), copied(after))
        self.definition = _applied(self.definition, done)
        self.splices.append(done)

    def swap(self, at: Place, index: int, after: dict[str, Any]) -> None:
        before = self.nodes[index] if at == "nodes" else self.edges[index]
        if not same(before, after):
            self.splice(at, index, [before], [after])

    def rewire(self, edges: list[dict[str, Any]]) -> None:
        """These connections in place of all: one splice of what differs, however much that is."""
        first = _alike(self.edges, edges)
        last = _alike(self.edges[first:][::-1], edges[first:][::-1])
        before, after = self.edges[first : len(self.edges) - last], edges[first : len(edges) - last]
        if before or after:
            self.splice("edges", first, before, after)

    def link(self, source: str, handle: str, target: str) -> None:
        """Draws a connection that is not there yet."""
        if not any(ends_of(edge) == (source, handle, target) for edge in self.edges):
            ids = {str(edge.get("id")) for edge in self.edges}
            self.splice("edges", len(self.edges), [], [edge_of(source, handle, target, ids)])

    def unlink(self, index: int) -> None:
        self.splice("edges", index, [self.edges[index]], [])

    def change(self, words: str, node: str | None = None, subject: str = "") -> Change:
        """What was written, checked: no change may break the structure of a definition."""
        broken = [problem for problem in check(self.definition) if problem.code != "graph.empty"]
        if broken:
            raise EditError(broken[0].message)
        return Change(words[:300], self.splices, node, subject)


def ends_of(edge: Mapping[str, Any]) -> tuple[str, str, str]:
    return edge["source"], edge.get("sourceHandle") or OUT, edge["target"]


def _alike(some: list[Any], others: list[Any]) -> int:
    """With how many of the same objects both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(some, others, strict=False)))


def edge_of(source: str, handle: str, target: str, ids: set[str]) -> dict[str, Any]:
    """With an id that is not among `ids`: React Flow wants one."""
    name = f"{source}-{target}" if handle == OUT else f"{source}-{handle}-{target}"
    edge_id = numbered(name, ids, "-")
    edge = {"id": edge_id, "source": source, "target": target}
    return edge if handle == OUT else {**edge, "sourceHandle": handle}


def numbered(name: str, taken: set[str], between: str) -> str:
    number, tried = 1, name
    while tried in taken:
        number += 1
        tried = f"{name}{between}{number}"
    return tried
