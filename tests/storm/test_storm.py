"""A short storm of each kind, with real processes, real kills and real servers; `make storm` plays them at full size.

What each must show is said in its own scenario: one in which nothing went wrong is a failure too.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.storm import verdict
from tests.storm.__main__ import SIZES, storm
from tests.storm.cluster import NotHere

PATIENCE_S = 280.0
SHORT_LEASES = {"executions": 60, "kills": 2, "limit": 8}  # enough to go red without the fence
DENSE = 100.0  # so many faults among so few executions repeat more effects than the gate of the full size allows


def played(name: str, **size: Any) -> dict[str, Any]:
    """A small storm may have met nobody at work, and says so: up to three, until one has."""
    try:
        for _ in range(3):
            found = storm(name, replace(SIZES[name], most_repeated=DENSE, **size), patience_s=PATIENCE_S)
            if not any("This was no test" in violation for violation in found["violations"]):
                break
        return found
    except NotHere as why:
        if os.environ.get("REQUIRE_SERVICES") and name != "disk":  # which may need rights that nobody gives a container
            pytest.fail(str(why))
        pytest.skip(str(why))


@pytest.mark.kill
def test_nothing_is_lost_or_doubled_while_workers_are_killed_on_sqlite() -> None:
    found = played("sqlite", executions=150, kills=12, pace_s=0.05)
    assert found["violations"] == []
    assert (found["lost"], found["stuck"], found["twice"]) == (0, 0, 0)
    assert found["executions"] == 150
    assert found["kills"] >= 12
    assert found["takeovers"] > 0


@pytest.mark.kill
@pytest.mark.service
def test_nothing_is_lost_or_doubled_while_workers_and_the_database_are_killed_on_postgresql() -> None:
    found = played("postgresql", executions=50, kills=8, faults=2, workers=4, limit=4, pace_s=0.05)
    assert found["violations"] == []
    assert found["executions"] == 50
    assert found["kills"] >= 8
    assert found["faults"] >= 2


@pytest.mark.kill
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("pause", {"executions": 40, "faults": 4, "pace_s": 0.1}),
        ("lease", SHORT_LEASES),
        ("term", {"executions": 40, "faults": 6, "pace_s": 0.5}),
        ("clock", {"executions": 40, "faults": 12, "kills": 2}),
        ("disk", {"executions": 40, "faults": 2, "kills": 2}),
    ],
)
def test_what_else_befalls_workers_loses_and_doubles_nothing(name: str, size: dict[str, Any]) -> None:
    assert played(name, **size)["violations"] == []


@pytest.mark.kill
@pytest.mark.service
@pytest.mark.parametrize(
    ("name", "size"),
    [("commit", {"executions": 30, "faults": 8}), ("redis", {"executions": 24, "faults": 3, "kills": 1})],
)
def test_what_befalls_servers_loses_and_doubles_nothing(name: str, size: dict[str, Any]) -> None:
    assert played(name, **size)["violations"] == []


@pytest.mark.kill
def test_without_the_fence_the_storm_goes_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one violation or a dozen; it is chance, so up to five storms may be needed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where it is red, its folder stays
    assert any(played("lease", **SHORT_LEASES, without_fence=True)["violations"] for _ in range(5))


# What the verdict looks for beside the invariants


TABLES = """
    CREATE TABLE executions_executionlog (execution_id, seq, kind, node, attempt, at, data);
    CREATE TABLE executions_workflowexecution (id, status, error_message);
    CREATE TABLE executions_executionwait (id, answered_at);
    CREATE TABLE auth_group (name);"""


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        yield connection


def write(database: sqlite3.Connection, table: str, *rows: tuple[Any, ...]) -> None:
    for row in rows:
        database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def by(pid: int, attempt: int) -> tuple[Any, ...]:
    return (1, 1, "logged", "a", attempt, "2026-01-01 00:00:00", f'{{"level":"info","text":"by {pid}"}}')


def test_an_attempt_is_told_by_one_process(database: sqlite3.Connection) -> None:
    write(database, "executions_executionlog", by(7, 1), by(8, 2))
    assert list(verdict._told_by_two(database)) == []
    write(database, "executions_executionlog", by(9, 2))
    assert list(verdict._told_by_two(database)) == ["the attempt (1, 'a', 2) is told by 2"]


def test_a_step_s_own_row_is_there_as_often_as_its_end(database: sqlite3.Connection) -> None:
    write(database, "executions_executionlog", (1, 5, "completed", "book", 1, "", None))
    assert list(verdict._booked_otherwise(database)) == ["lost: the end of 1:book:0, or its own row"]
    write(database, "auth_group", ("1:book:0 x",))
    assert list(verdict._booked_otherwise(database)) == []
    write(database, "auth_group", ("1:book:0 y",))
    assert list(verdict._booked_otherwise(database)) == ["twice: 1:book:0 was booked 2 times"]


def test_an_accepted_answer_is_there(database: sqlite3.Connection) -> None:
    write(database, "executions_executionwait", (1, "2026-01-01"), (2, None))
    assert list(verdict._answers_lost(database, [1])) == []
    assert len(list(verdict._answers_lost(database, [1, 2]))) == 1


def test_only_who_lost_three_workers_may_fail(database: sqlite3.Connection) -> None:
    lost = "The worker was lost 3 times in a row while this step ran."
    write(database, "executions_workflowexecution", (1, "failed", lost), (2, "completed", ""), (3, "failed", "no"))
    assert list(verdict._failed_otherwise(database)) == ["execution 3 is failed: no"]


def test_every_kind_of_violation_has_its_column() -> None:
    found = verdict.Verdict("test", "none")
    found.add(["I1: one", "lost: two", "I2: three", "I3: four", "twice: five", "I10: six"])
    assert (found.lost, found.stuck, found.twice, len(found.violations)) == (2, 1, 2, 6)
