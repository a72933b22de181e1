"""Many executions in a moment: copies, by SQL alone, of those that the engine has just written itself, entries too."""

from __future__ import annotations

from typing import Any

AT_ONCE = 50_000  # executions in one transaction
TABLES = ("executions_workflowexecution", "executions_executionlog")


def make(workflow_id: int, number: int) -> None:
    """So many more executions of the workflow, each as one of its first, under numbers of their own."""
    from django.db import connection, transaction

    from executions.models import WorkflowExecution

    first = list(
        WorkflowExecution.objects.filter(workflow=workflow_id).order_by("pk").values_list("pk", flat=True)[:100]
    )
    assert first == list(range(first[0], first[0] + 100)), "their numbers have gaps"
    begin = WorkflowExecution.objects.order_by("-pk").values_list("pk", flat=True)[0] + 1 - first[0]
    with connection.cursor() as cursor:
        for start in range(0, number, AT_ONCE):
            rounds = min(AT_ONCE, number - start) // 100
            with transaction.atomic():
                for table in TABLES:
                    cursor.execute(statement(cursor, table), [begin + start, rounds, first[0], first[-1]])
        settle(cursor)


def statement(cursor: Any, table: str) -> str:
    """Each of the hundred once a round, with its number moved on; an entry gets a new number of its own."""
    from django.db import connection

    names = [column.name for column in connection.introspection.get_table_description(cursor, table)]
    key = "id" if table == TABLES[0] else "execution_id"
    kept = [name for name in names if name != "id" or key == "id"]
    chosen = ", ".join(f"source.{name} + 100 * round.n + %s" if name == key else f"source.{name}" for name in kept)
    counted = (
        "SELECT generate_series(0, %s - 1) AS n"
        if connection.vendor == "postgresql"
        else "WITH RECURSIVE up(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM up WHERE n + 1 < %s) SELECT n FROM up"
    )
    return (
        f"INSERT INTO {table} ({', '.join(kept)}) SELECT {chosen} FROM ({counted}) round CROSS JOIN {table} source "
        f"WHERE source.{key} BETWEEN %s AND %s ORDER BY round.n, source.id"
    )


def settle(cursor: Any) -> None:
    """The next number is behind all of these; statistics as autovacuum would have made them."""
    from django.db import connection

    if connection.vendor == "postgresql":
        cursor.execute(f"SELECT setval(pg_get_serial_sequence('{TABLES[0]}', 'id'), max(id)) FROM {TABLES[0]}")
        cursor.execute("VACUUM ANALYZE")
    else:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
