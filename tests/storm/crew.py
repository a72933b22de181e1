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
from functools import partial
from pathlib import Path

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass(slots=True)
class Crew:
    """`work` in `size` processes, each with its place 0, 1, …; what they say goes to the file `words`."""

    work: Callable[[int], None]
    size: int
    words: Path
    pids: dict[int, int] = field(default_factory=dict)  # by place
    stopped: set[int] = field(default_factory=set)  # places of those that were told to stand still
    leaving: dict[int, float] = field(default_factory=dict)  # pid -> since when, by the wall clock
    left: dict[int, tuple[float, float]] = field(default_factory=dict)  # pid -> told to leave, gone
    every: set[int] = field(default_factory=set)  # pid that there ever was
    fell: int = 0  # ended by themselves

    def fill(self) -> None:
        """Whoever has gone is replaced."""
        for pid in [pid for pid in self.leaving if has_ended(pid)]:
            self.left[pid] = (self.leaving.pop(pid), time.time())
        for place in range(self.size):
            if place in self.pids and has_ended(self.pids[place]):
                self._forget(place)
                self.fell += 1
            if place not in self.pids:
                self.pids[place] = fork(partial(self.work, place), self.words)
                self.every.add(self.pids[place])

    def kill(self) -> None:
        """kill -9, of anybody; another one is raised in its place."""
        end(self._forget(random.choice(list(self.pids))), signal.SIGKILL)
        self.fill()

    def dismiss(self) -> None:
        """SIGTERM; another one begins while it hands over."""
        pid = self._forget(random.choice(list(self.pids)))
        self.leaving[pid] = time.time()
        os.kill(pid, signal.SIGTERM)
        self.fill()

    def pause(self) -> int | None:
        """SIGSTOP. At least two go on: gives the place, or None where too many stand still already."""
        going = [place for place in self.pids if place not in self.stopped]
        if len(going) <= 2:
            return None
        place = random.choice(going)
        self.stopped.add(place)
        os.kill(self.pids[place], signal.SIGSTOP)
        return place

    def resume(self, place: int) -> None:
        if place in self.stopped:
            self.stopped.discard(place)
            os.kill(self.pids[place], signal.SIGCONT)

    def stop(self) -> None:
        """All of them, in good order."""
        for place in list(self.stopped):
            self.resume(place)
        pids, self.pids = [*self.pids.values(), *self.leaving], {}
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        for pid in pids:
            wait(pid)

    def _forget(self, place: int) -> int:
        self.stopped.discard(place)
        return self.pids.pop(place)


def fork(work: Callable[[], object], words: Path) -> int:
    gc.freeze()
    sys.stdout.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        end_with(parent, signal.SIGKILL)
        handle = os.open(words, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        work()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def end_with(parent: int, number: int) -> None:
    """Where the storm itself is ended, nothing of it stays."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, number)
    if os.getppid() != parent:
        os._exit(1)


def end(pid: int, number: int) -> None:
    os.kill(pid, number)
    wait(pid)


def wait(pid: int, patience_s: float = 60.0) -> None:
    """Until it has ended; what does not in time is killed."""
    until = time.monotonic() + patience_s
    while not has_ended(pid):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def has_ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid
