"""kill -9 wherever a commit can be cut: a step's own rows and the record of its end are both there, or neither is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.faults.test_kill import Point, name


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    folder = tmp_path_factory.mktemp("nursery")
    command = [sys.executable, "-m", "tests.faults.nursery", str(folder), "tests.faults.ledger"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def ended(told: dict[str, Any]) -> list[str]:
    nodes = ("first", "second")
    return sorted(node for _, kind, node, _ in told["entries"] if kind == "completed" and node in nodes)


def test_every_place_was_reached_and_killed(points: list[Point]) -> None:
    assert {point["place"] for point in points} == {"record.before", "record.written", "record.committed"}
    assert len(points) >= 9 and all(point["was_killed"] for point in points)


def test_at_no_moment_there_is_one_without_the_other(points: list[Point]) -> None:
    for point in points:
        assert point["then"]["rows"] == ended(point["then"]), name(point)
    assert {len(point["then"]["rows"]) for point in points} >= {0, 2}


def test_each_execution_leaves_exactly_one_row_for_each_step(points: list[Point]) -> None:
    for point in points:
        assert point["was_finished"] and point["now"]["status"] == "completed", name(point)
        assert point["now"]["rows"] == ended(point["now"]) == ["first", "second"], name(point)
