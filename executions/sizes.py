"""How much executions take on disk: estimates from samples, which cost milliseconds however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.core.files.storage import storages
from django.db import connection
from django.db.models import Count, Max, Min

from executions.models import ExecutionLog, WorkflowExecution
from executions.models.execution import FINAL, ExecutionQuerySet
from workflows.models import Workflow

SAMPLE = 24  # executions of a workflow that are weighed, half of them old and half of them new
FAMILY = 20  # children that are weighed of each
JOURNAL = 1_000  # entries that are weighed of each
ROW_BYTES, ENTRY_BYTES = 500, 130  # a row's own columns and its share of the indexes
ROW, ENTRY = WorkflowExecution._meta.db_table, ExecutionLog._meta.db_table
JSON_LENGTH = {"sqlite": "LENGTH(CAST({} AS BLOB))", "postgresql": "pg_column_size({})"}


@dataclass(frozen=True, slots=True)
class Size:
    """Executions that somebody started, and the bytes of them and of all that hangs on them, roughly."""

    executions: int
    bytes: int


def of_workflow(workflow: Workflow) -> Size:
    roots = WorkflowExecution.objects.roots().filter(workflow=workflow)
    return _estimated(roots, roots.count())


def of_old(workflow: Workflow, cutoff: datetime) -> Size:
    """Those that retention would delete now."""
    roots = WorkflowExecution.objects.roots().filter(workflow=workflow, status__in=FINAL)
    old = roots.filter(pk__lt=_first_since(workflow, cutoff))
    return _estimated(old, old.count())


def of_database() -> int:
    """Bytes of the whole database, everything that is not ours included; free pages too."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            file = Path(connection.settings_dict["NAME"])
            return sum(path.stat().st_size for path in (file, file.with_name(f"{file.name}-wal")) if path.exists())
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def _first_since(workflow: Workflow, moment: datetime) -> int:
    """The id of its first execution that was created then or later: ids ascend with time, so it is found by halving."""
    roots = WorkflowExecution.objects.roots().filter(workflow=workflow).order_by("pk")
    ends = roots.order_by().aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return 0
    low, high = ends["first"], ends["last"] + 1
    while low < high:
        middle = (low + high) // 2
        found = roots.filter(pk__gte=middle).values_list("pk", "created_at").first()
        if found is None or found[1] >= moment:
            high = middle
        else:
            low = found[0] + 1
    return int(low)


def _estimated(rows: ExecutionQuerySet, count: int) -> Size:
    if not count:
        return Size(0, 0)
    half = SAMPLE // 2
    sample = {*rows.order_by("pk").values_list("pk", flat=True)[:half]}
    sample |= {*rows.order_by("-pk").values_list("pk", flat=True)[:half]}
    return Size(count, round(count * (_weight(sorted(sample)) + _families(sorted(sample))) / len(sample)))


def _families(root_ids: Sequence[int]) -> float:
    children = WorkflowExecution.objects.filter(root__in=root_ids)
    total = 0.0
    for root, many in children.order_by().values_list("root").annotate(many=Count("pk")):
        some = list(children.filter(root=root).values_list("pk", flat=True)[:FAMILY])
        total += _weight(some) * many / len(some)
    return total


def _weight(ids: Sequence[int]) -> float:
    """Bytes of these executions without their children: rows, entries, files."""
    return _rows(ids) + sum(_journal(pk) for pk in ids) + sum(_files(pk) for pk in ids)


def _rows(ids: Sequence[int]) -> float:
    lengths = " + ".join(f"COALESCE({_length(column)}, 0)" for column in ("input_data", "output_data", "error"))
    sql = f"SELECT SUM({lengths}) FROM {ROW} WHERE id IN ({', '.join(['%s'] * len(ids))})"
    with connection.cursor() as cursor:
        cursor.execute(sql, list(ids))
        return len(ids) * ROW_BYTES + float(cursor.fetchone()[0] or 0)


def _journal(execution_id: int) -> float:
    sql = f"SELECT COUNT(*), SUM({_length('data')}) FROM {ENTRY} WHERE execution_id = %s AND seq <= %s"
    with connection.cursor() as cursor:
        cursor.execute(sql, [execution_id, JOURNAL])
        many, length = cursor.fetchone()
    if not many:
        return 0.0
    last = ExecutionLog.objects.filter(execution=execution_id).aggregate(last=Max("seq"))["last"]
    return last * (ENTRY_BYTES + float(length or 0) / many)


def _length(column: str) -> str:
    return JSON_LENGTH[connection.vendor].format(column)


def _files(execution_id: int) -> int:
    files = storages["blobs"]
    try:
        _, names = files.listdir(str(execution_id))
    except FileNotFoundError:
        return 0
    return sum(files.size(f"{execution_id}/{name}") for name in names)
