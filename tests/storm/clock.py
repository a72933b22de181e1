"""Wall clocks that jump, one a process: a number of seconds in memory that all of the storm's processes share.

Django's `timezone.now` is the one place from which the engine has its time; in a worker it reads the number each time.
What measures durations (the event loop, the lease keeper) goes by the system's monotonic clock, which does not jump.
"""

from __future__ import annotations

import mmap
import random
import struct
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

HOUR = 3600.0
JUMPS = (-HOUR, 0.0, 0.0, HOUR)


class Clocks:
    """Of `number` processes; the last one is for who submits."""

    def __init__(self, number: int) -> None:
        self._memory, self._number, self.evenings = mmap.mmap(-1, 8 * number), number, 0

    def wear(self, place: int) -> None:
        """From now on this process goes by its own clock."""
        clocks = self

        class Moved(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.now(tz) + timedelta(seconds=clocks.offset(place))

        vars(timezone)["datetime"] = Moved

    def offset(self, place: int) -> float:
        return float(struct.unpack_from("d", self._memory, 8 * place)[0])

    def jump(self) -> None:
        """One of them, by an hour on or back, or home."""
        self.set(random.randrange(self._number), random.choice(JUMPS))

    def evening(self) -> None:
        """All of them, on and on, until everything that sleeps is due."""
        self.evenings += 1
        for place in range(self._number):
            self.set(place, 2 * HOUR * self.evenings)

    def set(self, place: int, seconds: float) -> None:
        struct.pack_into("d", self._memory, 8 * place, seconds)
