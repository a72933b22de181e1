"""kill -9 while another system is at work for us: it is asked again, under the same key, and sees one order."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.remote import Gate, Remote, answer, as_json, drip, running, said, silence


def engine(folder: Path, remote: Remote) -> subprocess.Popen[bytes]:
    env = {**os.environ, "HTTP_ALLOW": remote.rule}
    command = [sys.executable, "-m", "tests.faults.calling", str(folder), f"{remote.url}/pay"]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    "under_way",
    [[silence], [answer(status=503), drip(said(b"", content_length="9"), b"x", 10)], [Gate(as_json({}))] * 2],
    ids=["before the answer", "inside the answer, after a retry", "twice"],
)
def test_a_step_that_was_killed_asks_again_under_the_same_key(tmp_path: Path, under_way: list[Any]) -> None:
    with running(Remote()) as remote:
        remote.on("/pay", *under_way, as_json({"paid": True}))
        asked = 0
        for behave in under_way:
            asked += 1
            if asked < len(under_way) and not isinstance(behave, Gate):
                continue  # it is answered, and the same process asks again
            process = engine(tmp_path, remote)
            remote.until(lambda it, asked=asked: len(it.seen) == asked and it.now == 1)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        last = engine(tmp_path, remote)
        assert last.wait(30) == 0, last.stderr and last.stderr.read().decode()[-2_000:]
        assert list(remote.keys.values()) == [len(under_way) + 1] and "" not in remote.keys
    with sqlite3.connect(tmp_path / "db.sqlite3") as connection:
        kinds = [kind for (kind,) in connection.execute("SELECT kind FROM executions_executionlog WHERE node='pay'")]
        (status,) = connection.execute("SELECT status FROM executions_workflowexecution").fetchone()
    assert status == "completed" and kinds.count("completed") == 1
