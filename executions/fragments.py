"""The pieces of an execution's page that change: rendered once, the same bytes for every viewer.

No CSRF token, no user name, no right inside; those stand in the page's shell. Each piece is keyed by its DOM id, is
whole in itself and can be sent twice without harm, so whoever sends may leave out the pieces that did not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape

from django.template.loader import get_template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, strip_spaces_between_tags
from django.utils.safestring import SafeString, mark_safe

from executions.around import around
from executions.models import ExecutionLog, WorkflowExecution
from executions.planner import State
from executions.scene import Scene, scene
from executions.timeline import Lane
from executions.words import said
from workflows.graph import Graph
from workflows.steps import way
from workflows.templatetags.words import moment
from workflows.words import iso

Pieces = dict[str, str]  # part of the page -> its HTML
PARTS = ("status", "progress", "why", "failure", "stopped", "items", "result", "axis")


def entries(execution: WorkflowExecution, graph: Graph, rows: Iterable[ExecutionLog]) -> list[tuple[int, str]]:
    """(seq, <li>) for each row of the journal. Ten thousand take a fraction of a second: see _entry()."""
    return [(row.seq, _entry(execution.pk, graph, row)) for row in rows]


def appended(execution: WorkflowExecution, items: Sequence[str]) -> str:
    """What puts these entries at the end of the log."""
    if not items:
        return ""
    return f'<hx-partial hx-target="#execution-{execution.pk}-log" hx-swap="beforeend">{"".join(items)}</hx-partial>'


def state(execution: WorkflowExecution, graph: Graph, state: State) -> str:
    """Everything but the log, as of this State."""
    return placed(execution.pk, pieces(execution, graph, state))


def pieces(execution: WorkflowExecution, graph: Graph, state: State) -> Pieces:
    """The same, piece by piece: part -> HTML. The part "status" is the element with the id "execution-12-status"."""
    return of_scene(scene(execution, graph, state, timezone.now(), around(execution, graph, state)))


def changed(pieces: Pieces, before: Mapping[str, str]) -> Pieces:
    """Those that a viewer who has seen `before` still needs."""
    return {part: html for part, html in pieces.items() if before.get(part) != html}


def placed(execution_id: int, pieces: Mapping[str, str]) -> str:
    """Pieces as one frame for the socket."""
    return "".join(_placed(f"execution-{execution_id}-{part}", part, html) for part, html in pieces.items())


def _placed(dom_id: str, part: str, html: str) -> str:
    if part == "title":
        return html
    return f'<hx-partial hx-target="#{dom_id}" hx-swap="outerMorph">{html}</hx-partial>'


def of_scene(shown: Scene) -> Pieces:
    title = format_html("<title>{} · {} #{} · Stepstream</title>", shown.word, shown.name, shown.execution_id)
    found: Pieces = {"title": title}
    found |= {part: _rendered(part, shown) for part in PARTS}
    found["waits"] = waits(shown)
    if shown.is_large:
        return {**found, "steps": _rendered("steps", shown)}
    if shown.drawing is not None:
        found["links"] = links(shown)
        found |= {f"node-{lane.node_id}": node(shown.execution_id, lane) for _, lane in shown.boxes}
    return found | {f"step-{lane.node_id}": row(shown.execution_id, lane, shown.axis.span_ms) for lane in shown.lanes}


def _rendered(part: str, shown: Scene) -> str:
    return _compact(f"executions/_{part}.html", {"scene": shown})


def waits(shown: Scene, forms: Mapping[str, str] | None = None) -> str:
    """What it asks of the world outside. `forms`: by step, the form for who looks; the live piece has none."""
    asks = [(ask, (forms or {}).get(ask.node_id, "")) for ask in shown.asks]
    return _compact("executions/_waits.html", {"scene": shown, "asks": asks})


def links(shown: Scene) -> str:
    """The connections of the drawn graph."""
    return _rendered("links", shown)


# Most steps look as they did a moment ago, so what was rendered is kept.


@lru_cache(maxsize=4_096)
def node(execution_id: int, lane: Lane) -> SafeString:
    """A step in the drawn graph."""
    context: dict[str, object] = {"lane": lane, "dom_id": f"execution-{execution_id}-node-{lane.node_id}"}
    context["href"] = step_url(execution_id, lane.node_id)
    return _compact("workflows/_node.html", context)


@lru_cache(maxsize=4_096)
def row(execution_id: int, lane: Lane, span_ms: int) -> SafeString:
    """A step in the table of steps."""
    context: dict[str, object] = {
        "lane": lane,
        "dom_id": f"execution-{execution_id}-step-{lane.node_id}",
        "span_ms": span_ms,
    }
    context["href"] = step_url(execution_id, lane.node_id)
    return _compact("executions/_step_row.html", context)


def _compact(template: str, context: dict[str, object]) -> SafeString:
    """Without the template's own indentation: it would be half of what goes over the socket."""
    return mark_safe(strip_spaces_between_tags(get_template(template).render(context).strip()))


@lru_cache(maxsize=4_096)
def step_url(execution_id: int, node_id: str) -> str:
    return reverse("executions:step", args=[execution_id, node_id])


EVENTS = {"failed": "err", "retried": "warn", "limited": "err"}
LEVELS = {"debug": "debug", "warning": "warn", "error": "err"}


def _entry(execution_id: int, graph: Graph, entry: ExecutionLog) -> str:
    """By hand and not by a template, which would take ten times as long: there may be ten thousand of them.

    Everything that comes from outside goes through escape().
    """
    css, message = _line(entry) if entry.kind == "logged" else _event(entry, graph)
    node = graph.nodes.get(entry.node) if entry.node else None
    step = escape(node.label if node else entry.node or "")
    dom_id, clock = f"entry-{execution_id}-{entry.seq}", iso(entry.at)
    return (
        f'<li id="{dom_id}" data-seq="{entry.seq}" class="{css}"><a class="l" href="#{dom_id}">{entry.seq}</a>'
        f'<time datetime="{clock}" data-as="exact">{clock[11:-1]}</time>'
        f'<span class="n">{step}</span><span class="m">{message}</span></li>'
    )


def _line(entry: ExecutionLog) -> tuple[str, str]:
    told = entry.data or {}
    css = LEVELS.get(told.get("level", ""), "")
    word = f"<b>{escape(told['level'])}</b> " if css else ""
    return css, word + escape(str(told.get("text", "")))


def _event(entry: ExecutionLog, graph: Graph) -> tuple[str, str]:
    def name(node_id: str) -> str:
        return graph.nodes[node_id].label if node_id in graph.nodes else node_id

    def called(node_id: str, handle: str) -> str:
        return way(graph.nodes[node_id], handle) if node_id in graph.nodes else handle

    word, look, rest, at = said(entry, name, called)
    css = f"event {EVENTS[entry.kind]}" if entry.kind in EVENTS else "event"
    return css, f'<b class="is-{escape(look)}">{escape(word)}</b> {escape(rest)} {moment(at) if at else ""}'


def joined(items: Iterable[tuple[int, str]]) -> SafeString:
    """The same rows for a page's template."""
    return mark_safe("".join(html for _, html in items))
