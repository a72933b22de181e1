"""Which entry may follow which: for a step and for an execution, as the engine promises it. Pure: no Django, no SQL.

Written down a second time and by hand, so that a fault of the planner cannot hide itself: nothing here is taken from
executions/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: A step's last entry (“”: none; “lost”: it ran when its owner was lost, or a repair brought it back) -> what may be
#: the next. Log lines stand between all of them.
STEP = {
    "": {"started", "skipped", "reused"},
    "started": {"completed", "failed", "retried", "waited", "abandoned", "cancelled"},
    "waited": {"answered", "completed", "failed", "retried", "waited", "abandoned", "cancelled"},
    "answered": {"started", "completed", "failed", "retried", "waited", "abandoned", "cancelled"},
    "retried": {"answered", "cancelled"},
    "abandoned": {"started", "failed", "retried"},
    "lost": {"started", "failed", "retried"},
    "failed": {"repaired"},
    "repaired": {"started", "failed", "retried"},
    "completed": set[str](),
    "skipped": set[str](),
    "reused": set[str](),
    "cancelled": set[str](),
}
#: Before it has ended, in any order; what is said once, and what needs what, is in Execution.
EXECUTION = {"queued", "started", "paused", "resumed", "cancel_requested", "taken_over", "limited", "finished"}
ACTIVE = {"started", "waited", "answered", "retried"}
WAITING = {"waited", "retried"}
STUCK = {"failed", "cancelled"}  # what a repair brings back, where no way out was taken
ENDS = {"completed", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Told:
    """An entry. `data` only where its kind needs it here."""

    kind: str
    node: str | None = None
    attempt: int | None = None
    data: Any = None


@dataclass(slots=True)
class Step:
    last: str = ""
    attempt: int = 0
    is_handled: bool = False  # it failed, and its policy lets the execution go on
    waited: set[int] = field(default_factory=set)  # attempts


@dataclass(slots=True)
class Execution:
    """One execution's entries so far, without its log lines. `faults`: sentences."""

    steps: dict[str, Step] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)  # kinds about the execution
    status: str | None = None  # once it has ended
    is_paused: bool = False
    has_failed: bool = False
    finished: int = 0
    faults: list[str] = field(default_factory=list)

    def apply(self, told: Told) -> None:
        if not self.said and told.kind != "queued":
            self.faults.append(f"begins with {told.kind}, and not with queued")
        if self.status is not None and told.kind != "repaired":
            self.faults.append(f"{_name(told)} after its end")
        if told.node is None:
            self._apply_to_execution(told)
        else:
            self._apply_to_step(told, self.steps.setdefault(told.node, Step()))

    def _apply_to_execution(self, told: Told) -> None:
        if told.kind in ("queued", "started", "cancel_requested") and told.kind in self.said:
            self.faults.append(f"{told.kind} twice")
        self.said.add(told.kind)
        match told.kind:
            case "paused" | "resumed":
                if self.is_paused == (told.kind == "paused"):
                    self.faults.append(f"{told.kind} twice in a row")
                self.is_paused = told.kind == "paused"
            case "taken_over":
                self._lose(told)
            case "limited":
                self.has_failed |= bool((told.data or {}).get("error"))
            case "finished":
                self._finish(told.data or {})
            case "repaired":
                self._revive(None)
            case other if other not in EXECUTION:
                self.faults.append(f"{other} without a step")

    def _lose(self, told: Told) -> None:
        running = {node for node, step in self.steps.items() if step.last == "started"}
        if set((told.data or {}).get("nodes", ())) != running:
            self.faults.append(f"taken_over names other steps than those that ran ({sorted(running)})")
        for node in running:
            self.steps[node].last = "lost"

    def _finish(self, data: dict[str, Any]) -> None:
        self.status, self.finished = data.get("status"), self.finished + 1
        if self.status not in ENDS:
            self.faults.append(f"finished as {self.status}")
        if "cancel_requested" in self.said and self.status != "cancelled":
            self.faults.append(f"finished as {self.status}, although a cancel was accepted")
        if active := sorted(node for node, step in self.steps.items() if step.last in ACTIVE):
            self.faults.append(f"finished while {active} were under way")
        bad = [node for node, step in self.steps.items() if step.last in STUCK | {"lost"} and not step.is_handled]
        if self.status == "completed" and (bad or self.has_failed):
            self.faults.append(f"completed, although {bad or 'a limit'} kept it from that")
        if self.status == "failed" and not (bad or self.has_failed or data.get("error")):
            self.faults.append("failed without a failure")

    def _revive(self, node: str | None) -> None:
        """A repair: only of what has failed."""
        if self.status != "failed":
            self.faults.append(f"repaired, although it was {self.status or 'under way'}")
        self.status, self.is_paused, self.has_failed = None, False, False
        self.said.discard("cancel_requested")
        for name, step in self.steps.items():
            if step.last in STUCK and not step.is_handled and name != node:
                step.last = "lost"

    def _apply_to_step(self, told: Told, step: Step) -> None:
        if told.kind not in STEP[step.last]:
            self.faults.append(f"{_name(told)} after {step.last or 'nothing'}")
        if told.kind == "failed" and step.is_handled:
            self.faults.append(f"{_name(told)} after it had failed and was left")
        if told.kind != "reused" and "started" not in self.said:
            self.faults.append(f"{_name(told)} before the execution began")
        if told.kind == "started" and "cancel_requested" in self.said:
            self.faults.append(f"{_name(told)} after a cancel was accepted")
        self._count(told, step)
        if told.kind == "repaired":
            self._revive(told.node)
        is_given = told.kind == "repaired" and "output" in (told.data or {})
        step.last = "completed" if is_given else told.kind if told.kind in STEP else step.last
        step.is_handled = told.kind == "failed" and bool((told.data or {}).get("handle"))

    def _count(self, told: Told, step: Step) -> None:
        """Attempts: 1, 2, 3 …; every other entry names the one that is under way."""
        if told.kind in ("skipped", "reused"):
            return
        wanted = step.attempt + 1 if told.kind == "started" else step.attempt
        if told.attempt != wanted:
            self.faults.append(f"{_name(told)} as attempt {told.attempt}, and not {wanted}")
        step.attempt = told.attempt or wanted
        if told.kind == "waited":
            step.waited.add(step.attempt)


def fold(entries: Iterable[Told]) -> Execution:
    execution = Execution()
    for told in entries:
        execution.apply(told)
    return execution


def faults(entries: Iterable[Told]) -> Iterator[str]:
    yield from fold(entries).faults


def _name(told: Told) -> str:
    return f"{told.kind} of {told.node}" if told.node else told.kind
