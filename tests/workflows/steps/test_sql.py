"""sql on SQLite: a real file, which a step may read, and change only where that is allowed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.databases import named, sqlite
from tests.workflows.steps.conftest import step
from workflows import steps
from workflows.errors import WorkflowStepError
from workflows.graph import Node
from workflows.steps.base import StepContext

Ask = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """The database “shop” is open for reading, and “stock”, which is the same file, for writing."""
    file = tmp_path / "shop ü?#.sqlite3"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE bread (id INTEGER PRIMARY KEY, name TEXT UNIQUE, price REAL)")
        connection.executemany(
            "INSERT INTO bread VALUES (?, ?, ?)", [(1, "rye", 3.5), (2, "spelt", 4.0), (3, "ü", None)]
        )
        connection.commit()
    settings.SQL_DATABASES, settings.SQL_WRITABLE = ["shop", "stock"], ["stock"]
    with named("shop", sqlite(file)), named("stock", sqlite(file)):
        yield file


@pytest.fixture
def ask(file: Path) -> Ask:
    def asked(sql: str, parameters: Any = None, database: str = "shop", **config: Any) -> Any:
        made = step("sql", database=database, sql=sql, parameters=parameters, **config)
        ctx = StepContext({}, {"before": 1}, "a", 1, datetime.now(UTC), "1:a:0", lambda level, text: lines.append(text))
        return asyncio.run(made.run(ctx)).output["result"]

    lines: list[str] = asked.__dict__.setdefault("lines", [])
    return asked


def rows(file: Path) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT * FROM bread").fetchall()


def test_rows_are_objects_by_column(ask: Ask) -> None:
    assert ask("SELECT id, name, price FROM bread WHERE id < 3 ORDER BY id") == {
        "rows": [{"id": 1, "name": "rye", "price": 3.5}, {"id": 2, "name": "spelt", "price": 4.0}],
        "count": 2,
        "is_cut": False,
    }


@pytest.mark.parametrize(
    ("sql", "parameters", "ids"),
    [
        ("SELECT id FROM bread WHERE name = %s", ["rye"], [1]),
        ("SELECT id FROM bread WHERE name = %(name)s OR name = %(name)s", {"name": "ü", "more": 1}, [3]),
        ("SELECT id FROM bread WHERE name LIKE '%%p%%' AND id > %s", [0], [2]),
        ("SELECT id FROM bread WHERE name LIKE '%p%'", None, [2]),
        ("SELECT id FROM bread WHERE id IN (SELECT value FROM json_each(%s)) ORDER BY 1", [[1, 3]], [1, 3]),
        ("SELECT id FROM bread WHERE name = %s", ["x' OR 1=1 --"], []),
    ],
)
def test_values_are_bound_and_never_become_text(ask: Ask, sql: str, parameters: Any, ids: list[int]) -> None:
    assert [row["id"] for row in ask(sql, parameters)["rows"]] == ids


@pytest.mark.parametrize(
    ("sql", "parameters", "said"),
    [
        ("SELECT %s, %s", [1], "has 2 places"),
        ("SELECT %s", [1, 2], "has 1 places"),
        ("SELECT %s", {"a": 1}, "%\\(name\\)s"),
        ("SELECT %(a)s", [1], "places with names"),
        ("SELECT %(a)s", {"b": 1}, ":a"),
        ("SELECT '%x' = %s", [1], "written %% where there are parameters"),
        ("SELECT %999999999s", [1], "written %%"),
        ("SELECT %s", [2**70], "too large"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(ask: Ask, sql: str, parameters: Any, said: str) -> None:
    with pytest.raises(WorkflowStepError, match=f"“shop” refused the statement: .*{said}") as caught:
        ask(sql, parameters)
    assert caught.value.is_permanent


WRITING = [
    "INSERT INTO bread (name) VALUES ('x')",
    "UPDATE bread SET name = 'x'",
    "DELETE FROM bread",
    "DROP TABLE bread",
    "CREATE TABLE x (a)",
    "CREATE TEMP TABLE x (a)",
    "WITH a AS (SELECT 1) INSERT INTO bread (name) SELECT 'x'",
    "REPLACE INTO bread (id, name) VALUES (1, 'x')",
    "VACUUM",
    "PRAGMA query_only=OFF",
    "PRAGMA writable_schema=ON",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "REINDEX",
]


@pytest.mark.parametrize("database", ["shop", "stock"])
@pytest.mark.parametrize("sql", WRITING)
def test_a_step_that_does_not_say_so_changes_nothing(ask: Ask, file: Path, sql: str, database: str) -> None:
    before = file.read_bytes()
    with pytest.raises(WorkflowStepError, match="not allowed|refused the statement|readonly"):
        ask(sql, database=database)
    assert file.read_bytes() == before


REACHING = [
    "ATTACH '{0}/other.sqlite3' AS other",
    "VACUUM INTO '{0}/other.sqlite3'",
    "SELECT load_extension('{0}/x')",
    "SELECT writefile('{0}/other.sqlite3', 'x')",
    "SELECT readfile('/etc/hosts')",
    "SELECT fts3_tokenizer('x', x'00')",
    "PRAGMA temp_store_directory='{0}'",
    "SELECT * FROM pragma_database_list",
    "SELECT 1; DELETE FROM bread",
    "DELETE FROM bread; SELECT 1",
    "CREATE VIRTUAL TABLE x USING fts5(a)",
    "CREATE TRIGGER x AFTER INSERT ON bread BEGIN DELETE FROM bread; END",
    "SAVEPOINT x",
    "DETACH main",
]


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("sql", REACHING)
def test_no_statement_reaches_beyond_its_database(ask: Ask, file: Path, tmp_path: Path, sql: str, writes: bool) -> None:
    with pytest.raises(WorkflowStepError) as caught:
        ask(sql.format(tmp_path), database="stock", writes=writes)
    assert caught.value.is_permanent
    assert not (tmp_path / "other.sqlite3").exists() and len(rows(file)) == 3


def test_a_step_that_may_write_says_how_many_rows_it_changed(ask: Ask, file: Path) -> None:
    done = ask("UPDATE bread SET price = price + %s WHERE price IS NOT NULL", [1], "stock", writes=True)
    assert done == {"rows": [], "count": 0, "is_cut": False, "changed": 2}
    assert [price for _, _, price in rows(file)] == [4.5, 5.0, None]


def test_rows_that_a_change_returns_are_handed_on(ask: Ask, file: Path) -> None:
    done = ask("INSERT INTO bread (name) VALUES (%s), ('b') RETURNING id", ["a"], "stock", writes=True, rows=1)
    assert (done["rows"], done["is_cut"], done["changed"]) == ([{"id": 4}], True, 2)
    assert len(rows(file)) == 5


def test_a_change_that_fails_leaves_nothing(ask: Ask, file: Path) -> None:
    with pytest.raises(WorkflowStepError, match=r"UNIQUE constraint failed: bread.name"):
        ask("INSERT INTO bread (name) VALUES ('a'), ('rye')", None, "stock", writes=True)
    assert len(rows(file)) == 3


def test_rows_beyond_the_limit_are_left_out_and_that_is_said(ask: Ask) -> None:
    done = ask("SELECT id FROM bread ORDER BY id", rows=2)
    assert (done["count"], done["is_cut"]) == (2, True)
    assert "2 rows; there are more, which are left out" in ask.__dict__["lines"]
    assert ask("SELECT id FROM bread", rows=3)["is_cut"] is False


def test_columns_of_one_name_are_told_apart(ask: Ask) -> None:
    done = ask("SELECT 1 AS id, 2 AS id, 3 AS id_2, 4 AS id")
    assert done["rows"] == [{"id": 1, "id_2": 3, "id_3": 2, "id_4": 4}]
    assert any("renamed" in line for line in ask.__dict__["lines"])


def test_values_become_json(ask: Ask) -> None:
    (row,) = ask("SELECT x'00ff' AS bytes, 9e999 AS much, NULL AS none, 1e3 AS number, 'ü' AS text")["rows"]
    assert row == {"bytes": "AP8=", "much": None, "none": None, "number": 1000.0, "text": "ü"}


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_statement_that_takes_too_long_is_interrupted(ask: Ask) -> None:
    with pytest.raises(WorkflowStepError, match="took longer than 0.1 s, and was interrupted") as caught:
        ask(ENDLESS, timeout_s=0.1)
    assert not caught.value.is_permanent


async def test_a_cancel_ends_the_statement_itself(file: Path) -> None:
    from workflows.steps.sql import _pool

    made = step("sql", database="shop", sql=ENDLESS, timeout_s=600)
    ctx = StepContext({}, {}, "a", 1, datetime.now(UTC), "1:a:0")
    tasks = [asyncio.create_task(made.run(ctx)) for _ in range(9)]  # one more than there are threads
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 2)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended)
    assert await asyncio.wait_for(asyncio.wrap_future(_pool().submit(lambda: "free")), 2) == "free"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT zeroblob(1000000000)",
        "SELECT replace(hex(zeroblob(8000000)), '0', 'xxxxxxxxxx')",
        "SELECT hex(zeroblob(16000000)) AS a",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 90000) "
        "SELECT printf('%.*c', 5000, 'x') AS a FROM n",
    ],
)
def test_a_result_that_is_too_large_is_refused_before_it_fills_the_memory(ask: Ask, sql: str) -> None:
    with pytest.raises(WorkflowStepError, match="too large|too big") as caught:
        ask(sql, rows=100_000)
    assert caught.value.is_permanent


def test_errors_are_the_databases_words(ask: Ask) -> None:
    with pytest.raises(WorkflowStepError, match="“shop” refused the statement: no such table: breads") as caught:
        ask("SELECT * FROM breads")
    assert caught.value.is_permanent
    with pytest.raises(WorkflowStepError, match='near "FORM": syntax error'):
        ask("SELECT * FORM bread")


def test_a_database_that_is_not_there_may_come_back(ask: Ask, file: Path) -> None:
    file.unlink()
    with pytest.raises(WorkflowStepError, match="cannot be opened: its file is not there") as caught:
        ask("SELECT 1")
    assert not caught.value.is_permanent and not file.exists()


def test_a_file_that_is_no_database_is_said(ask: Ask, file: Path) -> None:
    file.write_bytes(b"nonsense" * 1000)
    with pytest.raises(WorkflowStepError, match="file is not a database"):
        ask("SELECT * FROM bread")


def test_a_database_that_somebody_else_holds_may_be_asked_again(ask: Ask, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(WorkflowStepError, match="database is locked") as caught:
            ask("UPDATE bread SET price = 1", None, "stock", writes=True, timeout_s=0.1)
    assert not caught.value.is_permanent


@pytest.mark.parametrize(
    ("config", "field", "said"),
    [
        ({"database": "default", "sql": "SELECT 1"}, "database", "not open to workflows; there are: shop, stock"),
        ({"database": "nowhere", "sql": "SELECT 1"}, "database", "not open to workflows"),
        ({"database": "shop", "sql": " "}, "sql", "SQL is required"),
        ({"database": "shop", "sql": "SELECT 1\0"}, "sql", "NUL"),
        ({"database": "shop", "sql": "x" * 20_001}, "sql", "at most 20000"),
        ({"database": "shop", "sql": "SELECT 1", "parameters": 3}, "parameters", "must be a list"),
        ({"database": "shop", "sql": "DELETE FROM bread", "writes": True}, "writes", "open for reading only"),
        ({"database": "shop", "sql": "SELECT 1", "rows": 100_001}, "rows", "at most 100000"),
        ({"database": "shop", "sql": "SELECT 1", "timeout_s": 0}, "timeout_s", "more than 0"),
    ],
)
def test_publishing_names_the_setting_that_is_wrong(file: Path, config: dict[str, Any], field: str, said: str) -> None:
    found = steps.config_errors(steps.kinds()["sql"], config)
    assert any(at == field and said in text for at, text in found), found


def test_without_any_database_it_says_who_can_name_one(settings: Any) -> None:
    settings.SQL_DATABASES = []
    found = dict(steps.config_errors(steps.kinds()["sql"], {"database": "x", "sql": "SELECT 1"}))
    assert "an administrator has named none (SQL_DATABASES)" in found["database"]


def test_the_text_of_a_statement_takes_no_expressions_and_only_writing_has_effects() -> None:
    assert steps.kinds()["sql"].literal == {"sql"}
    assert steps.reaches_out(Node("a", "sql", {"writes": True}))
    assert not steps.reaches_out(Node("a", "sql", {}))
