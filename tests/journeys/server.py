"""The real `manage.py serve` on a data folder of its own: started, killed, stopped and asked as from outside."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import set_json_loads

from tests.processes import PATIENCE_S, ROOT, Program

OWNER, PASSWORD = "nora", "a long way home"
MADE = "INSERT INTO executions_executionlog (execution_id, seq, kind, node, attempt, at, data, took_ms)"


class Server(Program):
    ready = "running at"

    def __init__(self, data: Path, **environment: str) -> None:
        super().__init__(data, data.with_suffix(".console"), **environment)
        self.token = ""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.outages = 0

    # Its life

    def start(self, *options: str) -> None:
        """Returns when it serves."""
        self.begin("serve", "--port", str(self.port), *options)

    def kill(self) -> None:
        self.outages += 1
        super().kill()

    def send(self, number: Any) -> None:
        self.outages += 1
        super().send(number)

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

    # Read beside it, by the database's own library: what another program would find

    @contextmanager
    def database(self) -> Iterator[Any]:
        """A connection that commits at the end."""
        if url := self.environment.get("DATABASE_URL"):
            with psycopg.connect(url) as connection:
                set_json_loads(as_text, connection)
                yield connection
        else:
            with closing(sqlite3.connect(self.data / "db.sqlite3", timeout=20)) as file, file:
                yield file

    def marked(self, sql: str) -> str:
        """Both write placeholders in their own way."""
        return sql.replace("?", "%s") if "DATABASE_URL" in self.environment else sql

    def rows(self, sql: str, *values: Any) -> list[Any]:
        with self.database() as database:
            return list(database.execute(self.marked(sql), values).fetchall())

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
        with self.database() as database:
            last = self.numbers(execution_id)[-1]
            move = "UPDATE executions_executionlog SET seq = ? WHERE execution_id = ? AND seq = ?"
            database.execute(self.marked(move), (last + lines, execution_id, last))
            at = database.execute("SELECT max(at) FROM executions_executionlog").fetchone()[0]
            told = [json.dumps({"level": "info", "text": f"line {number} of many"}) for number in range(lines)]
            rows = [(execution_id, last + number, "logged", node, 1, at, text) for number, text in enumerate(told)]
            cursor = database.cursor()
            cursor.executemany(self.marked(f"{MADE} VALUES (?, ?, ?, ?, ?, ?, ?, NULL)"), rows)
        return last + lines


def as_text(value: str | bytes) -> str:
    """As SQLite gives JSON."""
    return value if isinstance(value, str) else value.decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
