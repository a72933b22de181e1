"""The bench beside peers: what it computes, that its runners can run, and that it leaves no process behind.

Peers themselves are not run here: they are not installed, and nothing is fetched in a test.
"""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import bench_peers
from tests.benchmarks.peers import catalogue, installed, processes, rounds, table, work
from tests.benchmarks.peers.catalogue import ROWS, Row

FOLDER = Path(rounds.__file__).parent
RUNNERS = sorted({row.runner for row in ROWS})
OURS = Row("ours-sqlite", "Ours", "ours")
PEER = Row("peer", "A peer", "peer", target=10)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def figures(rate: float, **more: Any) -> dict[str, Any]:
    return {
        "rate": rate,
        "cpu_ms": 2.0,
        "server_cpu_ms": None,
        "alone_ms": 3.0,
        "cold_s": 0.5,
        "idle_mb": 60.0,
        "version": "1.2",
        "records": "each step",
        **more,
    }


def test_the_ratio_is_that_of_the_medians_and_a_target_is_met_from_there_on() -> None:
    given = {"ours-sqlite": [figures(900), figures(1_000), figures(4_000)], "peer": [figures(100)] * 3}
    assert table.compared([OURS, PEER], given)["peer"]["ratio"] == 10
    assert table.compared([OURS, PEER], given)["peer"]["met"] is True
    given["peer"] = [figures(101)] * 3
    assert table.compared([OURS, PEER], given)["peer"]["met"] is False


def test_a_round_that_failed_is_told_and_leaves_the_median_to_the_others() -> None:
    said = table.summary([figures(100), {"why": "its time was up"}, figures(200)])
    assert (said["rate"], said["rates"], said["failed"]) == (150, [100, 200], ["its time was up"])


def test_a_peer_without_figures_is_a_row_that_says_why_and_the_others_stand() -> None:
    result = table.compared([OURS, PEER], {"ours-sqlite": [figures(1_000)], "peer": [{"why": "no npm here"}]})
    shown = table.table([OURS, PEER], result)
    assert "A peer" in shown and "no figures: no npm here" in shown and "1,000 (1,000–1,000)" in shown
    assert "met" not in result["peer"]


def test_without_ours_there_is_no_ratio() -> None:
    result = table.compared([OURS, PEER], {"ours-sqlite": [], "peer": [figures(100)]})
    assert result["ours-sqlite"] == {"why": "no time was left"} and "ratio" not in result["peer"]
    assert "100 (100–100)" in table.table([OURS, PEER], result)


def test_ours_on_postgresql_may_stand_alone() -> None:
    rows = catalogue.chosen(["ours-postgresql"])
    assert "100 (100–100)" in table.table(rows, table.compared(rows, {"ours-postgresql": [figures(100)]}))


def test_the_rows_of_a_round_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def measured(row: Row) -> dict[str, Any]:
        order.append(row.name)
        return figures(1)

    monkeypatch.setattr(bench_peers, "measured", measured)
    taken = bench_peers.in_turn([OURS, PEER], 2, time.monotonic() + 60)
    assert order == ["ours-sqlite", "peer", "ours-sqlite", "peer"]
    assert [len(found) for found in taken.values()] == [2, 2]


def test_no_round_begins_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_peers, "measured", lambda row: pytest.fail("began"))
    assert bench_peers.in_turn([OURS, PEER], 2, time.monotonic()) == {"ours-sqlite": [], "peer": []}


def test_a_peer_is_chosen_with_the_row_of_ours_beside_which_it_stands() -> None:
    assert [row.name for row in catalogue.chosen(["dbos-postgresql"])] == ["ours-postgresql", "dbos-postgresql"]
    assert catalogue.chosen([]) == list(ROWS)
    with pytest.raises(SystemExit, match="No such peer: nobody"):
        catalogue.chosen(["nobody"])


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_runner_compiles_and_imports_nothing_of_ours_but_the_work(runner: str) -> None:
    tree = ast.parse((FOLDER / f"{runner}.py").read_text())
    compile(tree, runner, "exec")
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in modules if name.split(".")[0] in ("executions", "workflows", "workflowsite", "tests")}
    assert ast.get_docstring(tree)
    assert runner == "ours" or ours == {"tests.benchmarks.peers"}


@pytest.mark.parametrize("runner", [name for name in RUNNERS if name != "ours"])
def test_what_a_peer_needs_is_pinned(runner: str) -> None:
    if runner == "n8n":
        versions = json.loads((FOLDER / "requirements" / "n8n.json").read_text())["dependencies"].values()
        assert versions and all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)
        return
    lines = (FOLDER / "requirements" / f"{runner}.txt").read_text().splitlines()
    assert any(line.startswith(f"{runner}==") for line in lines)
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)


def test_the_reason_of_a_failed_install_is_its_last_line_that_says_something() -> None:
    assert installed.reason(
        "npm warn x\nnpm error no such version\nnpm error A complete log of this run can be found\n"
    ) == ("npm error no such version")
    assert installed.reason("") == "no reason given"


def test_a_library_s_own_lines_are_passed_over() -> None:
    assert rounds.parsed("Starting server on 127.0.0.1\n") is None
    assert rounds.parsed('{"level": "info"}\n') is None
    assert rounds.parsed('{"stage": "end", "seconds": 2.0}\n') == {"stage": "end", "seconds": 2.0}


def test_a_runner_that_did_not_do_the_work_is_no_figure() -> None:
    work.check({"result": {"name": "ADA", "city": "LONDON"}})
    with pytest.raises(SystemExit, match="It answered"):
        work.check({"result": {"name": "ada", "city": "london"}})


async def test_so_many_hands_run_each_execution_once_and_no_more_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(work, "IN_FLIGHT", 3)
    now, most = 0, 0

    async def one() -> int:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0)
        now -= 1
        return 1

    assert sum(await work.many(one, 10)) == 10
    assert most == 3


def test_a_window_keeps_so_many_in_flight_and_ends_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "IN_FLIGHT", 3)
    flying, most = set[int](), 0
    numbers = iter(range(10))

    def start() -> int:
        nonlocal most
        flying.add(new := next(numbers))
        most = max(most, len(flying))
        return new

    def end(started: int) -> int:
        flying.remove(started)
        return started

    assert work.window(start, end, 10) == list(range(10))
    assert (most, flying) == (3, set())


def test_a_process_named_with_brackets_and_spaces_is_read_rightly() -> None:
    fields = processes.fields("42 (a ) b (c)) S 7 42 " + " ".join("0" * 8) + " 1 2 3 4 rest")
    assert fields[:2] == ["S", "7"]
    assert processes.cpu_seconds({42}, {42: fields}) == 10 / processes.TICKS


def test_children_s_children_count() -> None:
    all_stats = {pid: ["S", str(parent)] for pid, parent in {2: 1, 3: 2, 4: 3, 5: 1, 9: 8}.items()}
    assert processes.descendants(2, all_stats) == {3, 4}


@on_linux
def test_a_daemon_that_left_its_parent_is_ended_too(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys; from tests.benchmarks.peers import processes as p; p.adopt_orphans();"
        "subprocess.run(['sh', '-c', 'trap \"\" TERM; setsid sleep 300 & setsid sleep 301 &']);"
        "before = len(p.reaped()); p.end_all(); print(before, len(p.reaped()))"
    )
    env = {**os.environ, "LEFT_BEHIND": str(tmp_path)}
    done = bench([sys.executable, "-c", script], env)
    assert done.stdout.split()[0] != "0", done.stderr
    assert done.stdout.split()[1] == "0"
    assert not marked(tmp_path)


@on_linux
def test_our_own_row_is_measured_in_a_process_that_goes_with_the_round(tmp_path: Path) -> None:
    env = environment(tmp_path)
    command = [sys.executable, "-m", "tests.benchmarks.bench_peers", "ours-sqlite", "--rounds", "1", "--most", "20"]
    done = bench(command, env)
    row = json.loads((tmp_path / "bench-peers.json").read_text())["rows"]["ours-sqlite"]
    assert row.get("why") is None and row["rate"] > 0 and row["cpu_ms"] > 0 and row["idle_mb"] > 0, row
    assert row["records"].endswith("SQLite WAL, synchronous=FULL")
    assert "Stepstream, SQLite" in done.stdout
    assert not marked(tmp_path) and not list((tmp_path / "peers" / "runs").iterdir())


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_bench_that_is_stopped_leaves_no_process_and_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.bench_peers", "ours-sqlite", "--rounds", "50"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = subprocess.Popen(command, env=environment(tmp_path), cwd=installed.ROOT, **pipes)
    try:
        until = time.monotonic() + 60
        while len(marked(tmp_path)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert len(marked(tmp_path)) >= 2  # the bench, and its runner
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 1 and "stopped" in said
    assert not marked(tmp_path) and not list((tmp_path / "peers" / "runs").iterdir())
    assert not (tmp_path / "bench-peers.json").exists()


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "PEERS_HOME": str(tmp_path / "peers"),
        "LEFT_BEHIND": str(tmp_path),
    }


def bench(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=env, cwd=installed.ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def marked(tmp_path: Path) -> list[int]:
    """Processes that carry this test's mark, zombies apart (they have no environment)."""
    mark, found = f"LEFT_BEHIND={tmp_path}".encode(), []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found
