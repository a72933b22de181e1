"""Real `manage.py` processes that live for a while: started, killed, paused, stopped and read as from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 60.0  # for a start on a machine that has much else to do
KEPT = ("PATH", "HOME", "LANG")  # nothing else of the developer's surroundings comes in


class Program:
    """`ready`: what its console says when it has begun."""

    ready = ""

    def __init__(self, data: Path, console: Path, **environment: str) -> None:
        self.data, self.console = data, console
        self.environment = {"DATA_DIR": str(data), **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, *command: str) -> None:
        """Returns when it has begun; fails where it ends instead."""
        before = len(self.said())
        self.launch(*command)
        assert self.process
        end = time.monotonic() + PATIENCE_S
        while self.ready not in self.said()[before:]:
            assert self.process.poll() is None, f"It ended:\n{self.said()[before:]}"
            assert time.monotonic() < end, f"It did not start:\n{self.said()[before:]}"
            time.sleep(0.05)

    def launch(self, *command: str) -> None:
        with self.console.open("ab") as console:
            program = [sys.executable, "manage.py", *command]
            self.process = subprocess.Popen(
                program, cwd=ROOT, env=self._environment(), stdout=console, stderr=subprocess.STDOUT
            )

    def kill(self) -> None:
        """As a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """As Ctrl-C or a supervisor does; the exit code."""
        self.send(number)
        return self.ended()

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self) -> int:
        """The exit code, when it has ended."""
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def leave(self) -> None:
        if self.process and self.process.poll() is None:
            Program.kill(self)

    def said(self) -> str:
        """All that the console has shown."""
        return self.console.read_text() if self.console.exists() else ""

    def _environment(self) -> dict[str, str]:
        return {name: os.environ[name] for name in KEPT if name in os.environ} | self.environment


class Worker(Program):
    ready = " is running: "

    def start(self, *options: str) -> None:
        self.begin("worker", *options)


def wait_until(look: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < end, f"in vain for {what}"
        time.sleep(0.05)
