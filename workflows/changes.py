"""What differs between two definitions, in words. Pure, no Django; a definition may be as broken as a draft can be.

What changes how it runs stands in sentences of its own; what only changes how it is drawn is counted in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from workflows.graph import OUT, Node
from workflows.sayings import cut, is_short, kind_label, listed, said, title
from workflows.steps import way
from workflows.steps.base import RESERVED
from workflows.values import same
from workflows.words import count

LOOKS = frozenset(
    {
        *("position", "positionAbsolute", "sourcePosition", "targetPosition", "width", "height", "measured", "zIndex"),
        *("initialWidth", "initialHeight", "handles", "selected", "dragging", "resizing", "hidden", "style"),
        *("className", "draggable", "selectable", "connectable", "deletable", "focusable", "ariaLabel"),
    }
)  # of a node, as React Flow keeps them: none says what a step does

SAID = LOOKS | {"id", "type"}

Entry = dict[str, Any]
Ends = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """`node`: the step that it is about, where the newer definition has that step."""

    words: str
    node: str | None = None


def told(before: Any, after: Any) -> list[Difference]:
    """Everything that differs, steps first, in the order of the newer definition. Empty only for equal ones."""
    if same(before, after):
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [Difference("Replaced the whole definition")]
    old, new = _Sheet.of(before), _Sheet.of(after)
    steps = [*_steps(old, new), *_deleted(old, new)]
    found = [*steps, *_connections(old, new), *_orders(old, new), *_looks(old, new), *_rest(before, after, old, new)]
    return found or [Difference("Changed something that words cannot tell")]


@dataclass(slots=True)
class _Sheet:
    """A definition as far as it can be read. `odd`: what stands among nodes and edges and is none."""

    nodes: dict[str, Entry] = field(default_factory=dict)
    edges: dict[Ends, Entry] = field(default_factory=dict)
    incoming: dict[str, list[Ends]] = field(default_factory=dict)
    odd: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, definition: Entry) -> _Sheet:
        sheet = cls()
        for node in _items(definition.get("nodes")):
            node_id = node.get("id") if isinstance(node, dict) else None
            if isinstance(node_id, str) and node_id not in sheet.nodes:
                sheet.nodes[node_id] = node
            else:
                sheet.odd.append(node)
        for edge in _items(definition.get("edges")):
            sheet._connect(_ends(edge), edge)
        return sheet

    def _connect(self, ends: Ends | None, edge: Any) -> None:
        if ends is None or ends in self.edges:
            self.odd.append(edge)
            return
        self.edges[ends] = edge
        self.incoming.setdefault(ends[2], []).append(ends)

    def label(self, node_id: str) -> str:
        label = _data(self.nodes.get(node_id, {})).get("label")
        return cut(str(label or node_id))

    def runs_after(self, node_id: str) -> list[Ends]:
        return self.incoming.get(node_id, [])

    def source(self, ends: Ends) -> str:
        """“Urgent?” (true): the step that it comes from, and by which of its ends."""
        entry = self.nodes.get(ends[0], {})
        node = Node(ends[0], str(entry.get("type")), _data(entry))
        return f"“{self.label(ends[0])}”" + (f" ({cut(way(node, ends[1]))})" if ends[1] != OUT else "")

    def sources(self, edges: Iterable[Ends]) -> str:
        return " and ".join(self.source(ends) for ends in edges)


# Steps


def _steps(old: _Sheet, new: _Sheet) -> Iterator[Difference]:
    for node_id, node in new.nodes.items():
        if same(old.nodes.get(node_id), node):
            continue
        if node_id in old.nodes:
            sentences = _changed(node_id, old.nodes[node_id], node, old, new)
        else:
            after = new.runs_after(node_id)
            place = f" after {new.sources(after)}" if after else ""
            sentences = iter([f"Added “{new.label(node_id)}”{place}"])
        yield from (Difference(words, node_id) for words in sentences)


def _deleted(old: _Sheet, new: _Sheet) -> Iterator[Difference]:
    for node_id in old.nodes:
        if node_id not in new.nodes:
            yield Difference(f"Deleted “{old.label(node_id)}”")


def _changed(node_id: str, was: Entry, now: Entry, old: _Sheet, new: _Sheet) -> Iterator[str]:
    one, other = old.label(node_id), new.label(node_id)
    if one != other:
        yield f"Renamed “{one}” to “{other}”"
    if not same(was.get("type"), now.get("type")):
        yield f"Changed the kind of “{other}” from {kind_label(was.get('type'))} to {kind_label(now.get('type'))}"
    before, after = _data(was), _data(now)
    for key in _keys(before, after):
        if key != "label" or one == other:
            yield from (f"“{other}”: {words}" for words in _value(_title(now, key), before, after, key))
    for key in _keys(was, now):
        if key not in SAID and (key != "data" or same(before, after)):
            yield from (f"“{other}”: {words}" for words in _value(cut(key), was, now, key))


def _title(node: Entry, key: str) -> str:
    return {"policy": "what happens when it fails"}.get(key, key) if key in RESERVED else title(node.get("type"), key)


def _value(name: str, before: Entry, after: Entry, key: str) -> Iterator[str]:
    """How one value changed, as the end of a sentence; nothing where it did not."""
    if key not in before:
        yield f"{name} set to {said(after[key])}"
    elif key not in after:
        yield f"{name} removed, it was {said(before[key])}"
    elif not same(before[key], after[key]):
        yield f"{name} {_turned(before[key], after[key])}"


def _turned(was: Any, now: Any) -> str:
    if isinstance(was, str) and isinstance(now, str) and not (is_short(was) and is_short(now)):
        return f"changed ({len(was):,} to {count(len(now), 'character')})"
    entries, others = _by_name(was), _by_name(now)
    if entries is not None and others is not None:
        return f"changed ({_entries(entries, others) or 'in another order'})"
    one, other = said(was), said(now)
    return f"changed from {one} to {other}" if one != other else f"changed, still {other}"


def _by_name(value: Any) -> Entry | None:
    """An object, or a list of objects that have names, such as the fields of an input; None for all else."""
    if isinstance(value, dict):
        return value
    named = isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("name"), str) for item in value
    )
    found = {item["name"]: item for item in value} if named else {}
    return found if found and len(found) == len(value) else None


def _entries(was: Entry, now: Entry) -> str:
    groups = {
        "added": [key for key in now if key not in was],
        "removed": [key for key in was if key not in now],
        "new value of": [key for key in now if key in was and not same(was[key], now[key])],
    }
    return ", ".join(f"{word} {listed(keys)}" for word, keys in groups.items() if keys)


# Connections


def _connections(old: _Sheet, new: _Sheet) -> Iterator[Difference]:
    """By the step that they lead to. What an added or a deleted step brings or takes along was said with it."""
    elsewhere = [*old.incoming, *new.incoming]  # a connection may lead to no step at all
    for node_id in dict.fromkeys([*new.nodes, *elsewhere]):
        if (node_id in old.nodes) != (node_id in new.nodes):
            continue
        added = [ends for ends in new.runs_after(node_id) if ends not in old.edges]
        lost = [ends for ends in old.runs_after(node_id) if ends not in new.edges]
        lost = [ends for ends in lost if ends[0] in new.nodes or ends[0] not in old.nodes]
        words = [f"now runs after {new.sources(added)}"] if added else []
        words += [f"no longer {'' if added else 'runs '}after {old.sources(lost)}"] if lost else []
        if words:
            yield Difference(f"“{new.label(node_id)}” {' and '.join(words)}", node_id if node_id in new.nodes else None)


def _orders(old: _Sheet, new: _Sheet) -> Iterator[Difference]:
    if [node_id for node_id in old.nodes if node_id in new.nodes] != [key for key in new.nodes if key in old.nodes]:
        yield Difference("Changed the order in which the steps are listed")
    if [ends for ends in old.edges if ends in new.edges] != [ends for ends in new.edges if ends in old.edges]:
        yield Difference("Changed the order of the connections: where several meet, the later one’s data wins")


# The rest


def _looks(old: _Sheet, new: _Sheet) -> Iterator[Difference]:
    def moved(one: Entry, other: Entry) -> bool:
        keys = LOOKS.intersection([*one, *other])
        return not same(
            {key: one[key] for key in keys if key in one}, {key: other[key] for key in keys if key in other}
        )

    steps = sum(moved(old.nodes[key], node) for key, node in new.nodes.items() if key in old.nodes)
    lines = sum(not same(old.edges[ends], edge) for ends, edge in new.edges.items() if ends in old.edges)
    if steps:
        yield Difference(f"Moved or resized {count(steps, 'step')} in the drawing")
    if lines:
        yield Difference(
            f"Changed what {count(lines, 'connection')} {'is' if lines == 1 else 'are'} called or look like"
        )


def _rest(before: Entry, after: Entry, old: _Sheet, new: _Sheet) -> Iterator[Difference]:
    for key in _keys(before, after):
        if key == "viewport":
            yield from (Difference("Moved the view of the drawing") for _ in _value(key, before, after, key))
        elif key not in ("nodes", "edges"):
            yield from (Difference(f"The definition’s {words}") for words in _value(listed([key]), before, after, key))
    if not same(old.odd, new.odd):
        yield Difference("Changed what is neither a step nor a connection, among both")


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _data(node: Entry) -> Entry:
    data = node.get("data")
    return data if isinstance(data, dict) else {}


def _ends(edge: Any) -> Ends | None:
    if not isinstance(edge, dict):
        return None
    ends = edge.get("source"), edge.get("sourceHandle") or OUT, edge.get("target")
    return ends if all(isinstance(end, str) for end in ends) else None  # type: ignore[return-value]


def _keys(before: Entry, after: Entry) -> list[str]:
    """All of both, in the newer one's order."""
    return [*after, *(key for key in before if key not in after)]
