"""What is told of an execution: its row, its attempts and its entries, as plain dicts. Reads, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from executions import blobs
from executions.data import replay
from executions.large import input_of, input_outline, outlined, output_of
from executions.models import ExecutionLog, Kind, WorkflowExecution
from executions.workshop import USUAL
from workflows.errors import DefinitionError
from workflows.graph import Graph, parse

MAX_ID = 2**63 - 1


def known(number: Any) -> int:
    """An id of any other shape is simply unknown, and no row has the id 0."""
    return number if type(number) is int and 0 < number <= MAX_ID else 0


def status(execution_id: int) -> dict[str, Any] | None:
    row = WorkflowExecution.objects.select_related("version").filter(pk=known(execution_id)).first()
    if row is None:
        return None
    row.steps_done = row.steps_done if row.is_final else _steps_done(row)
    names = "id workflow_id status error_message error created_at started_at completed_at"
    names += " duration_ms steps_done steps_total cancel_requested_at paused_at"
    told = {name: getattr(row, name) for name in names.split()} | {"version": row.version.number}
    return told | {"input_data": input_of(row), "output_data": output_of(row)}


def _steps_done(row: WorkflowExecution) -> int:
    """From the journal: the row has it at rest and end only."""
    ended = Q(kind__in=(Kind.COMPLETED, Kind.SKIPPED, Kind.REUSED)) | Q(kind=Kind.FAILED, data__has_key="handle")
    return row.entries.filter(ended).values("node").distinct().count()


def every_entry(execution_id: int, limit: int | None, after: int) -> list[dict[str, Any]]:
    graph, rows = _journal(execution_id)
    stop = None if limit is None else max(0, limit)
    return [_entry_dict(graph, entry) for entry in rows.filter(seq__gt=after)[:stop]]


def attempts(execution_id: int, limit: int | None, after: int) -> list[dict[str, Any]]:
    graph, _ = _journal(execution_id)
    found: list[dict[str, Any]] = []
    for entry, seen, made in replayed(execution_id):
        if limit is not None and len(found) >= limit:
            break
        if entry.seq > after:
            data = {"input_data": blobs.whole(seen), "output_data": blobs.whole(made)}
            found.append(_entry_dict(graph, entry) | data)
    return found


def _entry_dict(graph: Graph, entry: ExecutionLog) -> dict[str, Any]:
    node = graph.nodes.get(entry.node or "")
    data = entry.data if isinstance(entry.data, dict) else {}
    return {
        "id": entry.pk,
        "seq": entry.seq,
        "kind": entry.kind,
        "node_id": entry.node,
        "step_name": node.label if node else None,
        "step_type": node.type if node else None,
        "attempt": entry.attempt,
        "duration_ms": entry.took_ms,
        "error_message": (data.get("error") or {}).get("message"),
        "timestamp": entry.at,
        "level": data.get("level", USUAL if entry.kind == Kind.LOGGED else None),
        "text": data.get("text"),
        "data": data,
    }


def replayed(execution_id: int) -> Iterator[tuple[ExecutionLog, dict[str, Any], dict[str, Any] | None]]:
    """Each entry that ends an attempt, with what it saw and made; a blobs.Large stands for what is kept in a file."""
    row = WorkflowExecution.objects.filter(pk=known(execution_id)).only("input_data", "input_blobs").first()
    if row is None:
        return iter(())
    graph, rows = _journal(execution_id)
    return replay(graph, input_outline(row), map(outlined, rows.told().iterator(chunk_size=500)))


def step_data(execution_id: int, node_id: str) -> dict[str, Any]:
    """{"input", "output"} of the last attempt of a step that ended; None where there is nothing yet. As replayed()."""
    found: dict[str, Any] = {"input": None, "output": None}
    for entry, seen, made in replayed(execution_id):
        if entry.node == node_id:
            found = {"input": seen, "output": made}
    return found


def _journal(execution_id: int) -> tuple[Graph, Any]:
    row = WorkflowExecution.objects.select_related("version").filter(pk=known(execution_id)).first()
    if row is None:
        return Graph([], []), ExecutionLog.objects.none()
    rows = ExecutionLog.objects.filter(execution=row).order_by("seq")
    try:
        return parse(row.version.definition).within(row.body), rows
    except DefinitionError:  # broken by hand; what happened can be read all the same
        return Graph([], []), rows
