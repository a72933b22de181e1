"""Owners for the state machine: the real Run over the real SQL, in one thread, on a clock that only rules move.

An owner is a worker without threads, sweep and bells of its own: rules say when it claims, dies, or hears a bell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from executions import claim, journal
from executions.claim import Held
from executions.journal import Journal, OwnershipLost
from executions.run import Run
from workflows.blueprint import Blueprint
from workflows.errors import WorkflowStepError
from workflows.steps import base, register


class Clock:
    """Stands still, but for passes()."""

    def __init__(self) -> None:
        # Ahead of the real one, by which the columns' defaults go.
        self.now = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose timers go by a Clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        super().__init__()

    def time(self) -> float:
        return self._clock.now.timestamp()

    def settle(self) -> None:
        """Until everything waits for a rule or for time."""
        self.run_until_complete(self._quiet())

    async def _quiet(self) -> None:
        idle = 0
        for _ in range(5_000):
            await asyncio.sleep(0)
            idle = 0 if self._ready else idle + 1  # type: ignore[attr-defined]
            if idle > 1:
                return
        raise AssertionError("an owner turns in a circle")


#: number -> (idempotency key, attempt, what the step is told to end with); of the steps that are at work
AT_WORK: dict[int, tuple[str, int, asyncio.Future[Any]]] = {}
_numbers = count()


async def _told(ctx: base.StepContext) -> Any:
    number, future = next(_numbers), asyncio.get_running_loop().create_future()
    AT_WORK[number] = (ctx.idempotency_key, ctx.attempt, future)
    try:
        outcome = await future
    finally:
        del AT_WORK[number]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@register
class Told(base.Step[base.Config]):
    """Ends with what a rule tells it."""

    kind, label, handles = "test_told", "Told", ("out", "other")

    async def run(self, ctx: base.StepContext) -> Any:
        return await _told(ctx)

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Outcome:
        if answer == "fail":
            raise WorkflowStepError("the answer was no")
        return base.Wait(None, "again") if answer == "again" else base.Done({"answer": answer})


@register
class ToldEach(base.Step["ToldEach.Config"]):
    kind, label, handles = "test_told_each", "Told, each", ("each", "done")

    class Config(base.Config):
        items: int = 3
        stop_on_failure: bool = False

    async def run(self, ctx: base.StepContext) -> Any:
        outcome = await _told(ctx)
        return self.fan_out(ctx.data) if isinstance(outcome, base.Done) else outcome

    def fan_out(self, data: Mapping[str, Any]) -> base.Each:
        items = list(range(self.config.items))
        return base.Each(items, 2, stop_on_failure=self.config.stop_on_failure)

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Outcome:
        if self.config.stop_on_failure and answer["failed"]:
            raise WorkflowStepError("an item failed")
        return base.Done({"count": answer["count"]}, "done")


@register
class ToldCall(base.Step["ToldCall.Config"]):
    kind, label = "test_told_call", "Told, call"

    class Config(base.Config):
        target: int

    async def run(self, ctx: base.StepContext) -> Any:
        outcome = await _told(ctx)
        return self.fan_out(ctx.data) if isinstance(outcome, base.Done) else outcome

    def fan_out(self, data: Mapping[str, Any]) -> base.Call:
        return base.Call(self.config.target, {})

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Outcome:
        if answer["status"] != "completed":
            raise WorkflowStepError(f"the child {answer['status']}")
        return base.Done({"called": True})


class Owner:
    """`peers`: all owners, so that a bell reaches whoever holds what it is for, unless `is_deaf`."""

    def __init__(self, peers: list[Owner], has_room: bool) -> None:
        self.owner = uuid4().hex
        self.journal = Journal(run=self._in_this_thread)
        self.runs: dict[int, Run] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.has_room, self.is_deaf, self.is_dead = has_room, False, False
        self.breaths: int | None = None  # how often it still speaks with the database, where it is about to die
        self.loses_answers = 0  # of so many commits to come: they get through, though their answer does not
        self.errors: list[BaseException] = []
        self._peers = peers
        peers.append(self)

    # What a run needs of its host

    def grew(self, execution_id: int) -> None:
        pass

    def due(self, at: datetime) -> None:
        pass

    def ring(self, executions: Collection[int]) -> None:
        for peer in self._peers:
            for execution_id in executions:
                peer.hear(execution_id)

    def in_thread(self, function: Callable[[], Any]) -> Future[Any]:
        raise NotImplementedError

    # What rules do

    def hear(self, execution_id: int) -> None:
        if execution_id in self.runs and not self.is_deaf:
            self.runs[execution_id].nudge()

    async def claim(self, limit: int) -> int:
        try:
            held = await self._in_this_thread(claim.claim, self.owner, limit)
        except OwnershipLost:  # it is dead
            return 0
        for one in held:
            if old := self.tasks.get(one.execution_id):  # lost and got again
                old.cancel()
                await asyncio.wait([old])
            self.tasks[one.execution_id] = asyncio.create_task(self._walk(one))
        return len(held)

    def renew(self) -> None:
        """As the thread that keeps the leases: what was nudged or lost meanwhile finds that out."""
        held = {execution_id: run.nudges for execution_id, run in self.runs.items()}
        mine = claim.renew(self.owner, held)
        for execution_id, nudges in held.items():
            if mine.get(execution_id) != nudges:
                self.runs[execution_id].nudge()

    async def stop(self) -> None:
        """In good order."""
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def die(self) -> None:
        """kill -9: from here on nothing of it is written."""
        self.is_dead = True
        await self.stop()
        self._peers.remove(self)

    async def _walk(self, held: Held) -> None:
        assert isinstance(held.blueprint, Blueprint)
        run = self.runs[held.execution_id] = Run(self, held, held.blueprint)
        try:
            await run.walk()
        except (OwnershipLost, asyncio.CancelledError):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            if self.runs.get(held.execution_id) is run:
                del self.runs[held.execution_id]
                del self.tasks[held.execution_id]

    async def _in_this_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        if self.breaths is not None:
            self.breaths -= 1
            self.is_dead |= self.breaths < 0
        if self.is_dead:
            raise OwnershipLost("dead")
        with outside_the_loop():
            result = function(*args)
            if function is journal._try and self.loses_answers:
                self.loses_answers -= 1
                return function(*args)
            return result


@contextmanager
def outside_the_loop() -> Iterator[None]:
    """For what uses the thread's own connection: within a loop Django would open another one, and refuse to use it."""
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
