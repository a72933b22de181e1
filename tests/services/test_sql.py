"""sql on PostgreSQL: a real server, which is what refuses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import dj_database_url
import psycopg
import pytest
from django.db import connections

from tests.databases import named
from tests.services.test_elsewhere import POSTGRESQL, require
from tests.workflows.steps.conftest import step
from workflows.errors import WorkflowStepError
from workflows.sql import postgresql
from workflows.steps.base import StepContext

pytestmark = pytest.mark.service
Ask = Callable[..., Any]
Room = Callable[[str], list[Any]]


@pytest.fixture
def room() -> Iterator[Room]:
    """Asks by another connection, in a schema of its own with a table `bread`."""
    require(POSTGRESQL)
    schema = f"sql_{uuid4().hex}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}")
        connection.execute("CREATE TABLE bread (id serial PRIMARY KEY, name text UNIQUE, price numeric(8, 2))")
        connection.execute("INSERT INTO bread (name, price) VALUES ('rye', 3.50), ('spelt', 4), ('ü', NULL)")

        def asked(sql: str) -> list[Any]:
            return connection.execute(sql).fetchall()

        asked.__dict__["schema"] = schema
        yield asked
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def ask(room: Room, settings: Any) -> Iterator[Ask]:
    about = {**dj_database_url.parse(POSTGRESQL), "OPTIONS": {"options": f"-c search_path={room.__dict__['schema']}"}}
    settings.SQL_DATABASES, settings.SQL_WRITABLE = ["shop"], ["shop"]
    with named("shop", about):
        yield asked


def asked(sql: str, parameters: Any = None, **config: Any) -> Any:
    made = step("sql", database="shop", sql=sql, parameters=parameters, **config)
    return asyncio.run(made.run(StepContext({}, {}, "a", 1, datetime.now(UTC), "1:a:0"))).output["result"]


def test_rows_are_objects_by_column(ask: Ask) -> None:
    assert ask("SELECT id, name, price FROM bread ORDER BY id") == {
        "rows": [
            {"id": 1, "name": "rye", "price": 3.5},
            {"id": 2, "name": "spelt", "price": 4},
            {"id": 3, "name": "ü", "price": None},
        ],
        "count": 3,
        "is_cut": False,
    }


def test_values_become_json(ask: Ask) -> None:
    (row,) = ask(
        """SELECT 12345678901234567890.123456789::numeric AS exact, 'NaN'::float AS nan, 'NaN'::numeric AS none,
        '2026-11-24'::date AS day, '2026-11-24 10:00+02'::timestamptz AT TIME ZONE 'UTC' AS at,
        '1 day'::interval AS took,
        '\\x00ff'::bytea AS bytes, ARRAY[1, NULL, 2] AS list, '{"a": [1]}'::jsonb AS json, true AS yes,
        '0d4a1b0e-8f0e-4d5f-9f8e-2f6c7a1d2b3c'::uuid AS uuid, 1 AS id, 2 AS id"""
    )["rows"]
    assert row == {
        "exact": "12345678901234567890.123456789",
        "nan": None,
        "none": None,
        "day": "2026-11-24",
        "at": "2026-11-24T08:00:00",
        "took": 86_400.0,
        "bytes": "AP8=",
        "list": [1, None, 2],
        "json": {"a": [1]},
        "yes": True,
        "uuid": "0d4a1b0e-8f0e-4d5f-9f8e-2f6c7a1d2b3c",
        "id": 1,
        "id_2": 2,
    }


@pytest.mark.parametrize(
    ("sql", "parameters", "ids"),
    [
        ("SELECT id FROM bread WHERE name = %s", ["rye"], [1]),
        ("SELECT id FROM bread WHERE name = %(name)s", {"name": "x' OR 1=1 --"}, []),
        ("SELECT id FROM bread WHERE id = ANY(%s) ORDER BY id", [[1, 3]], [1, 3]),
        ("SELECT id FROM bread WHERE price > %s AND name LIKE '%%p%%'", [3.5], [2]),
        ("SELECT id FROM bread WHERE %s::jsonb @> '{\"a\": 1}' AND id = 1", [{"a": 1}], [1]),
        ("-- first\n/* then */ (SELECT id FROM bread WHERE id = 2)", None, [2]),
    ],
)
def test_values_are_bound_and_never_become_text(ask: Ask, sql: str, parameters: Any, ids: list[int]) -> None:
    assert [row["id"] for row in ask(sql, parameters)["rows"]] == ids


WRITING = [
    "INSERT INTO bread (name) VALUES ('x')",
    "WITH gone AS (DELETE FROM bread RETURNING id) SELECT * FROM gone",
    "UPDATE bread SET name = 'x' WHERE id = 1 RETURNING id",
    "DROP TABLE bread",
    "TRUNCATE bread",
    "CREATE TEMP TABLE x (a int)",
    "SELECT * INTO x FROM bread",
    "SELECT nextval('bread_id_seq')",
    "SELECT * FROM bread FOR UPDATE",
    "SELECT 1; DELETE FROM bread",
    "COMMIT; DELETE FROM bread",
    "SET TRANSACTION READ WRITE",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "DO $$ BEGIN DELETE FROM bread; END $$",
    "EXPLAIN ANALYZE DELETE FROM bread",
    "COPY bread TO '/tmp/never'",
    "COPY bread FROM PROGRAM 'true'",
    "PREPARE x AS DELETE FROM bread",
    "ROLLBACK",
    "NOTIFY x",
]


@pytest.mark.parametrize("sql", WRITING)
def test_a_step_that_does_not_say_so_changes_nothing(ask: Ask, room: Room, sql: str) -> None:
    with pytest.raises(WorkflowStepError, match="“shop” refused the statement"):
        ask(sql)
    assert room("SELECT count(*), max(id) FROM bread") == [(3, 3)]


def test_what_a_reading_leaves_behind_is_rolled_back(ask: Ask, room: Room) -> None:
    (row,) = ask("SELECT lo_create(0) AS made")["rows"]
    assert room(f"SELECT count(*) FROM pg_largeobject_metadata WHERE oid = {int(row['made'])}") == [(0,)]


def test_a_step_that_may_write_says_how_many_rows_it_changed(ask: Ask, room: Room) -> None:
    done = ask("UPDATE bread SET price = price + %s WHERE id < %s RETURNING id", [1, 3], writes=True)
    assert done == {"rows": [{"id": 1}, {"id": 2}], "count": 2, "is_cut": False, "changed": 2}
    assert ask("INSERT INTO bread (name) VALUES ('x')", writes=True)["changed"] == 1
    assert room("SELECT count(*) FROM bread") == [(4,)]


@pytest.mark.parametrize("sql", ["DELETE FROM bread; SELECT 1", "COPY bread FROM PROGRAM 'true'", "DELETE FROM breads"])
def test_a_change_that_is_refused_leaves_nothing(ask: Ask, room: Room, sql: str) -> None:
    with pytest.raises(WorkflowStepError):
        ask(sql, writes=True)
    assert room("SELECT count(*) FROM bread") == [(3,)]


def test_rows_beyond_the_limit_are_left_out_and_never_fetched(ask: Ask) -> None:
    done = ask("SELECT generate_series(1, 2000000000) AS i", rows=2)
    assert (done["rows"], done["is_cut"]) == ([{"i": 1}, {"i": 2}], True)


def test_a_result_that_is_too_large_is_refused(ask: Ask) -> None:
    with pytest.raises(WorkflowStepError, match="The result is too large: after"):
        ask("SELECT repeat('x', 100000) AS a, generate_series(1, 2000000)", rows=100_000)


@pytest.mark.parametrize(
    "sql",
    ["SELECT pg_sleep(60)", "SELECT pg_sleep(0.02), generate_series(1, 10000)", "SHOW server_version; SELECT 1"],
)
def test_a_statement_that_takes_too_long_is_interrupted(ask: Ask, sql: str) -> None:
    with pytest.raises(WorkflowStepError, match="took longer than 0.2 s|multiple commands"):
        ask(sql, timeout_s=0.2, rows=100_000)


async def test_a_cancel_ends_the_statement_on_the_server(ask: Ask, room: Room) -> None:
    made = step("sql", database="shop", sql="SELECT pg_sleep(600), 'of the cancel'", timeout_s=900)
    task = asyncio.create_task(made.run(StepContext({}, {}, "a", 1, datetime.now(UTC), "1:a:0")))
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stepstream sql' AND wait_event = 'PgSleep'"
    )
    while room(running) != [(1,)]:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(2):
        while room(running) != [(0,)]:
            await asyncio.sleep(0.01)


def test_errors_are_the_databases_words_with_their_place(ask: Ask) -> None:
    with pytest.raises(WorkflowStepError, match=r"relation \"breads\" does not exist\. \(line 2, column 6\)") as caught:
        ask("SELECT *\nFROM breads")
    assert caught.value.is_permanent and caught.value.details == {"sqlstate": "42P01"}
    with pytest.raises(WorkflowStepError, match=r"does not exist\. \(line 2\)"):
        ask("SELECT %s\nFROM breads", [1])
    with pytest.raises(WorkflowStepError, match="duplicate key value violates unique constraint"):
        ask("INSERT INTO bread (name) VALUES ('rye')", writes=True)
    with pytest.raises(WorkflowStepError, match="only '%s', '%b', '%t' are allowed as placeholders"):
        ask("SELECT '%x' WHERE 1 = %s", [1])


def test_a_server_that_is_away_may_come_back_and_its_password_is_not_told(ask: Ask) -> None:
    connections["shop"].settings_dict.update(HOST="127.0.0.1", PORT=1, PASSWORD="very secret")
    with pytest.raises(WorkflowStepError, match="could not do it: .*onnection refused") as caught:
        ask("SELECT 1")
    assert not caught.value.is_permanent and "very secret" not in caught.value.message


@pytest.mark.parametrize("moment", ["_connected", "_cursor"])
def test_a_cancel_that_comes_before_the_statement_ends_it_all_the_same(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The server forgets a cancel that arrives while nothing runs; and before there is a connection nobody hears it."""
    driver = postgresql.Driver("shop", connections["shop"].settings_dict, "SELECT pg_sleep(20)", None, False, 1, 30)
    real = getattr(driver, moment)

    def stopped_just_before(*args: Any) -> Any:
        driver.stop()
        for thread in [thread for thread in threading.enumerate() if thread.name == "sql cancel"]:
            thread.join(0.2)
        return real(*args)

    monkeypatch.setattr(driver, moment, stopped_just_before)
    with pytest.raises(WorkflowStepError, match="interrupted"):
        driver.execute()
