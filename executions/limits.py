"""What an execution may use up: time, steps, log. Each limit says what it was and how to raise it.

A limit that ends an execution is no end for ever: the limit is raised, the execution repaired, and it goes on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from executions.entry import Entry
from executions.models import Kind
from executions.outcome import shape


class ExecutionTimeout(Exception):
    """The execution took longer than its time limit."""


class TooManySteps(Exception):
    """The execution has started more steps than it may."""


def time_is_over(limit_s: int | None, now: datetime) -> Entry:
    """`limit_s`: as it is now; None where it was lifted after the execution had begun."""
    allowed = f"the {limit_s:,} s that its workflow allows" if limit_s else "its workflow allowed when it began"
    return _ended(
        "time",
        limit_s,
        ExecutionTimeout(
            f"The execution took longer than {allowed}. The limit is in the "
            "workflow's settings; an execution that failed by it can be repaired, and then goes on."
        ),
        now,
    )


def too_many_steps(limit: int) -> Entry:
    return _ended(
        "steps",
        limit,
        TooManySteps(
            f"The execution has started {limit:,} steps, attempts included, which is the limit. Give fewer attempts "
            "or split the work, or raise ENGINE_STEPS; an execution that failed by it can be repaired."
        ),
        timezone.now(),
    )


def log_is_full(limit: int, at: datetime) -> Entry:
    return Entry(Kind.LIMITED, data={"limit": "log", "value": limit}, at=at)


def _ended(limit: str, value: Any, error: Exception, at: datetime) -> Entry:
    return Entry(Kind.LIMITED, data={"limit": limit, "value": value, "error": shape(error, None, None)}, at=at)
