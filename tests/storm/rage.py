"""One storm: a crew of workers, somebody who submits and answers, and faults that come as the work goes on.

Faults are counted in marks that steps left, not in seconds: so they come while work is under way, however quick the
machine is.
"""

from __future__ import annotations

import math
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.storm import work
from tests.storm.crew import Crew, fork
from tests.storm.invariants import Snapshot, ended_rows
from tests.storm.labour import submit
from tests.storm.site import Site

STUCK_AFTER_S = 120.0  # without any mark
QUIET_S = 5.0
Act = Callable[[], object]


@dataclass(slots=True)
class Fault:
    """Happens each `every` marks, at a random moment of the steps' time."""

    act: Act
    every: float
    times: int = 0

    def comes(self, marks: int) -> None:
        if marks >= self.every * (self.times + 1):
            time.sleep(random.random() * work.pace_s)
            self.act()
            self.times += 1


@dataclass(slots=True)
class Storm:
    """`quiet`: what is done when nothing has gone on for some seconds."""

    site: Site
    crew: Crew
    executions: int
    backlog: int  # executions that live at once: more of them would stand before those that are taken over
    people: Callable[[], None] = lambda: None  # before they begin, in their process
    quiet: Act = lambda: None
    seconds: float = 0.0
    is_stuck: bool = False
    snapshots: list[Snapshot] = field(default_factory=list)
    marks: int = 0
    _people: int = 0
    _read: int = 0
    _moved: float = 0.0
    _quiet_at: float = 0.0
    _later: list[tuple[float, Act]] = field(default_factory=list)

    def every(self, times: int) -> float:
        """After so many marks each, it happens `times` times."""
        return work.marks_of(self.executions) / (times * 1.05 + 1) if times else math.inf

    def later(self, seconds: float, act: Act) -> None:
        self._later.append((time.monotonic() + seconds, act))

    def rage(self, faults: Sequence[Fault]) -> None:
        """Until all that was submitted has ended, or nothing goes on any more."""
        began = self._moved = time.monotonic()
        self._submit()
        while self._goes_on() and not self.is_stuck:
            self.crew.fill()
            self._look()
            for fault in faults:
                fault.comes(self.marks)
            self._do_what_is_due()
            time.sleep(0.005)
        self.seconds = time.monotonic() - began

    def kill_people(self) -> None:
        """Whoever submits dies in the middle of it, and comes back."""
        os.kill(self._people, signal.SIGKILL)

    def look_back(self) -> None:
        """What has ended by now must look the same when all is over."""
        with self.site.connection() as connection:
            self.snapshots.append(ended_rows(connection))

    def end(self) -> None:
        """In good order, as far as anybody is left."""
        if self._people:
            os.kill(self._people, signal.SIGKILL)
            os.waitpid(self._people, 0)
        self.crew.stop()

    def _submit(self) -> None:
        self._people = fork(self._be_people, self.site.words)

    def _be_people(self) -> None:
        self.people()
        submit(self.site, self.executions, self.backlog)

    def _goes_on(self) -> bool:
        pid, status = os.waitpid(self._people, os.WNOHANG)
        if pid and status == 0:
            self._people = 0
            return False
        if pid:
            self._submit()
        return True

    def _look(self) -> None:
        now = time.monotonic()
        if self._count():
            self._moved = self._quiet_at = now
        if now - self._quiet_at > QUIET_S:
            self._quiet_at = now
            self.quiet()
        self.is_stuck = now - self._moved > STUCK_AFTER_S

    def _count(self) -> int:
        """New marks since the last look."""
        if not self.site.effects.exists():
            return 0
        with self.site.effects.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        self.marks += new.count(b"\n")
        return len(new)

    def _do_what_is_due(self) -> None:
        due = [act for at, act in self._later if at <= time.monotonic()]
        self._later = [item for item in self._later if item[1] not in due]
        for act in due:
            act()
