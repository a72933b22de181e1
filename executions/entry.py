"""One entry of the journal before it is a row; how values and moments are written in SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.utils import timezone
from pydantic_core import to_json

from executions.models import ExecutionLog

TimeForm = Callable[[datetime | None], Any]


@dataclass(slots=True)
class Entry:
    kind: str
    node: str | None = None
    attempt: int | None = None
    data: Any = None
    took_ms: int | None = None
    at: datetime = field(default_factory=timezone.now)
    seq: int = 0
    added: Any = None  # of a completed step: the whole, where `data` names files for a part of it

    def is_stored_as(self, row: ExecutionLog) -> bool:
        told = (row.kind, row.node, row.attempt, row.data, row.took_ms)
        return told == (self.kind, self.node, self.attempt, self.data, self.took_ms)


def time_form() -> TimeForm:
    """How this thread's database stores a moment, asked once a batch: the ORM's own way takes 20 µs a moment."""
    return as_text if connection.vendor == "sqlite" else as_it_is


def as_text(at: datetime | None) -> str | None:
    """SQLite's form: UTC without an offset."""
    if at is None:
        return None
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat(" ")[: -len("+00:00")]


def as_it_is(value: Any) -> Any:
    return value


def as_json(value: Any) -> str | None:
    """Every entry and every row goes through here. Secrets were masked before, as the run noted it: what later steps
    see must be what is written."""
    return None if value is None else to_json(value).decode()
