"""One row's round: its runner as a process on a folder of its own, followed stage by stage, ended whatever comes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks import server
from tests.benchmarks.peers import processes
from tests.benchmarks.peers.catalogue import Row
from tests.benchmarks.peers.installed import HOME, ROOT, python_for

POSTGRES = os.environ.get("PEERS_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
NOT_FOR_PEERS = ("DATA_DIR", "DATABASE_URL", "REDIS_URL", "PORT", "HTTP_ALLOW", "DJANGO_SETTINGS_MODULE")
SETTLE_S = 1.0  # of idleness, before memory is read

Figures = dict[str, Any]


class Failed(Exception):
    """A round that gave no figures, and why."""


def measured(row: Row) -> Figures:
    """Its figures, or {"why": …}."""
    try:
        with (
            postgres_for(row) as (postgres, backend),
            folder_for(row) as folder,
            started(row, folder, postgres) as process,
        ):
            return followed(backend, process, folder)
    except Failed as error:
        return {"why": str(error)}
    finally:
        processes.end_all()


@contextmanager
def folder_for(row: Row) -> Iterator[Path]:
    """On the disk that holds the project: a /tmp in memory would make every fsync free."""
    (HOME / "runs").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{row.name}-", dir=HOME / "runs", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def postgres_for(row: Row) -> Iterator[tuple[str, int]]:
    """The address of a new database that goes with the round, and a process of its server; nothing for other rows."""
    if not row.needs_postgres:
        yield "", 0
        return
    import psycopg

    if urlsplit(POSTGRES).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise Failed("PEERS_POSTGRES is not on this machine")
    name = f"peers_{row.runner}_{os.getpid()}"
    try:
        connection = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise Failed(f"no PostgreSQL (PEERS_POSTGRES): {str(error).strip().splitlines()[0]}") from None
    with connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(POSTGRES)._replace(path=f"/{name}").geturl(), connection.info.backend_pid
        finally:
            processes.end_all()  # whoever still speaks to it
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def started(row: Row, folder: Path, postgres: str) -> Iterator[subprocess.Popen[str]]:
    """In a session of its own: a Ctrl-C reaches the bench alone, which then ends all that it started."""
    command = [str(python_for(row.runner)), "-m", f"tests.benchmarks.peers.{row.runner}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(row, folder, postgres),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    out_of_time = threading.Timer(row.limit_s, end_late, (process, folder, row.limit_s))
    out_of_time.start()
    try:
        yield process
    finally:
        out_of_time.cancel()


def end_late(process: subprocess.Popen[str], folder: Path, limit_s: int) -> None:
    with (folder / "log").open("a") as log:
        log.write(f"\nits {limit_s} s were up\n")
    process.kill()


def environment(row: Row, folder: Path, postgres: str) -> dict[str, str]:
    """A home of its own, and a proxy that is not there: what would leave this machine fails at once."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_FOR_PEERS}
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return {
        **kept,
        **nowhere,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "DO_NOT_TRACK": "1",
        "HOME": str(folder),
        "DATA_DIR": str(folder),
        "PYTHONPATH": str(ROOT),
        "PEERS_HOME": str(HOME),
        "PEER_VARIANT": row.variant,
        "PEER_EXECUTIONS": str(row.executions),
        "PEER_ALONE": str(row.alone),
        "PEER_IN_FLIGHT": str(row.in_flight),
        "PEER_PORT": str(server.free_port()),
        "PEER_POSTGRES": postgres,
    }


def followed(backend: int, process: subprocess.Popen[str], folder: Path) -> Figures:
    began = time.perf_counter()
    ready = stage(process, folder, "ready")
    cold = ready.get("cold_s") or time.perf_counter() - began
    time.sleep(SETTLE_S)
    idle = processes.memory_mb()
    go_on(process)
    stage(process, folder, "begin")
    before = clocks(backend)
    go_on(process)
    end = stage(process, folder, "end")
    cpu, beside = (after - earlier for after, earlier in zip(clocks(backend), before, strict=True))
    go_on(process)
    done = stage(process, folder, "done")
    go_on(process)
    wait_for(process)
    number = end["executions"]
    return {
        "rate": number / end["seconds"],
        "cpu_ms": 1e3 * cpu / number,
        "server_cpu_ms": 1e3 * beside / number if backend else None,
        "alone_ms": median(done["alone_ms"]),
        "cold_s": cold,
        "idle_mb": idle,
        "version": done["version"],
        "records": done["records"],
    }


def clocks(backend: int) -> tuple[float, float]:
    return processes.spent(), processes.spent_by_server_of(backend) if backend else 0.0


def stage(process: subprocess.Popen[str], folder: Path, wanted: str) -> Figures:
    """The runner's next stage; what its library prints besides is passed over."""
    assert process.stdout
    for line in process.stdout:
        said = parsed(line)
        if said and said["stage"] == wanted:
            return said
    raise Failed(f"ended before «{wanted}»: {last_words(folder / 'log')}")


def parsed(line: str) -> Figures | None:
    if not line.startswith('{"stage"'):
        return None
    return dict(json.loads(line))


def last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:160] if lines else "it said nothing"


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    try:
        process.stdin.write("go\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise Failed("ended between two stages") from None


def wait_for(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
