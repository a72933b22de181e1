"""kill -9 wherever a commit can be cut: nothing finished runs again, nothing is lost, nothing is doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

Point = dict[str, Any]


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    folder = tmp_path_factory.mktemp("nursery")
    command = [sys.executable, "-m", "tests.faults.nursery", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_place_was_reached_and_killed(points: list[Point]) -> None:
    reached = Counter(point["place"] for point in points)
    assert len(reached) == 6
    assert reached["record.written"] >= 7
    assert reached["claim.written"] >= 2
    assert all(point["was_killed"] for point in points)


def test_the_next_process_finishes_the_execution(points: list[Point]) -> None:
    for point in points:
        status, output, steps_done = point["now"]["row"]
        assert point["was_finished"], name(point)
        assert (status, steps_done) == ("completed", 6), name(point)
        assert json.loads(output)["result"] == {
            "name": "ada",
            "first": "marked",
            "left": "marked",
            "right": "marked",
        }, name(point)


def test_what_was_on_disk_stays_and_the_numbers_have_no_gap(points: list[Point]) -> None:
    for point in points:
        then, now = point["then"]["entries"], point["now"]["entries"]
        assert now[: len(then)] == then, name(point)
        assert [entry[0] for entry in now] == list(range(1, len(now) + 1)), name(point)


def test_a_finished_step_never_runs_again(points: list[Point]) -> None:
    for point in points:
        ended = {node for _, kind, node, _ in point["then"]["entries"] if kind == "completed"}
        later = point["now"]["entries"][len(point["then"]["entries"]) :]
        again = {node for _, kind, node, _ in later if kind == "started" and node}
        assert not ended & again, name(point)
        effects = Counter(point["now"]["effects"])
        assert all(effects[f"1:{node}:0"] == 1 for node in ended & {"first", "left", "right"}), name(point)


def test_a_step_is_recorded_once_and_repeated_at_most_once_under_the_same_key(points: list[Point]) -> None:
    for point in points:
        completed = Counter(node for _, kind, node, _ in point["now"]["entries"] if kind == "completed")
        assert set(completed.values()) == {1}, name(point)
        assert len(completed) == 6, name(point)
        effects = Counter(point["now"]["effects"])
        assert set(effects) == {"1:first:0", "1:left:0", "1:right:0"}, name(point)
        assert max(effects.values()) <= 2, name(point)


def test_the_database_is_whole(points: list[Point]) -> None:
    assert all(point["then"]["integrity"] == point["now"]["integrity"] == "ok" for point in points)


def name(point: Point) -> str:
    return f"{point['place']}, number {point['number']}"
