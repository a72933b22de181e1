"""A workflow at a glance, for home: its last execution, its last ten as bars, and how long it usually takes.

By the relation's name: this room does not know the one where executions live. What it renders is the same for whoever
looks, so that page and socket can share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zlib import crc32

from django.db.models import OuterRef, Subquery
from django.template.loader import get_template
from django.utils import timezone
from django.utils.html import format_html, strip_spaces_between_tags
from django.utils.safestring import SafeString, mark_safe

from workflows.models import Workflow
from workflows.usual import executions, usual
from workflows.words import count

TEN = 10
WIDE, STEP, GROUND, TALL = 6, 8, 20, 19  # of the drawn bars, in their own units
FULL = 3.0  # times the usual, from which on a bar is as high as it gets
STATES = ["completed", "failed", "cancelled", "waiting", "running", "pending"]
FACTS = (
    "pk",
    "workflow",
    "status",
    "created_at",
    "started_at",
    "completed_at",
    "cancel_requested_at",
    "version__number",
)


@dataclass(frozen=True, slots=True)
class Face:
    """What a page shows of one row: the mark of its content, and the frame that puts it there."""

    mark: str
    frame: str
    is_live: bool


@dataclass(frozen=True, slots=True)
class Short:
    """An execution, as short as a bar."""

    pk: int
    status: str
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    is_asked_to_stop: bool
    is_draft: bool

    @property
    def is_final(self) -> bool:
        return self.completed_at is not None

    @property
    def is_cancelling(self) -> bool:
        return self.is_asked_to_stop and not self.is_final

    @property
    def took_ms(self) -> float | None:
        return (
            1000 * ((self.completed_at or timezone.now()) - self.started_at).total_seconds()
            if self.started_at
            else None
        )


@dataclass(frozen=True, slots=True)
class Glance:
    """`recent`: at most ten, the newest last."""

    workflow_id: int
    recent: tuple[Short, ...] = ()
    usual_ms: float | None = None

    @property
    def last(self) -> Short | None:
        return self.recent[-1] if self.recent else None

    @property
    def in_words(self) -> str:
        """For who does not see the bars: "Last 3: 2 completed, 1 failed"."""
        held = {state: sum(one.status == state for one in self.recent) for state in STATES}
        told = ", ".join(f"{number} {state}" for state, number in held.items() if number)
        return f"Last {count(len(self.recent), 'execution')}: {told}"

    @property
    def bars(self) -> SafeString:
        """<rect>s in a field of 78 x 26: the height is the time against the usual; a failure has a mark below."""
        first = TEN - len(self.recent)
        return mark_safe("".join(_bar(one, STEP * at, self.usual_ms) for at, one in enumerate(self.recent, first)))


def glances(workflow_ids: Iterable[int]) -> dict[int, Glance]:
    """By workflow, in three queries however many there are."""
    ids = list(workflow_ids)
    newest = executions().filter(workflow=OuterRef("pk")).order_by("-pk").values("pk")
    places = {f"at_{place}": Subquery(newest[place : place + 1]) for place in range(TEN)}
    numbers = Workflow.objects.filter(pk__in=ids).order_by().annotate(**places).values_list(*places)
    found: dict[int, list[Short]] = {pk: [] for pk in ids}
    known = [pk for row in numbers for pk in row if pk is not None]
    for pk, workflow_id, status, created, started, completed, asked, number in (
        executions().filter(pk__in=known).order_by("pk").values_list(*FACTS)
    ):
        found[workflow_id].append(Short(pk, status, created, started, completed, asked is not None, number is None))
    usually = usual(ids)
    return {pk: Glance(pk, tuple(recent), usually.get(pk)) for pk, recent in found.items()}


def faces(workflow_ids: Sequence[int]) -> dict[int, Face]:
    found: dict[int, Face] = {}
    for pk, glance in glances(workflow_ids).items() if workflow_ids else ():
        mark, html = rendered(glance)
        frame = f'<hx-partial hx-target="#workflow-{pk}-last" hx-swap="outerMorph">{html}</hx-partial>'
        found[pk] = Face(mark, frame, True)  # a new execution may come at any time
    return found


@lru_cache(maxsize=4_096)
def rendered(glance: Glance) -> tuple[str, SafeString]:
    """(mark, the cell with the last execution and the bars). Kept: most look as they did a moment ago."""
    context = {"glance": glance, "last": glance.last}
    inside = strip_spaces_between_tags(get_template("workflows/_last.html").render(context).strip())
    mark = f"{crc32(inside.encode()):08x}"
    html = '<td id="workflow-{}-last" class="w-last" data-workflow="{}" data-mark="{}">{}</td>'
    return mark, format_html(html, glance.workflow_id, glance.workflow_id, mark, mark_safe(inside))


def _bar(one: Short, x: float, usual_ms: float | None) -> str:
    """Numbers and states of our own: nothing that comes from outside."""
    height, state = _height(one, usual_ms), one.status if one.status in STATES else ""
    if state == "cancelled":  # hollow: its line lies inside
        return f'<rect class="is-cancelled" x="{x + 0.5}" y="{GROUND - height + 0.5}" width="5" height="{height - 1}"/>'
    below = f'<rect class="is-failed" x="{x + 1}" y="{GROUND + 2}" width="{WIDE - 2}" height="3" rx="1"/>'
    bar = f'<rect class="is-{state}" x="{x}" y="{GROUND - height}" width="{WIDE}" height="{height}" rx="1"/>'
    return bar + below if state == "failed" else bar


def _height(one: Short, usual_ms: float | None) -> int:
    """At the usual time a bar is a bit more than half as high as it gets; without a usual time all are that high."""
    if one.took_ms is None:
        return 4
    if not usual_ms:
        return 12
    if not one.is_final:
        return 8
    return max(3, min(TALL, round(12 * min(one.took_ms / usual_ms, FULL) ** 0.5)))
