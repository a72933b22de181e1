"""An execution in a terminal: plain lines for pipes and logs, or a table of steps below the lines for eyes.

What a step wrote may hold anything; nothing of it may move the cursor or colour the screen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from django.utils import timezone
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from executions.models import ExecutionLog, Kind
from executions.planner import NodeState, State
from executions.words import said
from workflows import words
from workflows.graph import Graph

LOOKS = {
    "pending": ("○", "dim"),
    "running": ("◐", "blue"),
    "answered": ("◐", "blue"),
    "waiting": ("‖", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("■", "dim"),
    "abandoned": ("■", "yellow"),
    "skipped": ("»", "dim"),
}
LEVELS = {"warning": "yellow", "error": "red", "debug": "dim"}
NAME_WIDTH = 24
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class View(Protocol):
    def tell(self, entries: Iterable[ExecutionLog], state: State) -> None: ...
    def say(self, text: str) -> None: ...
    def close(self) -> None: ...


def view_of(graph: Graph, write: Callable[[str], object], is_terminal: bool) -> View:
    return Screen(graph) if is_terminal else Lines(graph, write)


class Lines:
    """One line for each that was written or happened: time, step, text."""

    def __init__(self, graph: Graph, write: Callable[[str], object]) -> None:
        self.graph, self.write = graph, write

    def tell(self, entries: Iterable[ExecutionLog], state: State) -> None:
        for entry in entries:
            for line in lines_of(entry):
                level = level_of(entry)
                mark = f"{level}: " if level in ("warning", "error") else ""
                self.write(f"{clock(entry)}  {label_of(entry, self.graph)}  {mark}{line}")

    def say(self, text: str) -> None:
        self.write(text)

    def close(self) -> None:
        pass


class Screen:
    """The lines, and below them each step with its state; of many steps those that fit."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.console = Console(stderr=True, highlight=False)
        self._live = Live(console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def tell(self, entries: Iterable[ExecutionLog], state: State) -> None:
        for entry in entries:
            for line in lines_of(entry):
                self.console.print(self._line(entry, line), soft_wrap=True)
        self._live.update(self._steps(state), refresh=True)

    def say(self, text: str) -> None:
        self.console.print(Text(text))

    def close(self) -> None:
        self._live.stop()

    def _line(self, entry: ExecutionLog, line: str) -> Text:
        name = label_of(entry, self.graph)[:NAME_WIDTH].ljust(NAME_WIDTH)
        is_event = entry.kind != Kind.LOGGED
        style = LEVELS.get(level_of(entry), "dim" if is_event else "")
        return Text.assemble((f"{clock(entry)}  ", "dim"), (f"{name}  ", "dim"), (line, style))

    def _steps(self, state: State) -> Group:
        table = Table.grid(padding=(0, 2))
        shown = list(self._nearest(state))
        for node_id in shown:
            table.add_row(*self._row(node_id, state.nodes.get(node_id)))
        hidden = len(self.graph.nodes) - len(shown)
        done = f"{state.steps_done} of {words.count(len(self.graph.nodes), 'step')} done"
        return Group("", table, Text(f"{done}{f', {hidden} not shown' if hidden else ''}", "dim"))

    def _nearest(self, state: State) -> Iterator[str]:
        """All where they fit; else what is under way, and what ended last before it."""
        room = max(3, self.console.height - 8)
        order = self.graph.order
        if len(order) > room:
            begun = [node_id for node_id in order if node_id in state.nodes]
            active = [node_id for node_id in begun if node_id in state.active][:room]
            ended = [node_id for node_id in begun if node_id not in state.active]
            keep = {*active, *ended[len(ended) - (room - len(active)) :]} if len(active) < room else {*active}
            order = [node_id for node_id in order if node_id in keep]
        yield from order

    def _row(self, node_id: str, node: NodeState | None) -> tuple[Text, Text, Text]:
        status = node.status if node else "pending"
        mark, style = LOOKS[status]
        mark = mark if self.console.encoding.lower().startswith("utf") else "-"
        return (
            Text(f"{mark} {status}", style),
            Text(plain(self.graph.nodes[node_id].label)[:60], "" if node else "dim"),
            Text(took(node), "dim"),
        )


def took(node: NodeState | None) -> str:
    if node is None or node.started_at is None:
        return ""
    if node.took_ms is not None:
        return words.duration(node.took_ms)
    return words.duration(((node.ended_at or timezone.now()) - node.started_at).total_seconds() * 1000)


def lines_of(entry: ExecutionLog) -> list[str]:
    """What an entry says, a line for each of its own."""
    if entry.kind == Kind.LOGGED:
        return [plain(line) for line in str((entry.data or {}).get("text", "")).splitlines()] or [""]
    told = said(entry)
    at = f"{told.at:%Y-%m-%d %H:%M:%S} UTC" if told.at else ""
    return [plain(line) for line in " ".join(filter(None, (told.word, told.rest, at))).splitlines()]


def level_of(entry: ExecutionLog) -> str:
    if entry.kind == Kind.LOGGED:
        return str((entry.data or {}).get("level", "info"))
    return "error" if entry.kind == Kind.FAILED else "info"


def label_of(entry: ExecutionLog, graph: Graph) -> str:
    if entry.node is None:
        return "Execution"
    node = graph.nodes.get(entry.node)
    return plain(node.label if node else entry.node)


def clock(entry: ExecutionLog) -> str:
    return f"{timezone.localtime(entry.at):%H:%M:%S}.{entry.at.microsecond // 1000:03}"


def plain(text: str) -> str:
    """The text without what a terminal would obey: control codes, and marks that turn the direction of writing."""
    return OBEYED.sub("\ufffd", text.replace("\t", " ").replace("\n", " ").replace("\r", " "))


def escaped(text: str) -> str:
    """JSON that says the same without such signs in it."""
    return OBEYED.sub(lambda sign: sign[0] if sign[0] == "\n" else f"\\u{ord(sign[0]):04x}", text)
