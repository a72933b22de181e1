"""Everything that the builder shows of a draft at one moment: outline, drawing, problems. Writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from workflows.drawing import Drawing, draw
from workflows.errors import DefinitionError, Problem
from workflows.graph import OUT, Graph, Node, sketch
from workflows.models import Workflow
from workflows.models.workflow import definition_problems
from workflows.sayings import kind_label
from workflows.steps import kind_of
from workflows.ways import end

DRAWN = 300  # steps; a larger drawing can no longer be read


@dataclass(frozen=True, slots=True)
class Mark:
    """How a step fared in the last execution: completed, failed, skipped or cancelled, and how long it took."""

    status: str
    took_ms: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """A step as the drawing and the outline show it. `after`: the labels of those it runs after, where that is not
    simply the one above. `is_inner`: it runs once for each item of another step."""

    node_id: str
    label: str
    kind: str
    icon: str
    after: tuple[str, ...]
    is_first: bool
    is_inner: bool
    problem: str
    level: str
    mark: Mark | None
    href: str
    add_href: str


@dataclass(frozen=True, slots=True)
class Scene:
    """`graph` is None for a draft whose structure is broken: it can only be mended as JSON."""

    graph: Graph | None
    steps: list[Step]
    problems: list[Problem]
    drawing: Drawing | None
    boxes: list[tuple[Any, SafeString]]
    links_html: SafeString

    @property
    def leaves(self) -> list[str]:
        return self.graph.leaves if self.graph else []

    @property
    def last(self) -> str:
        """Where the next step most likely goes: after the last one."""
        return self.steps[-1].node_id if self.steps else ""

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.level == "error"]


def scene(workflow: Workflow, selected: str = "", marks: Mapping[str, Mark] | None = None) -> Scene:
    definition = workflow.definition
    problems = definition_problems(definition, workflow)
    try:
        graph = sketch(definition)
    except DefinitionError:
        return Scene(None, [], problems, None, [], SafeString())
    steps = _steps(workflow, graph, problems, marks or {})
    if not steps or len(steps) > DRAWN:
        return Scene(graph, steps, problems, None, [], SafeString())
    return Scene(graph, steps, problems, *_drawn(graph, steps, selected))


def _steps(workflow: Workflow, graph: Graph, problems: list[Problem], marks: Mapping[str, Mark]) -> list[Step]:
    by_node: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_node[problem.node or ""].append(problem)
    base = reverse("workflows:steps", args=[workflow.pk])
    above = {node_id: graph.order[n - 1] if n else "" for n, node_id in enumerate(graph.order)}
    return [
        _step(base, graph, graph.nodes[node_id], by_node[node_id], above[node_id], marks.get(node_id))
        for node_id in graph.order
    ]


def _step(base: str, graph: Graph, node: Node, problems: list[Problem], above: str, mark: Mark | None) -> Step:
    kind, incoming = kind_of(node), graph.incoming[node.id]
    is_plain = len(incoming) == 1 and incoming[0].source == above and incoming[0].handle == OUT
    return Step(
        node_id=node.id,
        label=node.label,
        kind=kind_label(node.type),
        icon=kind.icon,
        after=() if is_plain else tuple(end(graph, edge) for edge in incoming),
        is_first=not incoming,
        is_inner=node.id in graph.inner,
        problem=problems[0].message.removeprefix(f"Step “{node.label}”: ") if problems else "",
        level=problems[0].level if problems else "",
        mark=mark,
        href=f"{base}{node.id}/",
        add_href=f"{base}?after={node.id}",
    )


def _drawn(graph: Graph, steps: list[Step], selected: str) -> tuple[Drawing, list[tuple[Any, SafeString]], SafeString]:
    drawing, by_id = draw(graph), {step.node_id: step for step in steps}
    boxes = [(box, _box(by_id[box.node.id], box.node.id == selected)) for box in drawing.boxes]
    return drawing, boxes, render_to_string("workflows/_links.html", {"links": [(link, "") for link in drawing.links]})


@lru_cache(maxsize=1_024)
def _box(step: Step, is_selected: bool) -> SafeString:
    return render_to_string("workflows/_box.html", {"step": step, "is_selected": is_selected})
