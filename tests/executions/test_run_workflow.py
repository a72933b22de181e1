"""`manage.py run_workflow`, the real command in a process of its own, on a data folder of its own."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.journeys.server import PATIENCE_S, ROOT, Server
from workflows.models import Workflow

#: Run once in the folder by `manage.py shell`: every workflow that the tests run.
MAKE = """
from django.contrib.auth.models import User
from workflows.models import Workflow
def make(name, *nodes, draft=None, **facts):
    workflow = Workflow.objects.create(name=name, **facts)
    edges = [{"source": a["id"], "target": b["id"]} for a, b in zip(nodes, nodes[1:])]
    if nodes: workflow.publish({"nodes": list(nodes), "edges": edges})
    if draft is not None: workflow.keep_draft(draft)
    return workflow
fields = [{"name": "name", "required": True}, {"name": "times", "type": "number", "default": 2}]
take = {"id": "in", "type": "input", "data": {"label": "Take in", "fields": fields}}
shout = {"id": "work", "type": "process", "data": {"label": "Shout", "operation": "uppercase"}}
make("Typed", take, shout)
make("Any", shout)
make("Fails", {"id": "must", "type": "check", "data": {"label": "Must have", "required": ["paid"]}})
make("Slow", {"id": "count", "type": "countdown", "data": {"label": "Count", "seconds": 600}})
make("Waits", {"id": "nap", "type": "delay", "data": {"seconds": 0.3}}, shout)
make("Sleeps", {"id": "nap", "type": "delay", "data": {"seconds": 86400}})
make("Twice", shout, owner=User.objects.create(username="alice"))
make("Twice", shout)
make("Draft only", draft={"nodes": [shout]})
make("7", shout)
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    room = Server(tmp_path_factory.mktemp("terminal") / "var", DJANGO_SUPERUSER_USERNAME="nora")
    room.manage("migrate")
    room.manage("shell", "-c", MAKE)
    yield room
    room.leave()


def command(room: Server, *words: str, **how: Any) -> subprocess.Popen[str]:
    program = [sys.executable, "manage.py", "run_workflow", *words]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    return subprocess.Popen(program, cwd=ROOT, env=room._environment(), text=True, encoding="utf-8", **pipes)


def done(room: Server, *words: str, stdin: str = "") -> tuple[int, str, str]:
    process = command(room, *words)
    said, told = process.communicate(stdin, timeout=PATIENCE_S)
    return process.returncode, said, told


def last(room: Server) -> tuple[int, str]:
    number, status = room.rows("SELECT id, status FROM executions_workflowexecution ORDER BY id DESC LIMIT 1")[0]
    return int(number), str(status)


def count(room: Server) -> int:
    return int(room.rows("SELECT count(*) FROM executions_workflowexecution")[0][0])


def test_stdout_has_the_output_alone_and_stderr_tells_how_it_went(room: Server) -> None:
    code, said, told = done(room, "Typed", "--input", "-", stdin='{"name": "Ada", "note": "größe"}')
    assert code == 0, told
    assert json.loads(said) == {"name": "ADA", "note": "GRÖSSE", "times": 2}
    assert "GRÖSSE" in said
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3}  Shout  Started$", told, re.MULTILINE)
    assert re.search(r"^Execution \d+ of “Typed”, version 1$", told, re.MULTILINE)
    assert re.search(r"^Execution \d+ completed after ", told, re.MULTILINE)
    assert "\x1b" not in told + said
    assert last(room)[1] == "completed"


def test_the_input_may_stand_in_a_file(room: Server, tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_text('{"name": "Ada"}')
    assert json.loads(done(room, "Typed", "--input", str(file))[1])["name"] == "ADA"


def test_a_workflow_is_named_by_its_number_first(room: Server) -> None:
    """One of the two of one name is number 7; another one is called "7"."""
    assert room.rows("SELECT name FROM workflows_workflow WHERE id = 7") == [("Twice",)]
    code, said, told = done(room, "7")
    assert (code, said) == (0, "{}\n") and "of “Twice”, version 1" in told


def test_a_wait_is_waited_for_without_a_server(room: Server) -> None:
    code, said, told = done(room, "Waits")
    assert (code, json.loads(said)) == (0, {})
    assert "Waiting until" in told and "The wait is over" in told


def test_the_draft_is_run_on_request(room: Server) -> None:
    code, said, told = done(room, "Draft only", "--draft", "--input", "-", stdin='{"a": "b"}')
    assert (code, json.loads(said)) == (0, {"a": "B"})
    assert "of “Draft only”, draft\n" in told


def test_a_failure_is_exit_1_with_its_reason_and_no_output(room: Server) -> None:
    code, said, told = done(room, "Fails")
    assert (code, said) == (1, "")
    assert re.search(r"Must have  error: Failed ", told) and "paid" in told.splitlines()[-1]
    assert last(room)[1] == "failed"


@pytest.mark.parametrize(
    ("words", "stdin", "sentence"),
    [
        (["\udcff\x1b[31m"], "", "There is no workflow “\ufffd\ufffd[31m”."),
        (["Typed", "--input", "-"], '{"name": 5, "times": "two"}', "\n  “Times” must be a number such as 3 or 3.5"),
        (["Any", "--input", "-"], '{"a": NaN}', "NaN is not a JSON value"),
        ([], "", "NAME_OR_ID"),
    ],
    ids=["odd bytes", "fields", "JSON", "nothing"],
)
def test_what_cannot_start_is_exit_2_with_a_sentence_and_leaves_nothing(
    room: Server, words: list[str], stdin: str, sentence: str
) -> None:
    before = count(room)
    code, said, told = done(room, *words, stdin=stdin)
    assert (code, said) == (2, ""), told
    assert sentence in told and "Traceback" not in told
    assert count(room) == before


SHOUT = {"nodes": [{"id": "work", "type": "process", "data": {"label": "Shout"}}]}
REFUSED: list[tuple[list[str], str, str]] = [
    (["An"], "", "There is no workflow “An”. Did you mean “Any”?"),
    (["Gone"], "", "There is no workflow “Gone”."),
    (["987654321"], "", "There is no workflow “987654321”."),
    (["9" * 400], "", "There is no workflow “999"),
    ([""], "", "There is no workflow “”."),
    (["Off"], "", "“Off” is switched off"),
    (["Draft only"], "", "has not been published yet; --draft runs its draft."),
    (["Bad draft", "--draft"], "", "unknown type “no such kind”"),
    (["Any", "--input", "-"], "{", "The input: This is not valid JSON: "),
    (["Any", "--input", "-"], "", "The input: This is not valid JSON: "),
    (["Any", "--input", "-"], "\xff", "The input: This is not valid JSON: "),
    (["Any", "--input", "-"], "[1]", "The input must be a JSON object"),
    (["Any", "--input", "-"], json.dumps({"a": "x" * 17_000_000}), "the limit is 16,777,216"),
    (["Any", "--input", "nowhere.json"], "", "nowhere.json cannot be read: No such file"),
    (["Any", "--input", "."], "", ". cannot be read: Is a directory"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("words", "stdin", "sentence"), REFUSED, ids=[sentence[:40] for *_, sentence in REFUSED])
def test_every_refusal_says_what_is_wrong(
    words: list[str], stdin: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: none of them comes as far as to start anything."""
    for name in ("Any", "Off", "Gone", "Bad draft"):
        Workflow.objects.create(name=name, is_active=name != "Off").publish(SHOUT)
    Workflow.objects.create(name="Draft only", draft=SHOUT)
    Workflow.objects.get(name="Gone").archive()
    Workflow.objects.get(name="Bad draft").keep_draft({"nodes": [{"id": "x", "type": "no such kind"}]})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode("latin-1"))))
    with pytest.raises(CommandError) as caught:
        call_command("run_workflow", *words)
    assert caught.value.returncode == 2 and sentence in str(caught.value)


def test_an_ambiguous_name_lists_the_numbers(room: Server) -> None:
    numbers = room.rows("SELECT id FROM workflows_workflow WHERE name = 'Twice' ORDER BY id")
    told = done(room, "Twice")[2]
    assert all(f"\n  {number}  of " in told for (number,) in numbers) and "of alice" in told


def test_a_database_that_is_not_set_up_is_said(tmp_path: Path) -> None:
    code, said, told = done(Server(tmp_path / "var"), "Any")
    assert (code, said) == (2, "") and "manage.py prepare" in told and "Traceback" not in told


def test_a_reader_that_has_seen_enough_is_no_error(room: Server) -> None:
    process = command(room, "Any", "--input", "-")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stdout = None
    _, told = process.communicate(json.dumps({str(number): "x" * 999 for number in range(200)}), PATIENCE_S)
    assert process.returncode == 0 and "Traceback" not in told


def test_what_a_step_writes_cannot_command_the_terminal(room: Server) -> None:
    given = json.dumps({"a\x1b[31m": "b\x9b31m"}, ensure_ascii=False).replace("\x1b", "\\u001b")
    code, said, told = done(room, "Typed", "--input", "-", stdin=given[:-1] + ', "name": "Ada"}')
    assert code == 0 and json.loads(said)["a\x1b[31m"] == "B\x9b31M"
    assert not re.search("[\x1b\x9b]", said + told)
    assert "a\ufffd[31m" in told


# Signals


def counting(room: Server, name: str = "Slow", line: str = "s left") -> subprocess.Popen[str]:
    """A command whose execution is under way."""
    process = command(room, name)
    assert process.stderr is not None
    for told in process.stderr:
        if line in told:
            return process
    pytest.fail("It never began.")


@pytest.mark.kill
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_execution_and_says_so(room: Server, number: signal.Signals, code: int) -> None:
    process = counting(room)
    process.send_signal(number)
    said, told = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said) == (code, ""), told
    assert "Cancelling." in told and "cancelled after" in told.splitlines()[-1]
    assert last(room)[1] == "cancelled"


@pytest.mark.kill
def test_a_signal_cancels_what_waits(room: Server) -> None:
    process = counting(room, "Sleeps", "Waiting until")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE_S) and process.returncode == 130
    assert last(room)[1] == "cancelled"


@pytest.mark.kill
def test_cancelled_from_elsewhere_it_is_exit_1(room: Server) -> None:
    process = counting(room)
    number, _ = last(room)
    room.manage("shell", "-c", f"from executions.engine import WorkflowEngine; WorkflowEngine().cancel({number})")
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "cancelled after" in told


@pytest.mark.kill
def test_a_killed_command_leaves_its_execution_to_the_server(room: Server) -> None:
    process = counting(room)
    number, _ = last(room)
    process.kill()
    process.wait(PATIENCE_S)
    assert room.status(number) == "running"
    room.start()
    end = time.monotonic() + PATIENCE_S
    while not any(kind == "taken_over" for _, kind, _ in room.journal(number)):
        assert time.monotonic() < end, "Nobody took it over."
        time.sleep(0.05)
    # Beside a server: it is carried by whoever was first, and the command is told all of it.
    code, said, told = done(room, "Any", "--input", "-", stdin='{"a": "b"}')
    assert (code, json.loads(said)) == (0, {"a": "B"}) and "Finished: completed" in told
    room.stop()


# A terminal


def test_in_a_terminal_the_steps_stand_below_the_lines(room: Server) -> None:
    screen = on_a_terminal(room, "Waits")
    assert "\x1b[" in screen  # it is drawn
    bare = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert re.search(r"[✓-] completed\s+Shout", bare) and "2 of 2 steps done" in bare
    assert screen.rstrip().endswith("{}")
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")  # the cursor is back


def on_a_terminal(room: Server, *words: str) -> str:
    ours, theirs = pty.openpty()
    room.environment |= {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    process = command(room, *words, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    screen = b""
    while part := _read(ours):
        screen += part
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0, screen
    return screen.decode("utf-8", "replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other end is closed
        return b""
