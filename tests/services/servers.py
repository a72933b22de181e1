"""The services that a test may need: those that are there already, and a Redis of one's own to be ill-treated."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

POSTGRESQL = os.environ.get("TEST_POSTGRESQL_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
PATIENCE_S = 20.0
_numbers = count(1)


def require(url: str) -> None:
    """Skips the test where nothing answers there; with REQUIRE_SERVICES, as in CI, that is a failure."""
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname or "", place.port or 0), timeout=2).close()
    except OSError as error:
        miss(f"nothing answers at {place.hostname}:{place.port} ({error})")


def miss(reason: str) -> None:
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def fresh_database(server: str = POSTGRESQL, like: str = "") -> Iterator[str]:
    """The URL of a new PostgreSQL database, empty or a copy of the one at `like`; it is gone afterwards."""
    name = f"{urlsplit(server).path[1:]}_{os.getpid()}_{next(_numbers)}"
    template = f' TEMPLATE "{urlsplit(like).path[1:]}"' if like else ""
    order(server, f'CREATE DATABASE "{name}"{template}')
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        order(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def order(server: str, sql: str) -> None:
    """Among the other databases of that server, since one cannot drop the one that one is in."""
    with psycopg.connect(urlsplit(server)._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(sql)


class Redis:
    """A redis-server of one's own, in memory alone. It starts when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.program = shutil.which("redis-server")
        if self.program is None:
            miss("there is no redis-server: install Redis")
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        command = [str(self.program), *options, "--dir", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while not self.answers():
            assert time.monotonic() < end and self.process.poll() is None, "redis-server did not start"
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            return self.say("PING") == "+PONG"
        except OSError:
            return False

    def say(self, command: str) -> str:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(1000).decode().strip()

    def flush(self) -> None:
        assert self.say("FLUSHALL") == "+OK"

    def pause(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def leave(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
