"""kill -9 amid retries, children, a pause, slots and what a failure sets off: all of it comes to its end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from typing import Any

import pytest

from tests.faults.test_kill import Point, name


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    folder = tmp_path_factory.mktemp("nursery")
    command = [sys.executable, "-m", "tests.faults.nursery", str(folder), "tests.faults.strength"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def journals(told: dict[str, Any]) -> dict[int, list[list[Any]]]:
    found: dict[int, list[list[Any]]] = defaultdict(list)
    for execution_id, *entry in told["entries"]:
        found[execution_id].append(entry)
    return found


def test_every_place_was_reached_and_killed(points: list[Point]) -> None:
    assert len(Counter(point["place"] for point in points)) == 4
    assert len(points) >= 12 and all(point["was_killed"] for point in points)


def test_the_next_process_brings_everything_to_its_end(points: list[Point]) -> None:
    for point in points:
        assert point["was_finished"], name(point)
        ended = Counter((workflow, status, bool(parent)) for _, workflow, status, parent, *_ in point["now"]["rows"])
        failing = ended["Failing", "failed", False]
        assert ended["Retried", "completed", False] == ended["Each", "completed", False] == 1, name(point)
        assert ended["Each", "completed", True] == 3, name(point)
        # A first attempt that a kill cut off is lost and not failed: the second one ends well.
        assert failing + ended["Failing", "completed", False] == 2, name(point)
        assert ended["Handler", "completed", False] == failing, name(point)
        assert ended.total() == 7 + failing, name(point)


def test_each_failure_started_its_workflow_once_and_each_item_ran_once(points: list[Point]) -> None:
    for point in points:
        rows = point["now"]["rows"]
        causes = [failure_of for *_, failure_of, _ in rows if failure_of]
        assert len(causes) == len(set(causes)), name(point)
        assert sorted(index for _, _, _, parent, index, *_ in rows if parent) == [0, 1, 2], name(point)


def test_what_was_on_disk_stays_and_the_numbers_have_no_gap(points: list[Point]) -> None:
    for point in points:
        then, now = journals(point["then"]), journals(point["now"])
        for execution_id, entries in now.items():
            assert [entry[0] for entry in entries] == list(range(1, len(entries) + 1)), name(point)
            assert entries[: len(then[execution_id])] == then[execution_id], name(point)


def test_a_finished_step_never_runs_again_and_is_recorded_once(points: list[Point]) -> None:
    for point in points:
        then, now = journals(point["then"]), journals(point["now"])
        for execution_id, entries in now.items():
            completed = Counter(node for _, kind, node, _ in entries if kind == "completed")
            assert set(completed.values()) <= {1}, name(point)
            ended = {node for _, kind, node, _ in then[execution_id] if kind == "completed"}
            later = entries[len(then[execution_id]) :]
            assert not ended & {node for _, kind, node, _ in later if kind == "started"}, name(point)


def test_one_slot_means_one_at_a_time_and_nothing_is_left_open(points: list[Point]) -> None:
    live = ("pending", "running", "waiting")
    for point in points:
        for told in (point["then"], point["now"]):
            held = [row for row in told["rows"] if row[2] in live and row[6]]
            assert len(held) <= 1 and told["integrity"] == "ok", name(point)
        assert point["now"]["open"] == 0, name(point)


def test_a_step_is_repeated_under_its_own_key(points: list[Point]) -> None:
    for point in points:
        effects = Counter(point["now"]["effects"])
        first = {key for key in effects if ":first:" in key or ":bad:" in key}
        assert max(effects[key] for key in first) <= 3, name(point)
        assert max((number for key, number in effects.items() if key not in first), default=0) <= 2, name(point)
        assert sum(":item:" in key for key in effects) == 3, name(point)
