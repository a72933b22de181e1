"""Finds executions: the question of a list becomes few and flat queries, however many executions there are.

Numbers are found first, from indexes alone, and rows are read for one page only. A question that no index answers
(a text in the error) is asked of the newest only, and the answer says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from executions.asked import TABS, Asked
from executions.models import ExecutionStatus, WorkflowExecution
from workflows.permissions import visible_to

PAGE = 50  # executions on a page
SEARCHED = 2_000  # executions that a question without an index looks at
COUNTED = 1_000  # beyond, a tab says "1,000+"
LITERAL = 1_000  # numbers of workflows in a query; beyond, the database reads them itself
SLACK = 500  # numbers by which the order of beginnings may differ from the order of numbers
LIVE = frozenset({ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING})


@dataclass(frozen=True, slots=True)
class Sight:
    """The workflows whose executions somebody may see; None: all of them."""

    workflows: Any
    key: object

    def narrowed(self, workflow: int | None) -> Any:
        if workflow is None:
            return self.workflows
        if self.workflows is None or isinstance(self.workflows, list):
            return [workflow] if self.workflows is None or workflow in self.workflows else []
        return self.workflows.filter(pk=workflow)


@dataclass(frozen=True, slots=True)
class Found:
    """Numbers, newest first. `newer`, `older`: where the neighbouring pages begin, if there are any.

    `searched`: how many were looked at where that was not all of them; `older` then goes on behind them.
    """

    ids: list[int]
    newer: int | None = None
    older: int | None = None
    searched: int | None = None


def sight_of(user: Any) -> Sight:
    if user.is_superuser and user.is_active:
        return Sight(None, None)
    ids = list(visible_to(user).order_by().values_list("pk", flat=True)[: LITERAL + 1])
    if len(ids) > LITERAL:
        return Sight(visible_to(user).order_by().values("pk"), user.pk)
    return Sight(sorted(ids), tuple(sorted(ids)))


def find(asked: Asked, sight: Sight, now: datetime | None = None) -> Found:
    """The page that is asked for."""
    rows = candidates(asked, sight, now or timezone.now())
    if asked.after is not None and not _rest(asked):
        newer = list(rows.filter(pk__gt=asked.after).order_by("pk")[: PAGE + 1])
        if len(newer) > PAGE:
            page = newer[PAGE - 1 :: -1]
            return Found(page, newer=page[0], older=page[-1])
    if asked.before is None:
        return _page(asked, rows)
    found = _page(asked, rows.filter(pk__lt=asked.before))
    return replace(found, newer=found.ids[0]) if found.ids and not _rest(asked) else found


def newer_than(asked: Asked, sight: Sight, number: int, most: int) -> list[int]:
    """What the first page would show above `number`, newest first."""
    rows = candidates(asked, sight, timezone.now()).filter(pk__gt=number)
    rest = _rest(asked)
    return list(_kept(list(rows[:SEARCHED]), rest)[:most] if rest else rows[:most])


def candidates(asked: Asked, sight: Sight, now: datetime) -> QuerySet[Any]:
    """The numbers of everything that an index answers, newest first."""
    workflows = sight.narrowed(asked.workflow)
    rows: QuerySet[Any] = WorkflowExecution.objects.all() if asked.number else WorkflowExecution.objects.roots()
    if workflows is not None:
        rows = rows.filter(workflow__in=workflows)
    if asked.number is not None:
        rows = rows.filter(pk=asked.number)
    rows = rows.filter(started_by=_person(asked.by)) if asked.by else _in_states(rows, _states(asked), workflows)
    return _within(rows, *asked.span(now)).order_by("-pk").values_list("pk", flat=True)


def counts(asked: Asked, sight: Sight) -> dict[str, int | None]:
    """For each tab how many it holds, at most COUNTED + 1; live ones all. None where counting would not be cheap."""
    if asked.q or asked.by or asked.when:
        return dict.fromkeys(TABS)
    now, found = timezone.now(), dict[str, int | None]()
    for tab, states in TABS.items():
        rows = candidates(asked.to_tab(tab), sight, now).order_by()
        found[tab] = (rows if states and LIVE.issuperset(states) else rows[: COUNTED + 1]).count()
    return found


def _page(asked: Asked, rows: QuerySet[Any]) -> Found:
    rest = _rest(asked)
    if not rest:
        ids = list(rows[: PAGE + 1])
        return Found(ids[:PAGE], older=ids[PAGE - 1] if len(ids) > PAGE else None)
    looked_at = list(rows[: SEARCHED + 1])
    ids = list(_kept(looked_at[:SEARCHED], rest)[: PAGE + 1])
    if len(ids) > PAGE:
        return Found(ids[:PAGE], older=ids[PAGE - 1])
    goes_on = looked_at[SEARCHED - 1] if len(looked_at) > SEARCHED else None
    return Found(ids, older=goes_on, searched=None if goes_on is None else SEARCHED)


def _kept(looked_at: list[int], rest: Q) -> QuerySet[Any]:
    """By their numbers and not by a subquery: PostgreSQL would read the whole table beside one."""
    kept = WorkflowExecution.objects.filter(rest, pk__in=looked_at)
    return kept.order_by("-pk").values_list("pk", flat=True)


def _person(name: str) -> int:
    """Looked up first, so that the index of who started what can be read by number; 0 is nobody."""
    return get_user_model().objects.filter(username=name).values_list("pk", flat=True).first() or 0


def _in_states(rows: QuerySet[Any], states: tuple[str, ...], workflows: Any) -> QuerySet[Any]:
    """Live ones are few, so their own index finds them. Of those that ended there may be any number of others': where
    one may see some workflows only, the index of the workflows must be read, and so the other is kept out of reach."""
    if not states:
        return rows
    if workflows is None or LIVE.issuperset(states):
        return rows.filter(status__in=states)
    return rows.alias(state=Coalesce("status", Value(""))).filter(state__in=states)


def _states(asked: Asked) -> tuple[str, ...]:
    """Only what failed has an error to search in."""
    if not asked.text:
        return asked.states
    return (ExecutionStatus.FAILED,) if asked.status in ("", ExecutionStatus.FAILED) else ("",)


def _rest(asked: Asked) -> Q:
    """What no index answers: it is asked of the newest SEARCHED only."""
    rest = Q(error_message__icontains=asked.text) if asked.text else Q()
    return rest & Q(status__in=_states(asked)) if asked.by and _states(asked) else rest


def _within(rows: QuerySet[Any], begin: datetime | None, end: datetime | None) -> QuerySet[Any]:
    """Numbers follow the time nearly, so they bound what is read; the row's own time decides."""
    if begin:
        rows = rows.filter(pk__gte=_number_at(begin) - SLACK, created_at__gte=begin)
    if end:
        rows = rows.filter(pk__lte=_number_at(end) + SLACK, created_at__lt=end)
    return rows


def _number_at(moment: datetime) -> int:
    """About the first number of that time: by halving, since another index would cost the engine at each start."""
    every = WorkflowExecution.objects.order_by("pk").values_list("pk", "created_at")
    low, high = 0, (WorkflowExecution.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) + 1
    while high - low > SLACK // 2:
        middle = (low + high) // 2
        number, created_at = every.filter(pk__gte=middle).first() or (high, moment)
        low, high = (number, high) if created_at < moment else (low, middle)
    return high
