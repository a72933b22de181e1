"""Raises processes by fork, and ends them: a warm process that has imported everything makes a worker in milliseconds.

Whoever holds a crew must have no thread and no connection of Django's, since its children would share them.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass(slots=True)
class Crew:
    """`work` in `size` processes; what they say goes to the file `words`. `place`: 0, 1, …, so many as there are."""

    work: Callable[[int], None]
    size: int
    words: Path
    pids: dict[int, int] = field(default_factory=dict)  # by place
    fell: int = 0  # ended by themselves

    def fill(self) -> None:
        """Whoever has gone is replaced."""
        for place in range(self.size):
            if place in self.pids and _has_ended(self.pids[place]):
                del self.pids[place]
                self.fell += 1
            if place not in self.pids:
                self.pids[place] = fork(lambda place=place: self.work(place), self.words)  # type: ignore[misc]

    def kill(self, place: int | None = None) -> None:
        """kill -9, of anybody unless it is said whom; another one is raised in its place."""
        place = random.choice(list(self.pids)) if place is None else place
        end(self.pids.pop(place), signal.SIGKILL)
        self.fill()

    def stop(self, number: int = signal.SIGTERM) -> None:
        pids, self.pids = list(self.pids.values()), {}
        for pid in pids:
            os.kill(pid, number)
        for pid in pids:
            wait(pid)


def fork(work: Callable[[], object], words: Path) -> int:
    gc.freeze()
    sys.stdout.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _end_with(parent)
        handle = os.open(words, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        work()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def _end_with(parent: int) -> None:
    """Where the storm itself is ended, nothing of it stays."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def end(pid: int, number: int) -> None:
    os.kill(pid, number)
    wait(pid)


def wait(pid: int, patience_s: float = 60.0) -> None:
    """Until it has ended; what does not in time is killed."""
    until = time.monotonic() + patience_s
    while not _has_ended(pid):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _has_ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid
