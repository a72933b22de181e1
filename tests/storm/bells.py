"""A Redis of the storm's own, which is dead at first, and may die and forget as often as the storm likes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

from redis import Redis, RedisError

from tests.storm.cluster import NotHere, free_port

PORTS = range(6400, 6450)


class Bells:
    def __init__(self, folder: Path) -> None:
        if shutil.which("redis-server") is None:
            raise NotHere("redis-server is not here. Debian, Ubuntu: apt install redis-server")
        self._folder, self.port = folder, free_port(PORTS)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._folder / "redis").open("ab") as said:
            self._server = subprocess.Popen(command, cwd=self._folder, stdout=said, stderr=said)
        while not self._answers():
            time.sleep(0.02)

    def kill(self) -> None:
        if self._server:
            self._server.send_signal(signal.SIGKILL)
            self._server.wait()
            self._server = None

    def flush(self) -> None:
        with Redis.from_url(self.url) as redis:
            redis.flushall()

    def next_fault(self, number: int) -> None:
        """It comes up, forgets all, dies, and so on."""
        match number % 3:
            case 0:
                self.start()
            case 1:
                self.flush()
            case 2:
                self.kill()

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.url) as redis:
                return bool(redis.ping())
        except RedisError:
            return False
