"""Code in its sandbox, with real children: what it gives, what stops it, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.javascript import hostile_code
from workflows.jail import children as jail
from workflows.javascript import coder

ROOT = Path(__file__).resolve().parents[3]
GIVEN = json.dumps(
    {"data": {"a": 1, "items": [3, 1, 2]}, "input": {"b": 2}, "now": "2026-11-24T12:30:00+00:00", "key": "1:a:0"}
)


async def run(source: str, timeout_s: float = 20, given: str = GIVEN) -> tuple[coder.End, list[tuple[str, str]]]:
    lines: list[tuple[str, str]] = []
    end = await coder.run(source, given, timeout_s, lambda level, text: lines.append((level, text)))
    return end, lines


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("return {sum: data.a + input.b}", {"sum": 3}),
        ("return data.items.toSorted().at(-1)", 3),
        ("return now + key", "2026-11-24T12:30:00+00:001:a:0"),
        ("return await Promise.all([1, Promise.resolve(2)])", [1, 2]),
        ("const twice = async (n) => n * 2;\nreturn await twice(21)", 42),
        ("return new Date('2026-11-24')", "2026-11-24T00:00:00.000Z"),
        ("return Object.groupBy(data.items, (n) => n > 1 ? 'many' : 'few')", {"many": [3, 2], "few": [1]}),
        ("return 'é😀'.normalize('NFD')", "e\u0301😀"),
        ("return null", None),
        ("return [0.1 + 0.2, -0, 1e21, 2 ** 53]", [0.30000000000000004, 0, 1e21, 9007199254740992]),
    ],
)
async def test_a_function_body_gives_what_it_returns(source: str, value: Any) -> None:
    end, _ = await run(source)
    assert (end.how, end.value) == ("done", value)


async def test_what_is_written_comes_while_it_runs() -> None:
    came = asyncio.Event()
    work = asyncio.create_task(
        coder.run("console.log('first'); for (;;) {}", GIVEN, 30, lambda level, text: came.set())
    )
    await came.wait()
    assert not work.done()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_each_console_has_its_level_and_values_are_told_as_json() -> None:
    source = "console.log('a', {b: [1]}, null); console.warn(new TypeError('w')); console.error(1); console.debug(true)"
    end, lines = await run(source)
    assert end.how == "nothing"
    assert lines == [("info", 'a {"b":[1]} null'), ("warning", "TypeError: w"), ("error", "1"), ("debug", "true")]


async def test_a_flood_of_lines_is_cut_with_a_sentence() -> None:
    _, lines = await run("for (let n = 0; n < 5000; n++) console.log(n); return 1")
    assert len(lines) == 1_001
    assert "the rest is left out" in lines[-1][1]
    _, lines = await run("console.log('x'.repeat(100000)); return 1")
    assert len(lines[0][1]) == 4_001


async def test_cancelling_leaves_nothing() -> None:
    came = asyncio.Event()
    work = asyncio.create_task(coder.run("console.log(1); for (;;) {}", GIVEN, 30, lambda *_: came.set()))
    await came.wait()
    (pid,) = [child.pid for child in coder.WARM_ONES._working]
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not is_alive(pid)
    assert not coder.WARM_ONES._working


async def test_cancelling_while_a_child_is_made_leaves_nothing() -> None:
    coder.WARM_ONES.close()
    work = asyncio.create_task(run("return 1"))
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    while coder.WARM_ONES._working:
        await asyncio.sleep(0.01)


async def test_a_child_is_used_once() -> None:
    assert (await run("globalThis.left = 1; return 1"))[0].value == 1
    assert (await run("return typeof left"))[0].value == "undefined"


async def test_endless_loops_of_one_workflow_leave_turns_to_others() -> None:
    loops, began = [], 0

    def count(level: str, text: str) -> None:
        nonlocal began
        began += 1

    for _ in range(3 * coder.AT_ONCE):
        endless = coder.run("console.log(1); for (;;) {}", GIVEN, 60, count, owner="workflow 1")
        loops.append(asyncio.create_task(endless))
    try:
        while began < coder.OF_ONE:
            await asyncio.sleep(0.01)
        end = await asyncio.wait_for(coder.run("return 7", GIVEN, 20, lambda *_: None, owner="workflow 2"), 30)
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)

    assert end.value == 7 and began == coder.OF_ONE


async def test_more_pieces_than_turns_all_end() -> None:
    ends = await asyncio.gather(*(run(f"return {n}") for n in range(8)))
    assert [end.value for end, _ in ends] == list(range(8))
    assert not coder.WARM_ONES._working


async def test_a_warm_child_that_died_is_not_used() -> None:
    await run("return 1")
    for pid in coder.WARM_ONES.pids():
        os.kill(pid, signal.SIGKILL)
    for child in list(coder.WARM_ONES._waiting):
        child.wait()
    assert (await run("return 2"))[0].value == 2


async def test_a_child_that_is_ended_at_work_is_told() -> None:
    came = asyncio.Event()
    work = asyncio.create_task(coder.run("console.log(1); for (;;) {}", GIVEN, 30, lambda *_: came.set()))
    await came.wait()
    (child,) = coder.WARM_ONES._working
    os.killpg(child.pid, signal.SIGKILL)
    assert (await work).how == "killed"


async def test_where_no_child_can_start_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    coder.WARM_ONES.close()
    monkeypatch.setattr("workflows.jail.children.sys.executable", "/nowhere/python")
    assert (await run("return 1"))[0].how == "not started"
    monkeypatch.setattr("workflows.jail.children.sys.executable", "/bin/false")
    assert (await run("return 1"))[0].how == "not started"
    monkeypatch.undo()
    coder.WARM_ONES.close()
    assert (await run("return 1"))[0].value == 1


@pytest.mark.parametrize("source", hostile_code.ALL)
async def test_hostile_code_ends_as_it_should(source: str) -> None:
    end, lines = await run(source, timeout_s=0.3)
    assert end.how.replace(" ", "_") in [*hostile_code.ALL[source].split(), "late"], end.told
    assert "root:" not in json.dumps(end.value) + json.dumps(end.told)
    assert len(lines) <= 1_001
    assert not coder.WARM_ONES._working


async def test_games_with_prototypes_do_not_reach_the_host() -> None:
    assert (await run("JSON.stringify = () => '{\"forged\": 1}'; return {a: 1}"))[0].value == {"a": 1}
    _, lines = await run("String.prototype.charCodeAt = () => 0; Reflect.apply = null; console.log('plain')")
    assert lines == [("info", "plain")]


@pytest.mark.skipif(jail.strength().level != "strong", reason="needs a strong jail")
def test_the_jail_is_what_it_says() -> None:
    strength = jail.strength()
    assert {"files", "tcp", "signals", "privileges", "limits", "parent"} <= set(strength.layers)
    assert "reads and writes no file" in strength.sentence


@pytest.mark.parametrize(
    ("is_open", "level"),
    [((), "strong"), (("udp",), "strong"), (("tcp",), "medium"), (("signals", "udp"), "medium"), (("files",), "off")],
)
def test_how_strong_a_jail_is_called(is_open: tuple[str, ...], level: str) -> None:
    strength = jail.Strength((), is_open)
    assert strength.level == level
    assert all(name in jail.WORDS for name in is_open)
    assert strength.sentence.endswith(".")


def test_a_jail_that_does_not_even_start_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.jail.children.sys.executable", "/bin/false")
    assert jail._tried().level == "off"


NO_LANDLOCK = """
import sys, os, ctypes
sys.path[:0] = [sys.argv[1]]
from workflows.jail import confinement
confinement.LANDLOCK_CREATE = 1_000_000  # as on a kernel that has none
confinement.ARCHITECTURES = {}
layers = [*confinement.close_doors(), *confinement.give_up(confinement.Limits(1 << 30, 5))]
os.write(1, " ".join(layers).encode())
"""


def test_where_the_system_has_less_the_child_takes_what_there_is() -> None:
    command = [sys.executable, "-I", "-S", "-c", NO_LANDLOCK, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "files" not in done.stdout
    assert "limits" in done.stdout


@pytest.mark.parametrize("end", ["kill -9", "exit"])
def test_no_code_outlives_its_server(end: str) -> None:
    program = (
        "import asyncio, sys, threading; from workflows.javascript import coder\n"
        "def told(*_): print(*coder.WARM_ONES.pids(), flush=True); asyncio.get_running_loop().create_task(wait())\n"
        "async def wait():\n"
        "    await asyncio.to_thread(sys.stdin.read); sys.exit(0)\n"
        "asyncio.run(coder.run('console.log(1); for (;;) {}', '{}', 60, told))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdin
        assert server.stdout
        pids = [int(pid) for pid in server.stdout.readline().split()]
        assert pids
        if end == "exit":
            server.stdin.close()
        else:
            server.kill()
        server.wait()
    ends = threading.Event()
    while any(is_alive(pid) for pid in pids):
        ends.wait(0.01)


async def test_the_example_of_the_page_works() -> None:
    page = (ROOT / "docs" / "code.md").read_text()
    data = {"invoices": [{"paid": True, "amount": 1}, {"paid": False, "amount": 2}]}
    end, lines = await run(page.split("```js\n")[1].split("```")[0], given=json.dumps({"data": data}))
    assert end.value == {"open": [{"paid": False, "amount": 2}], "total": 2}
    assert lines == [("info", "open invoices: 1")]


async def test_a_piece_that_is_cancelled_while_its_data_is_on_the_way_leaves_nothing_in_the_loop() -> None:
    """The number of its pipe is soon another file's, which the loop must be able to watch."""
    await run("return 1")
    while not coder.WARM_ONES._waiting:
        await asyncio.sleep(0.01)
    child = coder.WARM_ONES._waiting[0]
    assert child.stdin and child.stdout
    await asyncio.to_thread(select.select, [child.stdout], [], [])  # it is ready
    pipe = child.stdin.fileno()
    os.kill(child.pid, signal.SIGSTOP)
    task = asyncio.create_task(run("return 1", given=json.dumps({**json.loads(GIVEN), "much": "x" * 3_000_000})))
    while select.select([], [pipe], [], 0)[1]:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)

    reading, writing = os.pipe()
    os.dup2(writing, pipe)
    loop = asyncio.get_running_loop()
    loop.add_writer(pipe, int)
    assert loop.remove_writer(pipe)
    for file in {reading, writing, pipe}:
        os.close(file)
