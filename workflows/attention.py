"""What needs a person first, for home: what failed last, what nobody works on, what has waited long.

Quiet when there is nothing. Runs of a draft are somebody's try and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import CharField, Q
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Left
from django.utils import timezone

from workflows.usual import executions

MOST = 5  # of each kind; home is no report
OVERDUE = timedelta(minutes=1)  # so long nobody has taken up what is due
LONG = timedelta(days=1)  # so long something has waited
LOOKED_AT = 200  # of what is due, whosever it is
SILENT = ("Silent", "", "Its worker does not answer. Another one takes over when the lease ends.")
UNTAKEN = ("Overdue", "", "It is due and no worker has taken it up. Is one running?")
WAITING = ("Waiting", "", "It has waited for more than a day.")


@dataclass(frozen=True, slots=True)
class Matter:
    """`state` and `word` make the chip; `step` and `text` say why; `at` since when."""

    state: str
    word: str
    step: str
    text: str
    execution_id: int
    name: str
    at: datetime


def matters(workflow_ids: list[int], failing: list[int]) -> list[Matter]:
    """`failing`: the executions that are the last of their workflow and failed, newest first."""
    now = timezone.now()
    return [*_failed(failing[:MOST]), *_forsaken(workflow_ids, now), *_waiting_long(workflow_ids, now)]


def _failed(ids: list[int]) -> list[Matter]:
    if not ids:
        return []
    why = {"cause": Left("error_message", 240), "step": Cast(KT("error__step_name"), CharField())}
    rows = executions().filter(pk__in=ids, version__number__isnull=False).annotate(**why).order_by("-pk")
    return [
        Matter("failed", "Failed", step or "", cause or "It gave no reason.", pk, name, ended)
        for pk, name, step, cause, ended in rows.values_list("pk", "workflow__name", "step", "cause", "completed_at")
    ]


def _forsaken(workflow_ids: list[int], now: datetime) -> list[Matter]:
    """Due and taken by nobody, or held by a worker that has missed to say that it lives. Read by what is due, of which
    there is little, and only then by whose it is."""
    silent = now + timedelta(seconds=settings.ENGINE["LEASE_SECONDS"] - 1.5 * settings.ENGINE["RENEW_SECONDS"])
    is_overdue, is_silent = Q(owner=None, due_at__lt=now - OVERDUE), Q(owner__isnull=False)
    rows = executions().filter(is_overdue | is_silent, completed_at=None, due_at__lt=silent).order_by("due_at")
    mine, facts = set(workflow_ids), rows.values_list("workflow", "pk", "workflow__name", "owner", "due_at")
    return [
        Matter("waiting", *(SILENT if owner else UNTAKEN), pk, name, since)
        for workflow, pk, name, owner, since in facts[:LOOKED_AT]
        if workflow in mine
    ][:MOST]


def _waiting_long(workflow_ids: list[int], now: datetime) -> list[Matter]:
    rows: Any = executions().filter(status="waiting", started_at__lt=now - LONG, workflow__in=workflow_ids)
    rows = rows.filter(due_at__gte=now).order_by("pk").values_list("pk", "workflow__name", "started_at")[:MOST]
    return [Matter("waiting", *WAITING, pk, name, since) for pk, name, since in rows]
