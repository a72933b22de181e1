"""One storm: a crew of workers, somebody who submits and answers, and faults that come as the work goes on.

Faults are counted in marks that steps left, not in seconds: so they come while work is under way, however quick the
machine is.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.storm import work
from tests.storm.crew import Crew, fork
from tests.storm.labour import submit
from tests.storm.site import Site

STUCK_AFTER_S = 120.0  # without any mark


@dataclass(slots=True)
class Fault:
    """Happens each `every` marks, at a random moment of the steps' time."""

    act: Callable[[], None]
    every: float
    times: int = 0

    def comes(self, marks: int) -> None:
        if marks >= self.every * (self.times + 1):
            time.sleep(random.random() * work.pace_s)
            self.act()
            self.times += 1


@dataclass(slots=True)
class Storm:
    site: Site
    crew: Crew
    executions: int
    backlog: int = 120
    seconds: float = 0.0
    is_stuck: bool = False
    marks: int = 0
    _people: int = 0
    _read: int = field(default=0)

    def every(self, times: int) -> float:
        """After so many marks each, it happens `times` times."""
        return work.marks_of(self.executions) / (times * 1.05 + 1)

    def rage(self, faults: Sequence[Fault]) -> None:
        """Until all that was submitted has ended, or nothing goes on any more."""
        began = moved = time.monotonic()
        self._submit()
        while self._goes_on():
            self.crew.fill()
            if self._count():
                moved = time.monotonic()
            for fault in faults:
                fault.comes(self.marks)
            if time.monotonic() - moved > STUCK_AFTER_S:
                self.is_stuck = True
                break
            time.sleep(0.005)
        self.seconds = time.monotonic() - began

    def kill_people(self) -> None:
        """Whoever submits dies in the middle of it, and comes back."""
        os.kill(self._people, signal.SIGKILL)

    def end(self) -> None:
        """In good order, as far as anybody is left."""
        if self._people:
            os.kill(self._people, signal.SIGKILL)
            os.waitpid(self._people, 0)
        self.crew.stop()

    def _submit(self) -> None:
        self._people = fork(partial(submit, self.site, self.executions, self.backlog), self.site.words)

    def _goes_on(self) -> bool:
        pid, status = os.waitpid(self._people, os.WNOHANG)
        if not pid:
            return True
        if status == 0:
            self._people = 0
            return False
        self._submit()
        return True

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
