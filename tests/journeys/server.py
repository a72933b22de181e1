"""The real `manage.py` on a data folder of its own: started, killed, stopped and asked as from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0  # for a start on a machine that has much else to do
OWNER, PASSWORD = "nora", "a long way home"
KEPT = ("PATH", "HOME", "LANG")  # nothing else of the developer's surroundings comes in
MADE = "INSERT INTO executions_executionlog (execution_id, seq, kind, node, attempt, at, data, took_ms)"


class Server:
    def __init__(self, data: Path, **environment: str) -> None:
        self.data, self.token = data, ""
        self.environment = {"DATA_DIR": str(data), **environment}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.console = data.with_suffix(".console")
        self.outages = 0
        self.process: subprocess.Popen[bytes] | None = None

    # Its life

    def start(self, *options: str) -> None:
        """Returns when it serves."""
        before = len(self.said())
        with self.console.open("ab") as console:
            command = [sys.executable, "manage.py", "serve", "--port", str(self.port), *options]
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment(), stdout=console, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + PATIENCE_S
        while "running at" not in self.said()[before:]:
            assert self.process.poll() is None, f"The server ended:\n{self.said()[before:]}"
            assert time.monotonic() < end, f"The server did not start:\n{self.said()[before:]}"
            time.sleep(0.05)

    def kill(self) -> None:
        """As a power cut does."""
        assert self.process is not None
        self.outages += 1
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As Ctrl-C or a supervisor does; the exit code."""
        assert self.process is not None
        self.outages += 1
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def leave(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill()

    def manage(self, *command: str) -> str:
        """What another `manage.py` command on the same data says."""
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def said(self) -> str:
        """All that the console has shown."""
        return self.console.read_text() if self.console.exists() else ""

    # Asked from outside

    def api(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return json.load(response)

    def publish(self, name: str, definition: dict[str, Any]) -> int:
        return int(self.api("POST", "/workflows/", {"name": name, "definition": definition})["id"])

    def draft(self, name: str, definition: dict[str, Any]) -> int:
        return int(self.api("POST", "/workflows/", {"name": name, "definition": definition, "draft": True})["id"])

    def run(self, workflow_id: int, given: dict[str, Any] | None = None, **more: Any) -> int:
        """A new execution's number."""
        body = {"input_data": given or {}, **more}
        return int(self.api("POST", f"/workflows/{workflow_id}/execute", body)["execution_id"])

    def until(self, execution_id: int, *statuses: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while (now := self.status(execution_id)) not in statuses:
            assert time.monotonic() < end, f"#{execution_id} is {now} and not {' or '.join(statuses)}"
            time.sleep(0.05)

    # Read beside it, with plain sqlite3: what another program would find

    def rows(self, sql: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.data / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)) as database:
            return database.execute(sql, values).fetchall()

    def status(self, execution_id: int) -> str:
        return str(self.rows("SELECT status FROM executions_workflowexecution WHERE id = ?", execution_id)[0][0])

    def journal(self, execution_id: int) -> list[tuple[int, str, str | None]]:
        """(seq, kind, node) of every entry, in order."""
        sql = "SELECT seq, kind, node FROM executions_executionlog WHERE execution_id = ? ORDER BY seq"
        return self.rows(sql, execution_id)

    def numbers(self, execution_id: int) -> list[int]:
        return [seq for seq, _, _ in self.journal(execution_id)]

    def lengthen(self, execution_id: int, lines: int, node: str = "in") -> int:
        """Puts so many log lines before the last entry of an execution that has ended; the last entry's number."""
        with closing(sqlite3.connect(self.data / "db.sqlite3", timeout=20)) as database, database:
            last = self.numbers(execution_id)[-1]
            move = "UPDATE executions_executionlog SET seq = ? WHERE execution_id = ? AND seq = ?"
            database.execute(move, (last + lines, execution_id, last))
            at = database.execute("SELECT max(at) FROM executions_executionlog").fetchone()[0]
            told = [json.dumps({"level": "info", "text": f"line {number} of many"}) for number in range(lines)]
            rows = [(execution_id, last + number, "logged", node, 1, at, text) for number, text in enumerate(told)]
            database.executemany(f"{MADE} VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", rows)
        return last + lines

    def _environment(self) -> dict[str, str]:
        return {name: os.environ[name] for name in KEPT if name in os.environ} | self.environment


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
