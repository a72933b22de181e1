"""What all open lists show: one board per event loop reads and renders each row once, for everybody who shows it.

A page says which rows it has, each with the mark of its content, and gets those that differ. Nothing moves: what is
new is counted in a bar above the rows. Bells say when to look; they may be lost, so a slow heartbeat looks anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connections
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from executions import live, rows
from executions.asked import TABS, Asked, asked_at
from executions.catalogue import COUNTED, PAGE, Sight, counts, newer_than
from executions.models import WorkflowExecution
from workflows import glance
from workflows.glance import Face
from workflows.permissions import visible, visible_to

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
FLUSH_S = 0.1  # bells within it are answered by one read
MARGIN_S = 0.5  # between two looks at what is new, however many bells ring
MOST_NEW = 99  # beyond, the bar says "99+"

MOST_ROWS = 100  # of each kind on one page

Key = tuple[str, int]  # ("execution", 12) or ("workflow", 5)


@dataclass(frozen=True, slots=True)
class Margin:
    """What stands around the rows of a list: its tabs, and the bar for what is new above `bottom`."""

    asked: Asked
    sight: Sight
    bottom: int | None

    @property
    def key(self) -> object:
        return self.asked.first_page, self.sight.key, self.bottom


@dataclass(frozen=True, slots=True)
class Hello:
    """What a page says when it comes: the mark of each row, the question behind them, and where its first page ends."""

    marks: dict[Key, str]
    asked: Asked | None
    bottom: int | None

    @classmethod
    def of(cls, said: dict[str, Any]) -> Hello | None:
        """None for anything that no page of ours says."""
        if not {"execution", "workflow"} <= said.keys():
            return None
        marks: dict[Key, str] = {}
        for kind in ("execution", "workflow"):
            given = said[kind]
            if not isinstance(given, dict) or len(given) > MOST_ROWS:
                return None
            for number, mark in given.items():
                if not re.fullmatch("[0-9]{1,18}", number) or not isinstance(mark, str):
                    return None
                marks[kind, int(number)] = mark[:16]
        question, bottom = said.get("asked"), said.get("bottom")
        if not isinstance(question, str | None) or not (
            bottom is None or (type(bottom) is int and 0 <= bottom < 2**63)
        ):
            return None
        return cls(marks, None if question is None else asked_at(question), bottom)


@dataclass(eq=False)
class Page:
    """One open page: the marks of the rows that it has, and what it is told when there is something to take."""

    wake: Callable[[], None]
    marks: dict[Key, str]
    margin: Margin | None = None
    told: dict[str, str] = field(default_factory=dict)  # pieces of the margin, as they were sent last

    def take(self, faces: dict[Key, Face], margins: dict[object, tuple[list[int], str]]) -> str:
        """The frame with everything that this page shows otherwise; "" where that is nothing."""
        changed = [(key, faces[key]) for key, mark in self.marks.items() if key in faces and faces[key].mark != mark]
        self.marks |= {key: face.mark for key, face in changed}
        return "".join(face.frame for _, face in changed) + self._margin(margins)

    def _margin(self, margins: dict[object, tuple[list[int], str]]) -> str:
        if self.margin is None or self.margin.key not in margins:
            return ""
        ids, tabs_html = margins[self.margin.key]
        new = sum(("execution", pk) not in self.marks for pk in ids)
        pieces = {"tabs": tabs_html, "fresh": fresh_bar(self.margin.asked, new)}
        changed = {name: html for name, html in pieces.items() if self.told.get(name) != html}
        self.told = pieces
        return "".join(placed(name, html) for name, html in changed.items())


class Board:
    def __init__(self) -> None:
        self._pages: set[Page] = set()
        self._faces: dict[Key, Face] = {}
        self._margins: dict[object, tuple[list[int], str]] = {}
        self._grew: set[int] = set()
        self._bell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = ThreadPoolExecutor(1, "board")

    def join(self, page: Page) -> None:
        self._pages.add(page)
        self._bell.set()
        if not self._tasks:
            ear = live.hear(live.VIEWERS, self._heard)
            self._tasks = [asyncio.create_task(self._keep(), name="board"), asyncio.create_task(ear)]

    def leave(self, page: Page) -> None:
        """The last one turns off the light."""
        self._pages.discard(page)
        watched = self._watched()
        self._faces = {key: face for key, face in self._faces.items() if key in watched}
        if not self._pages:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._in_thread(connections.close_all)
        self._thread.shutdown(wait=False)

    def news_for(self, page: Page) -> str:
        return page.take(self._faces, self._margins)

    async def _keep(self) -> None:
        """Looks when a bell rings and when a heartbeat is over. Rows come first; what stands around them is looked at
        twice a second, and less often where that would take more than a tenth of the time."""
        time, rows_at, margins_at, pause = asyncio.get_running_loop().time, 0.0, 0.0, MARGIN_S
        while True:
            self._bell.clear()
            is_beat, is_margin = time() - rows_at >= HEARTBEAT_S, time() - margins_at >= pause
            rows_at = time() if is_beat else rows_at
            await self._look(self._read_rows, is_beat)
            if is_margin:
                margins_at = time()
                await self._look(self._read_margins)
                pause = max(MARGIN_S, 10 * (time() - margins_at))
            await asyncio.sleep(FLUSH_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S if is_margin else pause):
                    await self._bell.wait()

    async def _look(self, part: Callable[..., Awaitable[None]], *how: bool) -> None:
        try:
            await part(*how)
        except Exception:
            # The pages stay as they are; the next heartbeat tries again on a fresh connection.
            log.exception("The lists could not be read")
            await self._in_thread(connections.close_all)
        for page in list(self._pages):
            page.wake()

    async def _read_rows(self, is_beat: bool) -> None:
        grew, self._grew = self._grew, set()
        watched = self._watched()
        due = {key for key in watched if key not in self._faces or (is_beat and self._faces[key].is_live)}
        self._faces |= await self._in_thread(read, due, watched, grew)

    async def _read_margins(self) -> None:
        wanted = {page.margin.key: page.margin for page in self._pages if page.margin}
        self._margins = await self._in_thread(margins_of, wanted)

    def _watched(self) -> set[Key]:
        return {key for page in self._pages for key in page.marks}

    def _heard(self, executions: Iterable[int]) -> None:
        self._grew.update(executions)
        self._bell.set()

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """A thread and a connection of its own: nobody's page waits for a list."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)


# In a thread


def seen_by(user: Any, marks: dict[Key, str]) -> dict[Key, str]:
    """Those rows that this user may see."""
    executions = WorkflowExecution.objects.filter(visible(user, "workflow__"), pk__in=_of(marks, "execution"))
    workflows = visible_to(user).filter(pk__in=_of(marks, "workflow"))
    seen = {("execution", pk) for pk in executions.values_list("pk", flat=True)}
    seen |= {("workflow", pk) for pk in workflows.values_list("pk", flat=True)}
    return {key: mark for key, mark in marks.items() if key in seen}


def read(due: set[Key], watched: set[Key], grew: set[int]) -> dict[Key, Face]:
    """The faces of what is due, and of whatever grew and is shown somewhere."""
    due |= {("execution", pk) for pk in grew} & watched
    if grew and any(kind == "workflow" for kind, _ in watched):
        touched = WorkflowExecution.objects.filter(pk__in=grew).values_list("workflow", flat=True)
        due |= {("workflow", pk) for pk in touched} & watched
    faces = {("execution", pk): face for pk, face in row_faces(_of(due, "execution")).items()}
    return faces | {("workflow", pk): face for pk, face in glance.faces(_of(due, "workflow")).items()}


def row_faces(ids: list[int]) -> dict[int, Face]:
    found: dict[int, Face] = {}
    for row in rows.rows_of(ids) if ids else []:
        mark, html = rows.rendered(row)
        found[row.pk] = Face(mark, placed(f"execution-{row.pk}-row", html), not row.is_final)
    return found


def margins_of(wanted: dict[object, Margin]) -> dict[object, tuple[list[int], str]]:
    return {key: (_newest(margin), tabs(margin.asked, margin.sight)) for key, margin in wanted.items()}


def _newest(margin: Margin) -> list[int]:
    if margin.bottom is None:
        return []
    return newer_than(margin.asked, margin.sight, margin.bottom, PAGE + MOST_NEW + 1)


def _of(keys: Iterable[Key], wanted: str) -> list[int]:
    return [pk for kind, pk in keys if kind == wanted]


# The pieces around the rows, for page and socket alike


def placed(dom_id: str, html: str) -> str:
    return f'<hx-partial hx-target="#{dom_id}" hx-swap="outerMorph">{html}</hx-partial>'


def tabs(question: Asked, sight: Sight) -> SafeString:
    held = counts(question, sight)
    items = [
        (status, status.capitalize() or "All", question.to_tab(status).address, _counted(held[status]))
        for status in TABS
    ]
    return render_to_string("executions/_tabs.html", {"items": items, "status": question.status})


def fresh_bar(question: Asked, new: int) -> SafeString:
    many = f"{MOST_NEW}+" if new > MOST_NEW else str(new)
    return render_to_string("executions/_fresh.html", {"new": new, "many": many, "href": question.first_page.address})


def _counted(number: int | None) -> str:
    if number is None:
        return ""
    return f"{COUNTED:,}+" if number > COUNTED and number == COUNTED + 1 else f"{number:,}"


_boards: WeakKeyDictionary[asyncio.AbstractEventLoop, Board] = WeakKeyDictionary()


def current_board() -> Board:
    """The running event loop's board; made at its first use."""
    return _boards.setdefault(asyncio.get_running_loop(), Board())
