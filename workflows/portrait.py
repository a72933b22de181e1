"""A definition as it is read: the drawn graph, and the steps in order with their settings in words.

Nothing here depends on who looks, and nothing can be changed: that is the builder (scene.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from workflows.drawing import draw
from workflows.errors import DefinitionError
from workflows.graph import Graph, Node, parse
from workflows.sayings import said, title
from workflows.scene import DRAWN
from workflows.steps import kind_of
from workflows.steps.base import RESERVED
from workflows.ways import end

GLANCE = 400  # characters of a setting
Context = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step as the drawing and the outline show it. `settings`: pairs of a title and a value in words."""

    node_id: str
    label: str
    kind: str
    icon: str
    after: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    notes: str


@dataclass(frozen=True, slots=True)
class _Box:
    """What is drawn of a step: little, since it is the key under which the drawing is kept."""

    node_id: str
    label: str
    kind: str
    icon: str

    @classmethod
    def of(cls, step: Step) -> _Box:
        return cls(step.node_id, step.label, step.kind, step.icon)


def portrait(definition: Any) -> Context:
    """For the templates: `steps`, and where it can be drawn `drawing`, `boxes` and `links_html`."""
    try:
        graph = parse(definition)
    except DefinitionError:
        return {"steps": []}
    steps = {node_id: _step(graph, graph.nodes[node_id]) for node_id in graph.order}
    return {"steps": list(steps.values()), **(_drawn(graph, steps) if len(steps) <= DRAWN else {})}


def _drawn(graph: Graph, steps: dict[str, Step]) -> Context:
    drawing = draw(graph)
    return {
        "drawing": drawing,
        "boxes": [(box, _node_html(_Box.of(steps[box.node.id]))) for box in drawing.boxes],
        "links_html": render_to_string("workflows/_links.html", {"links": [(link, "") for link in drawing.links]}),
    }


def _step(graph: Graph, node: Node) -> Step:
    kind = kind_of(node)
    after = tuple(end(graph, edge) for edge in graph.incoming[node.id])
    settings = tuple((title(node.type, key), _shown(node.data[key])) for key in node.data if key not in RESERVED)
    return Step(node.id, node.label, kind.label, kind.icon, after, settings, str(node.data.get("notes") or ""))


def _shown(value: Any) -> str:
    """A text as it is, as far as it is read at a glance; everything else as in a sentence."""
    if isinstance(value, str) and value:
        return value if len(value) <= GLANCE else f"{value[:GLANCE]}…"
    return said(value)


@lru_cache(maxsize=1_024)
def _node_html(step: _Box) -> SafeString:
    return render_to_string("workflows/_node.html", {"lane": step, "href": f"#step-{step.node_id}"})
