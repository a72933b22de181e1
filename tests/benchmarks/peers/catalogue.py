"""Who takes part: one row each, how much work it gets, and what we set out to reach beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    name: str
    label: str
    runner: str  # the module beside this one, and its environment's folder below var/peers
    variant: str = ""
    executions: int = 300
    alone: int = 20
    in_flight: int = 100
    beside: str = "ours-sqlite"  # the row of ours that it is compared with
    target: float | None = None  # our executions/s over its
    limit_s: int = 90  # a round that takes longer is ended

    @property
    def is_ours(self) -> bool:
        return self.runner == "ours"

    @property
    def needs_postgres(self) -> bool:
        return self.variant == "postgresql"


ROWS = (
    Row("ours-sqlite", "Stepstream, SQLite", "ours", "sqlite", executions=5_000, alone=100),
    Row("ours-postgresql", "Stepstream, PostgreSQL", "ours", "postgresql", executions=3_000, alone=100),
    Row("dbos-sqlite", "DBOS, SQLite as it comes", "dbos", "sqlite", target=50),
    Row("dbos-sqlite-wal", "DBOS, SQLite in WAL", "dbos", "sqlite-wal", target=50),
    Row("dbos-postgresql", "DBOS, PostgreSQL", "dbos", "postgresql", beside="ours-postgresql", target=12),
    Row("huey", "Huey, SQLite", "huey", "sqlite", executions=1_500, target=10),
    Row("celery", "Celery chain, Redis", "celery", "redis", executions=600),
    Row("n8n-end", "n8n, SQLite, saved at the end", "n8n", "end", executions=400, target=40, limit_s=120),
    Row("n8n-nodes", "n8n, SQLite, saved at every node", "n8n", "nodes", executions=300, target=40, limit_s=120),
    Row(
        "prefect",
        "Prefect, SQLite",
        "prefect",
        "sqlite",
        executions=20,
        alone=3,
        in_flight=10,
        target=1_000,
        limit_s=150,
    ),
)


def chosen(names: list[str]) -> list[Row]:
    """The rows that are named, by their name or their runner, and ours beside which they stand; all without a name."""
    unknown = set(names) - {row.name for row in ROWS} - {row.runner for row in ROWS}
    if unknown:
        raise SystemExit(
            f"No such peer: {', '.join(sorted(unknown))}. There are: {', '.join(row.name for row in ROWS)}"
        )
    picked = {row.name for row in ROWS if not names or row.name in names or row.runner in names}
    picked |= {row.beside for row in ROWS if row.name in picked and not row.is_ours}
    return [row for row in ROWS if row.name in picked]
