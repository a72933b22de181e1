"""sql: one statement in a database that an administrator has named, with bound parameters. It reads unless it may
write, and the database itself sees to that."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Annotated, Any

from django.conf import settings
from pydantic import AfterValidator, Field, ValidationInfo

from workflows.steps import base
from workflows.steps.blocking import blocking
from workflows.steps.due import SaveAs

MOST_ROWS = 100_000


def _database(name: str) -> str:
    known = settings.SQL_DATABASES
    if name not in known:
        there = f"there are: {', '.join(sorted(known))}" if known else "an administrator has named none (SQL_DATABASES)"
        raise ValueError(f"Database “{name[:80]}” is not open to workflows; {there}.")
    return name


def _sql(text: str) -> str:
    if not text.strip():
        raise ValueError("SQL is required.")
    if "\0" in text:
        raise ValueError("SQL holds a NUL character.")
    return text


def _parameters(value: Any) -> Any:
    if value in (None, ""):
        return None
    if not isinstance(value, list | dict):
        what = f"it is {type(value).__name__}: {str(value)[:80]}"
        raise ValueError(f"Parameters must be a list for %s, or an object for %(name)s; {what}.")
    return value


def _writes(value: bool, info: ValidationInfo) -> bool:
    name = info.data.get("database")
    if value and name and name not in settings.SQL_WRITABLE:
        text = f"It changes data: “{name}” is open for reading only; an administrator can change that"
        raise ValueError(f"{text} (SQL_WRITABLE).")
    return value


class Config(base.Config):
    database: Annotated[str, AfterValidator(_database)] = Field(
        description="The name that an administrator has given to it.",
    )
    sql: Annotated[str, AfterValidator(_sql)] = Field(
        title="SQL",
        max_length=20_000,
        description="One statement. Values go into the parameters and never into this text: "
        "%s for one of a list, %(name)s for one of an object; %% is a percent sign then.",
    )
    parameters: Annotated[Any, AfterValidator(_parameters)] = Field(
        None,
        description='A list such as ["open", 10], or an object such as {"state": "open"}.',
        json_schema_extra={"look": "json"},
    )
    writes: Annotated[bool, AfterValidator(_writes)] = Field(
        False, title="It changes data", description="Else the database refuses whatever is no reading."
    )
    rows: int = Field(
        1_000, title="At most rows", ge=1, le=MOST_ROWS, description="What is beyond is left out, and said."
    )
    timeout_s: float = Field(30, title="Time limit", gt=0, le=3_600, description="Seconds; then it is interrupted.")
    save_as: SaveAs = "result"


class SQL(base.Step[Config]):
    kind, label, icon = "sql", "SQL", "table"
    help = "Asks a database, or changes it where that is allowed."
    also = "query select insert update table postgres postgresql mysql sqlite"
    group, page = "Reach out", "sql.md"
    gives = 'the data and `{"result": {"rows", "count", "is_cut"}}`'
    effects = "none"
    example = {
        "database": "shop",
        "sql": "SELECT name, price FROM bread WHERE price > %(least)s ORDER BY price",
        "parameters": {"least": "{{ input.number }}"},
        "rows": 100,
    }
    literal = frozenset({"sql"})
    Config = Config

    @classmethod
    def effects_of(cls, data: Mapping[str, Any]) -> base.Effects:
        return "outside" if data.get("writes") else "none"

    async def run(self, ctx: base.StepContext) -> base.Done:
        from workflows.sql import Statement  # the drivers: only where it is used

        config = self.config
        limits = (config.writes, config.rows, config.timeout_s)
        statement = Statement(config.database, config.sql, config.parameters, *limits)
        ctx.log(f"Asks {config.database}: {' '.join(config.sql.split())[:300]}", "debug")
        result = await blocking(_pool(), statement.execute, statement.stop)
        ctx.log(result.told)
        if result.renamed:
            ctx.log(f"Columns of the same name were renamed: {', '.join(result.renamed)[:500]}", "warning")
        return base.Done({**ctx.data, config.save_as: result.as_data()})


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, "sql")
