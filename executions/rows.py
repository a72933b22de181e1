"""The rows of the list of executions: read for a page at once, rendered for page and socket alike.

The same bytes for every viewer: no token, no right and no age inside. A row carries the mark of its content, so that a
page can say which rows it shows, and gets only those that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from typing import Any
from zlib import crc32

from django.db.models import CharField, F
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Left
from django.template.loader import get_template
from django.utils import timezone
from django.utils.html import format_html, strip_spaces_between_tags
from django.utils.safestring import SafeString, mark_safe

from executions.models import ExecutionWait, WaitKind, WorkflowExecution
from executions.words import STATUS, Sentence
from workflows.usual import usual

AWAITED: dict[str, str] = {WaitKind.APPROVAL: "For an approval", WaitKind.CALLBACK: "For a call"}
SLOW = 1.95  # times the usual, from which on a row says so
LIVE_STEP = 25  # percent by which the bar of a live row grows in what the server sends
FACTS = (
    *("pk", "status", "created_at", "started_at", "completed_at", "cancel_requested_at", "workflow"),
    *("paused_at", "has_slot"),
)
NAMED = {
    "name": F("workflow__name"),
    "archived_at": F("workflow__archived_at"),
    "version_number": F("version__number"),
    "part": F("version__note"),  # of a draft: which part was tried
    "by": F("started_by__username"),
    "cancelled_by": F("cancel_requested_by__username"),
    "paused_by_name": F("paused_by__username"),
    "cause": Left("error_message", 240),
    "failed_step": Cast(KT("error__step_name"), CharField()),
}


@dataclass(frozen=True, slots=True)
class Against:
    """A time against its usual: `times` where it is slow, and the bar with its tick in percent of `span_ms`.

    For what is live the span does not grow and the bar is sent roughly: the row stays the same while its page ticks.
    """

    usual_ms: float
    span_ms: int
    bar: float
    tick: float
    times: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """`draft`: "draft, up to Shout", empty for a published version. `took_ms` only of what has ended.

    `why`: why it does not go on, shortly; empty where it does. `word`: of its state, where that is not its status.
    """

    pk: int
    status: str
    name: str
    is_archived: bool
    draft: str
    by: str | None
    created_at: datetime
    started_at: datetime | None
    is_final: bool
    cancelled_by: str | None
    cause: str
    failed_step: str
    why: Sentence
    word: str
    took_ms: float | None
    against: Against | None


def rows_of(ids: Sequence[int]) -> list[Row]:
    """In the order of `ids`; what is gone is left out. Three queries however many there are."""
    found = {facts["pk"]: facts for facts in WorkflowExecution.objects.filter(pk__in=ids).values(*FACTS, **NAMED)}
    usually = usual({facts["workflow"] for facts in found.values()}) if found else {}
    waiting = [pk for pk, facts in found.items() if facts["status"] == "waiting"]
    waits, now = _waits(waiting) if waiting else {}, timezone.now()
    return [_row(found[pk], usually.get(found[pk]["workflow"]), waits.get(pk), now) for pk in ids if pk in found]


@lru_cache(maxsize=4_096)
def rendered(row: Row) -> tuple[str, SafeString]:
    """(mark, <tr>). Kept: most rows look as they did a moment ago, to whomever."""
    inside = strip_spaces_between_tags(get_template("executions/_row.html").render({"row": row}).strip())
    mark = f"{crc32(inside.encode()):08x}"
    html = '<tr id="execution-{}-row" class="e-row" data-execution="{}" data-mark="{}">{}</tr>'
    return mark, format_html(html, row.pk, row.pk, mark, mark_safe(inside))


def by_day(rows: Iterable[Row]) -> list[tuple[str, list[SafeString]]]:
    """[("Today", [<tr>, …]), …]: days in UTC; the page's script says them in the reader's zone."""
    today = timezone.now().date()
    days = groupby(rows, key=lambda row: row.created_at.date())
    return [(day_in_words(day, today), [rendered(row)[1] for row in some]) for day, some in days]


def day_in_words(day: date, today: date) -> str:
    long = f"{day:%A} {day.day} {day:%B}" + (f" {day.year}" if day.year != today.year else "")
    return {0: "Today", 1: f"Yesterday, {long}"}.get((today - day).days, long)


def _row(facts: dict[str, Any], usual_ms: float | None, wait: Any, now: datetime) -> Row:
    begun, ended = facts["started_at"], facts["completed_at"]
    took_ms = 1000 * ((ended or now) - begun).total_seconds() if begun else None
    is_final = ended is not None
    return Row(
        pk=facts["pk"],
        status=facts["status"],
        name=facts["name"],
        is_archived=facts["archived_at"] is not None,
        draft="" if facts["version_number"] else ", ".join(filter(None, ("draft", facts["part"]))),
        by=facts["by"],
        created_at=facts["created_at"],
        started_at=begun,
        is_final=is_final,
        cancelled_by=facts["cancelled_by"],
        cause=facts["cause"],
        failed_step=facts["failed_step"] or "",
        why=() if is_final else _why(facts, wait),
        word="" if is_final else _word(facts),
        took_ms=took_ms if is_final else None,
        against=_against(took_ms, usual_ms, is_final) if took_ms is not None and usual_ms else None,
    )


def _word(facts: dict[str, Any]) -> str:
    if facts["cancel_requested_at"]:
        return STATUS["cancelling"]
    if facts["paused_at"]:
        return "Pausing…" if facts["status"] == "running" else "Paused"
    return ""


def _why(facts: dict[str, Any], wait: ExecutionWait | None) -> Sentence:
    """As why.py says it, as far as a row for which nothing more is read can say it."""
    if facts["cancel_requested_at"]:
        return ()
    if facts["paused_at"]:
        return (f"Paused by {facts['paused_by_name']}" if facts["paused_by_name"] else "Paused before a step",)
    if facts["has_slot"] is False:
        return ("Waits for a slot",)
    if wait is None:
        return ()
    reason = f": {wait.reason}" if wait.reason else ""
    if wait.kind == WaitKind.CHILD:
        return ("Waits for executions of its own",)
    if wait.kind == WaitKind.RETRY and wait.due_at:
        return ("Failed; tries again ", wait.due_at)
    if wait.due_at:
        return ("Until ", wait.due_at, reason)
    return (f"{AWAITED.get(wait.kind, 'For an answer')}{reason}",)


def _against(took_ms: float, usual_ms: float, is_final: bool) -> Against:
    span = max(1.5 * usual_ms, 1.1 * took_ms if is_final else 0, 1)
    bar = min(100.0, 100 * took_ms / span)
    times = took_ms / usual_ms
    return Against(
        usual_ms=usual_ms,
        span_ms=round(span),
        bar=round(bar, 1) if is_final else bar // LIVE_STEP * LIVE_STEP,
        tick=round(100 * usual_ms / span, 1),
        times=round(times) if times >= SLOW else None,
    )


def _waits(waiting: list[int]) -> dict[int, ExecutionWait]:
    """Of each the open wait that ends first."""
    found: dict[int, ExecutionWait] = {}
    waits = ExecutionWait.objects.open().filter(execution__in=waiting).order_by(F("due_at").asc(nulls_last=True), "pk")
    for wait in waits.only("execution", "kind", "due_at", "reason"):
        found.setdefault(wait.execution_id, wait)
    return found
