"""What one does to a definition in the builder: each a small function that answers with the change. Pure, no Django.

Knows nothing of kinds: settings come ready. The canvas uses the same functions as the outline.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from workflows.errors import EditError
from workflows.graph import MAX_EDGES, OUT, Edge, Graph, Node, sketch
from workflows.splices import Change, Definition, Pen, Splice, edge_of, ends_of, numbered
from workflows.values import copied, same

NAMED = {"policy": "what happens when it fails"}
Onward = Callable[[Node], str]

# Steps


def add_step(
    definition: Definition,
    kind: str,
    data: Mapping[str, Any],
    *,
    after: str = "",
    handle: str = OUT,
    beside: bool = False,
    onward: str = OUT,
) -> Change:
    """A new step behind `after`: in the line, before all that followed there; with `beside`, at the same time as that.

    Without `after` it stands alone. `data` has its label, which is made unique; its id is made from that. `onward`: the
    handle by which it leads to what followed.
    """
    pen, graph = Pen(definition), sketch(definition)
    label = _fresh(str(data.get("label") or kind), {node.label for node in graph.nodes.values()})
    node_id = slug(label, graph.nodes)
    node = {"id": node_id, "type": kind, "data": {**data, "label": label}}
    if not after:
        pen.splice("nodes", len(pen.nodes), [], [node])
        return pen.change(f"Added “{label}”", node_id)
    index = _place(definition, after)
    pen.splice("nodes", index + 1, [], [node])
    _lead_through(pen, (after, handle), (node_id, onward), beside)
    return pen.change(f"Added “{label}” after “{graph.nodes[after].label}”", node_id)


def _lead_through(pen: Pen, start: tuple[str, str], through: tuple[str, str], beside: bool) -> None:
    for index, edge in enumerate(pen.edges):
        if not beside and ends_of(edge)[:2] == start:
            pen.swap("edges", index, _leaving(edge, *through))
    pen.link(*start, through[0])


def _leaving(edge: dict[str, Any], source: str, handle: str) -> dict[str, Any]:
    bare = {key: edge[key] for key in edge if key != "sourceHandle"} | {"source": source}
    return bare if handle == OUT else {**bare, "sourceHandle": handle}


def configure(definition: Definition, node_id: str, data: Mapping[str, Any]) -> Change:
    """The step's settings, label included. An empty list of splices where nothing differs."""
    index = _place(definition, node_id)
    before = definition["nodes"][index]
    pen, old = Pen(definition), before.get("data") or {}
    changed = _changed(old, data)
    pen.swap("nodes", index, {**before, "data": dict(data)} if changed else before)
    return pen.change(configured(node_id, old, data), node_id, f"{node_id} {' '.join(changed)}"[:200])


def configured(node_id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """In words, what differs between two settings of a step."""
    was, now = (str(data.get("label") or node_id) for data in (old, new))
    changed = [key for key in _changed(old, new) if key != "label"]
    if was != now:
        return f"Renamed “{was}” to “{now}”" + (f" and changed {_listed(changed)}" if changed else "")
    return f"Changed {_listed(changed)} of “{now}”"


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*old, *new} if key not in old or key not in new or not same(old[key], new[key]))


def delete(definition: Definition, node_id: str) -> Change:
    """Without the step; what led to it leads to what followed it."""
    pen, graph = Pen(definition), sketch(definition)
    index = _place(definition, node_id)
    pen.rewire(_healed(pen.edges, graph, node_id))
    pen.splice("nodes", index, [pen.nodes[index]], [])
    before = graph.incoming[node_id][0].source if graph.incoming[node_id] else None
    return pen.change(f"Deleted “{graph.nodes[node_id].label}”", before or next(iter(pen.nodes), {}).get("id"))


def _healed(edges: list[dict[str, Any]], graph: Graph, node_id: str) -> list[dict[str, Any]]:
    """The connections without the step. New ones stand where the old ones stood: the order of connections says whose
    data wins."""
    leads, follow = graph.incoming[node_id], graph.outgoing[node_id]
    if len(leads) * len(follow) > MAX_EDGES:
        label = graph.nodes[node_id].label
        many = f"{len(leads):,} connections to {len(follow):,}"
        raise EditError(f"“{label}” leads {many}: without it there would be too many. Disconnect some of them first.")
    drawn, ids = {ends_of(edge) for edge in edges}, {str(edge.get("id")) for edge in edges}
    healed: list[dict[str, Any]] = []
    for edge in edges:
        if edge["source"] == node_id:
            new = [ends for lead in leads if (ends := (lead.source, lead.handle, edge["target"])) not in drawn]
            for ends in dict.fromkeys(new):
                healed.append(edge_of(*ends, ids))
                ids.add(healed[-1]["id"])
            drawn.update(new)
        elif edge["target"] != node_id:
            healed.append(edge)
    return healed


def duplicate(definition: Definition, node_id: str, onward: str = OUT) -> Change:
    """The same step once more, right behind it in the line. `onward`: the handle by which both lead on."""
    original = definition["nodes"][_place(definition, node_id)]
    data = {**(original.get("data") or {}), "label": _label(original)}
    made = add_step(definition, original["type"], data, after=node_id, handle=onward, onward=onward)
    return replace(made, words=f"Duplicated “{_label(original)}”")


def move(definition: Definition, node_id: str, by: Literal[-1, 1], onward: Onward = lambda node: OUT) -> Change:
    """Changes places with the step before or after it in the outline: in the line where they are connected, else only
    in the order in which they are listed and started. `onward`: by which handle a step leads on."""
    graph = sketch(definition)
    _place(definition, node_id)
    at = graph.order.index(node_id) + by
    if not 0 <= at < len(graph.order):
        raise EditError(f"“{graph.nodes[node_id].label}” is {'first' if by < 0 else 'last'} already.")
    other, pen = graph.order[at], Pen(definition)
    if any(edge.target in (node_id, other) for end in (node_id, other) for edge in graph.outgoing[end]):
        for name in (node_id, other):
            _refuse_fork(graph, name)
        _exchange_ends(pen, graph, node_id, other, onward)
    one, two = _place(definition, node_id), _place(definition, other)
    nodes = pen.nodes
    pen.swap("nodes", one, nodes[two])
    pen.swap("nodes", two, nodes[one])
    word = "before" if by < 0 else "after"
    return pen.change(f"Moved “{graph.nodes[node_id].label}” {word} “{graph.nodes[other].label}”", node_id)


def _refuse_fork(graph: Graph, node_id: str) -> None:
    """Nobody can tell which of its ways should lead to the other step."""
    if len({edge.handle for edge in graph.outgoing[node_id]}) > 1:
        label = graph.nodes[node_id].label
        raise EditError(
            f"“{label}” leads more than one way, so it cannot change places. Connect the steps anew instead."
        )


def _exchange_ends(pen: Pen, graph: Graph, one: str, two: str, onward: Onward) -> None:
    other = {one: two, two: one}
    for index, edge in enumerate(pen.edges):
        moved = {**edge, "target": other.get(edge["target"], edge["target"])}
        source = other.get(edge["source"])
        pen.swap("edges", index, _leaving(moved, source, onward(graph.nodes[source])) if source else moved)


# Connections


def connect(definition: Definition, source: str, handle: str, target: str) -> Change:
    """`target` runs after `source`. Refuses a cycle in words."""
    graph = sketch(definition)
    for node_id in (source, target):
        _place(definition, node_id)
    one, two = graph.nodes[source].label, graph.nodes[target].label
    if source == target or source in graph.after(target):
        raise EditError(f"“{two}” cannot run after “{one}”, since “{one}” already runs after “{two}”.")
    if Edge(source, target, handle) in graph.edges:
        raise EditError(f"“{two}” runs after “{one}” already.")
    pen = Pen(definition)
    pen.link(source, handle, target)
    return pen.change(f"Connected “{one}” to “{two}”", target)


def disconnect(definition: Definition, source: str, handle: str, target: str) -> Change:
    graph, pen = sketch(definition), Pen(definition)
    found = [at for at, edge in enumerate(pen.edges) if ends_of(edge) == (source, handle, target)]
    if not found:
        raise EditError("This connection is not there any more.")
    for at in reversed(found):
        pen.unlink(at)
    return pen.change(f"Disconnected “{graph.nodes[source].label}” from “{graph.nodes[target].label}”", target)


# The whole


def rewrite(definition: Definition, new: Definition, words: str) -> Change:
    """Another definition in place of this one: typed as JSON, imported, taken back from a version. It may be broken."""
    splices = [Splice("definition", 0, [copied(definition)], [copied(new)])] if not same(definition, new) else []
    return Change(words[:300], splices)


def joined(first: Change, then: Change) -> Change | None:
    """Two changes of the same subject in a row as one; None where they must stay two."""
    if not first.subject or first.subject != then.subject or len(first.splices) != 1 or len(then.splices) != 1:
        return None
    one, two = first.splices[0], then.splices[0]
    if (one.at, one.index, one.after) != (two.at, two.index, two.before):
        return None
    old, new = ((splice[0].get("data") or {}) for splice in (one.before, two.after))
    words = configured(then.node or "", old, new)
    return replace(then, words=words, splices=[] if same(one.before, two.after) else [replace(one, after=two.after)])


# Ids, labels, places


def slug(label: str, taken: Iterable[str]) -> str:
    """An id from a label: “Call the API” is call-the-api, the second one call-the-api-2."""
    words = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:48].strip("-") or "step"
    return numbered(words, set(taken), "-")


def _fresh(label: str, taken: set[str]) -> str:
    bare = re.sub(r" \d+\Z", "", label) if label in taken else label
    return numbered(bare, taken, " ")


def node_of(definition: Definition, node_id: str) -> Node:
    """The step; raises EditError where it is gone."""
    node = definition["nodes"][_place(definition, node_id)]
    return Node(node["id"], node["type"], node.get("data") or {})


def _place(definition: Definition, node_id: str) -> int:
    for index, node in enumerate(sketch(definition).nodes):
        if node == node_id:
            return index
    raise EditError(f"There is no step “{node_id[:64]}” any more.")


def _label(node: Mapping[str, Any]) -> str:
    return str((node.get("data") or {}).get("label") or node["id"])


def _listed(names: list[str]) -> str:
    words = [NAMED.get(name, name.replace("_", " ")) for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words) or "nothing"
