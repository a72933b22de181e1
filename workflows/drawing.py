"""Where a graph's steps and connections are drawn: layers from left to right. Pure, no Django.

Sugiyama's way, each pass about linear: layers by the longest path, stand-ins where a connection passes a layer, order
inside a layer by barycentre, then heights that keep lines straight. A template turns the result into SVG.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from workflows.graph import OUT, Edge, Graph, Node
from workflows.steps import way

WIDTH, HEIGHT = 200, 52
GAP, ROW_GAP, LANE = 52, 22, 10
MARGIN, RADIUS = 4, 10
LABEL = 12  # characters of a connection's label that are drawn
STAND_INS = 8  # for each step; beyond, connections that pass layers run straight behind the steps
SWEEPS = 4
TALL = 640


@dataclass(frozen=True, slots=True)
class Box:
    node: Node
    x: float
    y: float
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def right(self) -> float:
        return self.x + self.width


@dataclass(frozen=True, slots=True)
class Link:
    """All connections between two steps: one line. `label` is at (label_x, label_y), empty where it leaves by "out"."""

    edges: tuple[Edge, ...]
    path: str
    tip: str
    label: str
    label_x: float
    label_y: float


@dataclass(frozen=True, slots=True)
class Drawing:
    width: float
    height: float
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]


@dataclass(slots=True, eq=False)
class _Place:
    """A step in its layer, or (without node) the stand-in of a connection that passes that layer."""

    layer: int
    height: float
    node: Node | None = None
    row: float = 0
    y: float = 0
    before: list[_Place] = field(default_factory=list)
    after: list[_Place] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Line:
    """One line: from step to step, by way of its stand-ins."""

    edges: list[Edge]
    places: list[_Place]

    @property
    def label(self) -> str:
        source = self.places[0].node
        text = ", ".join(way(source, edge.handle) for edge in self.edges if source and edge.handle != OUT)
        return text if len(text) <= LABEL else text[: LABEL - 1] + "…"


def draw(graph: Graph) -> Drawing:
    places = _steps(graph)
    lines = _lines(graph, places)
    layers = _layers(places, lines)
    _untangle(layers)
    _straighten(layers)
    _move_into_view(layers)
    gap = GAP + 7 * max((len(line.label) for line in lines), default=0)
    mids = _mids(lines, gap)
    boxes = tuple(_box(place, gap) for place in places.values())
    links = tuple(_link(line, gap, mids) for line in lines)
    return Drawing(_left(len(layers), gap) - gap + MARGIN, _bottom(layers) + MARGIN, boxes, links)


# Layers


def _steps(graph: Graph) -> dict[str, _Place]:
    depth: dict[str, int] = {}
    for node_id in graph.order:
        depth[node_id] = max((depth[edge.source] + 1 for edge in graph.incoming[node_id]), default=0)
    return {node_id: _Place(depth[node_id], HEIGHT, graph.nodes[node_id]) for node_id in graph.nodes}


def _lines(graph: Graph, places: dict[str, _Place]) -> list[_Line]:
    pairs: dict[tuple[str, str], list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        pairs[edge.source, edge.target].append(edge)
    left = STAND_INS * len(graph.nodes)
    lines = []
    for (source, target), edges in pairs.items():
        passed = range(places[source].layer + 1, places[target].layer)
        passed = passed if len(passed) <= left else range(0)
        left -= len(passed)
        lines.append(_Line(edges, _joined([places[source], *(_Place(n, LANE) for n in passed), places[target]])))
    return lines


def _joined(places: list[_Place]) -> list[_Place]:
    for one, next_one in pairwise(places):
        one.after.append(next_one)
        next_one.before.append(one)
    return places


def _layers(places: dict[str, _Place], lines: list[_Line]) -> list[list[_Place]]:
    layers: list[list[_Place]] = [[] for _ in range(1 + max((place.layer for place in places.values()), default=-1))]
    for place in places.values():
        layers[place.layer].append(place)
    for line in lines:
        for stand_in in line.places[1:-1]:
            layers[stand_in.layer].append(stand_in)
    return layers


# Order inside the layers


def _untangle(layers: list[list[_Place]]) -> None:
    for layer in layers:
        _number(layer)
    for _ in range(SWEEPS):
        for layer in reversed(layers):
            _sort(layer, [place.after for place in layer])
        for layer in layers:
            _sort(layer, [place.before for place in layer])


def _sort(layer: list[_Place], neighbours: list[list[_Place]]) -> None:
    if len(layer) < 2:
        return
    for place, others in zip(layer, neighbours, strict=True):
        if others:
            place.row = sum(other.row for other in others) / len(others)
    layer.sort(key=lambda place: place.row)
    _number(layer)


def _number(layer: list[_Place]) -> None:
    # Rows count from the layer's middle, so that layers of different size stay comparable.
    for index, place in enumerate(layer):
        place.row = index - (len(layer) - 1) / 2


# Heights


def _straighten(layers: list[list[_Place]]) -> None:
    for layer in layers:
        _settle(layer, [0.0] * len(layer))
    for _ in range(SWEEPS):
        for layer in reversed(layers):
            _settle(layer, [_middle(place.after, place.y) for place in layer])
        for layer in layers:
            _settle(layer, [_middle(place.before, place.y) for place in layer])
    if _bottom(layers) - _top(layers) > TALL:
        # It will be scrolled, beginning at its top left: there, and not in the middle of nowhere, it must begin.
        for layer in reversed(layers):
            _settle(layer, [min((other.y for other in place.after), default=place.y) for place in layer])


def _top(layers: list[list[_Place]]) -> float:
    return min((place.y - place.height / 2 for layer in layers for place in layer), default=0)


def _bottom(layers: list[list[_Place]]) -> float:
    return max((place.y + place.height / 2 for layer in layers for place in layer), default=0)


def _middle(others: list[_Place], otherwise: float) -> float:
    return sum(other.y for other in others) / len(others) if others else otherwise


def _settle(layer: list[_Place], wanted: list[float]) -> None:
    """As near to the wanted heights as order and distance allow: least squares, by pooling neighbours that collide."""
    offsets = _offsets(layer)
    pools: list[tuple[float, int]] = []  # mean, size
    for want, offset in zip(wanted, offsets, strict=True):
        mean, size = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    means = [mean for mean, size in pools for _ in range(size)]
    for place, mean, offset in zip(layer, means, offsets, strict=True):
        place.y = mean + offset


def _offsets(layer: list[_Place]) -> list[float]:
    offsets = [0.0]
    for upper, lower in pairwise(layer):
        offsets.append(offsets[-1] + (upper.height + lower.height) / 2 + ROW_GAP)
    return offsets[: len(layer)]


def _move_into_view(layers: list[list[_Place]]) -> None:
    top = _top(layers)
    for layer in layers:
        for place in layer:
            place.y = round(place.y - top + MARGIN, 1)


# Lines


def _left(layer: int, gap: float) -> float:
    return MARGIN + layer * (WIDTH + gap)


def _box(place: _Place, gap: float) -> Box:
    assert place.node is not None
    return Box(place.node, _left(place.layer, gap), place.y - HEIGHT / 2)


def _mids(lines: Iterable[_Line], gap: float) -> dict[tuple[_Place, _Place], float]:
    """Where each line turns between two layers. Lines of one bundle share it; bundles that would overlap do not."""
    bundles: dict[int, dict[_Place, list[tuple[_Place, _Place]]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        for one, other in pairwise(line.places):
            centre = other if len(one.after) == 1 else one
            bundles[one.layer][centre].append((one, other))
    mids: dict[tuple[_Place, _Place], float] = {}
    for in_gap in bundles.values():
        mids.update(_tracks(list(in_gap.values()), gap))
    return mids


def _tracks(
    bundles: Sequence[list[tuple[_Place, _Place]]], gap: float
) -> Iterable[tuple[tuple[_Place, _Place], float]]:
    spans = sorted(((*_span(bundle), index) for index, bundle in enumerate(bundles)), key=lambda span: span[0])
    ends: list[float] = []
    track_of: dict[int, int] = {}
    for top, bottom, index in spans:
        free = next((n for n, end in enumerate(ends[:8]) if end < top), None)
        track = len(ends) if free is None else free
        ends[track : track + 1] = [bottom]
        track_of[index] = track
    # A label stands behind the turn, so the turns keep to the first part of the gap.
    step = min(8.0, (GAP - 24) / max(len(ends), 1))
    first = GAP / 2 - step * (len(ends) - 1) / 2
    for index, bundle in enumerate(bundles):
        for pair in bundle:
            yield pair, round(first + step * track_of[index], 1)


def _span(bundle: Iterable[tuple[_Place, _Place]]) -> tuple[float, float]:
    heights = [place.y for pair in bundle for place in pair]
    return min(heights), max(heights)


def _link(line: _Line, gap: float, mids: dict[tuple[_Place, _Place], float]) -> Link:
    first, end = line.places[0], line.places[-1]
    parts = [f"M{_left(first.layer, gap) + WIDTH:g} {first.y:g}"]
    for one, other in pairwise(line.places):
        turn = _left(one.layer, gap) + WIDTH + mids[one, other]
        parts.append(_turned(turn, one.y, other.y))
        parts.append(f"H{_left(other.layer, gap) + (WIDTH if other is not end else -5):g}")
    x, second = _left(end.layer, gap), line.places[1]
    label_x = _left(first.layer, gap) + WIDTH + mids[first, second] + 12
    tip = f"M{x - 7:g} {end.y - 4:g} {x:g} {end.y:g} {x - 7:g} {end.y + 4:g}z"
    return Link(tuple(line.edges), "".join(parts), tip, line.label, label_x, second.y - 6)


def _turned(x: float, y: float, to: float) -> str:
    """A step up or down at x, with round corners."""
    if abs(to - y) < 1:
        return ""
    way = 1 if to > y else -1
    r = min(RADIUS, abs(to - y) / 2)
    return f"H{x - r:g}q{r:g} 0 {r:g} {way * r:g}V{to - way * r:g}q0 {way * r:g} {r:g} {way * r:g}"
