"""Every crash point, killed for real: the next process goes on, and all invariants hold. More of it: make storm."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from executions.crashpoints import POINTS
from tests.services.test_elsewhere import POSTGRESQL, require

TIMES = 3
#: On PostgreSQL in the suite: what goes by its locks and its COMMIT, and not by Python alone.
ELSEWHERE = ("claim.written", "record.noted", "record.written", "record.committed", "bury.written", "cancel.written")
ROOT = Path(__file__).resolve().parent.parent.parent
Tally = dict[str, Any]


def killed(*arguments: str) -> list[Tally]:
    command = [sys.executable, "-m", "tests.storm.points", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1_800, check=False)
    assert done.stdout and done.returncode in (0, 1), done.stderr[-3_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def tallies() -> list[Tally]:
    return killed("--times", str(TIMES))


def test_each_registered_point_was_reached_and_killed(tallies: list[Tally]) -> None:
    assert {tally["point"] for tally in tallies} == POINTS
    assert {tally["point"]: tally["kills"] for tally in tallies if tally["kills"] < TIMES} == {}


def test_the_next_process_comes_to_the_end_and_every_invariant_holds(tallies: list[Tally]) -> None:
    judged(tallies)


@pytest.mark.parametrize(
    ("mutation", "point", "red"),
    [
        ("transactions", "record.noted", "no wait is open"),
        ("effect first", "record.committed", "completed without its effect"),
        ("own writes", "record.committed", "are booked, and"),
    ],
)
def test_without_its_guard_a_kill_is_seen(mutation: str, point: str, red: str) -> None:
    (tally,) = killed("--times", "16", "--scene", "steps", "--without", mutation, point)
    assert tally["kills"] > 0 and any(red in violation for violation in tally["violations"]), tally


@pytest.mark.service
def test_the_same_on_postgresql() -> None:
    require(POSTGRESQL)
    tallies = killed("--times", "2", "--database", POSTGRESQL, *ELSEWHERE)
    assert [tally["kills"] for tally in tallies] == [2] * len(ELSEWHERE)
    judged(tallies)


def judged(tallies: Sequence[Tally]) -> None:
    assert {tally["point"]: tally["violations"] for tally in tallies if tally["violations"]} == {}
    assert all(tally["finished"] == tally["kills"] for tally in tallies)
