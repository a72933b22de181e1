"""The children of a step while its execution is in somebody's hands: which are to be made, and when they are all
through. No Django; children.py knows the rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workflows.steps.base import Call, Each

LINGER_S = 2.0  # how long an execution stays in memory after the last sign of a child


@dataclass(frozen=True, slots=True)
class Order:
    """A child to be made. `body`: the step whose items it is one of; else `workflow` is called."""

    node: str
    attempt: int
    index: int
    given: Mapping[str, Any]
    body: str | None = None
    workflow: int | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What the rows say: how many live, the last index that was made (-1: none), and how many ended badly."""

    live: int
    last: int
    bad: int


@dataclass(slots=True)
class Family:
    node: str
    attempt: int
    outcome: Each | Call
    made: int = 0

    @property
    def total(self) -> int:
        return len(self.outcome.items) if isinstance(self.outcome, Each) else 1

    def orders(self, live: int = 0) -> Iterator[Order]:
        """The next ones, as many as may run beside those that do."""
        if isinstance(self.outcome, Call):
            while self.made < 1:
                self.made = 1
                yield Order(self.node, self.attempt, 0, self.outcome.given, workflow=self.outcome.workflow)
            return
        while self.made < self.total and live < max(1, self.outcome.parallel):
            given = {"item": self.outcome.items[self.made], "index": self.made, **self.outcome.shared}
            yield Order(self.node, self.attempt, self.made, given, body=self.node)
            self.made, live = self.made + 1, live + 1

    def is_through(self, survey: Survey) -> bool:
        return survey.live == 0 and (survey.last + 1 >= self.total or self.gave_up(survey))

    def gave_up(self, survey: Survey) -> bool:
        return isinstance(self.outcome, Each) and self.outcome.stop_on_failure and survey.bad > 0


class Families:
    """All of one execution, by step. `quiet` is called when none has stirred for LINGER_S."""

    def __init__(self, quiet: Callable[[], None]) -> None:
        self._quiet = quiet
        self._by_node: dict[str, Family] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def now(self) -> list[Family]:
        return list(self._by_node.values())

    @property
    def are_lively(self) -> bool:
        return bool(self._by_node) and self._timer is not None

    def add(self, family: Family) -> None:
        self._by_node[family.node] = family
        self.stir()

    def drop(self, node: str) -> bool:
        return self._by_node.pop(node, None) is not None

    def stir(self) -> None:
        """A child has shown itself."""
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._calm_down)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _calm_down(self) -> None:
        self._timer = None
        self._quiet()
