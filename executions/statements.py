"""The journal's statements: each for many rows at once, in the form that its database does fastest.

SQLite: VALUES of many rows, in chunks of a few sizes, so that sqlite3 finds its prepared statements again. PostgreSQL:
one statement, with all rows as one JSON parameter. Everything here runs inside somebody's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db.backends.utils import CursorWrapper
from pydantic_core import to_json

from executions.entry import Entry, as_it_is, as_json, as_text
from executions.models import ExecutionLog, WorkflowExecution

if TYPE_CHECKING:
    from executions.journal import Closing

Row = tuple[Any, ...]

TABLE, ENTRIES = WorkflowExecution._meta.db_table, ExecutionLog._meta.db_table
FENCES = f"SELECT id, fence FROM {TABLE} WHERE id IN (SELECT value FROM json_each(?))"
FENCES_LOCKED = f"SELECT id, fence FROM {TABLE} WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
CHUNKS = (256, 64, 16, 4, 1)  # rows; SQLite takes 32,766 parameters in one statement
UNLESS_CANCELLED = "(new.whatever OR cancel_requested_at IS NULL)"
UNLESS_NUDGED = "(new.nudges IS NULL OR row.nudges = new.nudges)"


def fences(cursor: CursorWrapper, executions: Collection[int]) -> dict[int, int]:
    """The executions' fences, locked until COMMIT, in the order of their numbers."""
    if cursor.db.vendor == "sqlite":  # it has locked everything by now
        return dict(_run(cursor, FENCES, [to_json(list(executions)).decode()]))
    cursor.execute(FENCES_LOCKED, [list(executions)])
    return dict(cursor.fetchall())


def insert_executions(cursor: CursorWrapper, columns: tuple[str, ...], rows: Sequence[Row]) -> list[int]:
    """Their numbers, in the order of the rows: both databases keep it, and Django's bulk_create relies on it too."""
    into = f"INSERT INTO {TABLE} ({', '.join(columns)}) VALUES"
    if cursor.db.vendor == "sqlite":
        parts = (
            _run(cursor, f"{into} {_places(len(columns), size)} RETURNING id", _flat(part))
            for size, part in _chunks(rows)
        )
        return [execution_id for part in parts for (execution_id,) in part]
    one = f"({', '.join(['%s'] * len(columns))})"
    cursor.execute(f"{into} {', '.join([one] * len(rows))} RETURNING id", _flat(rows))
    return [execution_id for (execution_id,) in cursor.fetchall()]


# Entries

#: column -> its type, for PostgreSQL
ENTRY = {
    "execution_id": "bigint",
    "seq": "integer",
    "kind": "text",
    "node": "text",
    "attempt": "integer",
    "at": "timestamptz",
    "data": "jsonb",
    "took_ms": "integer",
}


def insert_entries(cursor: CursorWrapper, noted: Iterable[tuple[int, Entry]]) -> None:
    """(execution, entry) each."""
    if cursor.db.vendor == "sqlite":
        rows = [_stored(execution_id, entry) for execution_id, entry in noted]
        for size, part in _chunks(rows):
            _run(cursor, INSERTS[size], _flat(part))
    elif told := [_told(execution_id, entry) for execution_id, entry in noted]:
        cursor.execute(INSERT_JSON, [to_json(told).decode()])


def _stored(execution_id: int, entry: Entry) -> Row:
    kind = entry.kind[:]  # a plain text: about a subclass sqlite3 would ask all its adapters
    at, data = as_text(entry.at), as_json(entry.data)
    return execution_id, entry.seq, kind, entry.node, entry.attempt, at, data, entry.took_ms


def _told(execution_id: int, entry: Entry) -> dict[str, Any]:
    told = (execution_id, entry.seq, entry.kind, entry.node, entry.attempt, entry.at, entry.data, entry.took_ms)
    return dict(zip(ENTRY, told, strict=True))


# The ends of what is let go

#: what is written, and by what it is found and guarded
CLOSING = {
    "status": "text",
    "due_at": "timestamptz",
    "steps_done": "integer",
    "steps_total": "integer",
    "output_data": "jsonb",
    "output_blobs": "jsonb",
    "error": "jsonb",
    "error_message": "text",
    "completed_at": "timestamptz",
}
GUARDS = {"execution": "bigint", "whatever": "boolean", "nudges": "integer"}


def close(cursor: CursorWrapper, closings: Sequence[tuple[int, Closing]]) -> set[int]:
    """Lets executions go, as (execution, closing) each; those that were, since nobody had interfered."""
    if cursor.db.vendor == "sqlite":
        rows = [_closed(*one, as_text, as_json) for one in closings]
        found = (_run(cursor, _close(_values(size)), _flat(part)) for size, part in _chunks(rows))
        return {execution_id for some in found for (execution_id,) in some}
    if not closings:
        return set()
    rows = [_closed(*one, as_it_is, as_it_is) for one in closings]
    told = [dict(zip((*CLOSING, *GUARDS), row, strict=True)) for row in rows]
    cursor.execute(_close(_recordset(CLOSING | GUARDS)), [to_json(told).decode()])
    return {execution_id for (execution_id,) in cursor.fetchall()}


def _closed(execution_id: int, closing: Closing, moment: Callable[..., Any], value: Callable[[Any], Any]) -> Row:
    """`moment`, `value`: how a time and a JSON value are handed to the database."""
    return (
        closing.status,
        moment(closing.due_at),
        closing.steps_done,
        closing.steps_total,
        value(closing.output),
        value(closing.output_blobs),
        value(closing.error),
        closing.error_message,
        moment(closing.completed_at),
        *(execution_id, closing.whatever, closing.nudges),
    )


def _close(rows: str) -> str:
    changes = ", ".join(f"{column} = new.{column}" for column in CLOSING)
    return (
        f"UPDATE {TABLE} AS row SET owner = NULL, {changes} FROM {rows} "
        f"WHERE row.id = new.execution AND {UNLESS_CANCELLED} AND {UNLESS_NUDGED} RETURNING id"
    )


def _values(size: int) -> str:
    """SQLite has no names for the columns of VALUES but these of its own."""
    columns = ", ".join(f"column{place} AS {name}" for place, name in enumerate((*CLOSING, *GUARDS), 1))
    return f"(SELECT {columns} FROM (VALUES {_places(len(CLOSING) + len(GUARDS), size)})) AS new"


# How


def _recordset(columns: dict[str, str]) -> str:
    return f"jsonb_to_recordset(%s) AS new({', '.join(f'{name} {kind}' for name, kind in columns.items())})"


@cache
def _places(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


INSERT_INTO = f"INSERT INTO {ENTRIES} ({', '.join(ENTRY)})"
INSERTS = {size: f"{INSERT_INTO} VALUES {_places(len(ENTRY), size)}" for size in CHUNKS}
INSERT_JSON = f"{INSERT_INTO} SELECT {', '.join(ENTRY)} FROM {_recordset(ENTRY)}"


def _chunks(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    start = 0
    for size in CHUNKS:
        while len(rows) - start >= size:
            yield size, rows[start : start + size]
            start += size


def _flat(rows: Iterable[Row]) -> list[Any]:
    return [value for row in rows for value in row]


def _run(cursor: CursorWrapper, sql: str, values: Sequence[Any]) -> list[Row]:
    """By sqlite3's own cursor: Django would look for “%s” in some thousand characters each time."""
    with cursor.db.wrap_database_errors:
        found: list[Row] = sqlite3.Cursor.execute(cursor.cursor, sql, values).fetchall()
        return found
