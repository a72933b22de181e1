"""What every step kind promises at work: checks that run it in the real engine and read what its journal says.

`check_kind()` holds a kind to all promises, those of workflows/steps/contract.py first. It knows no test runner, needs
a database whose transactions are real, and leaves the rows that it made.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from secrets import token_urlsafe
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model

from executions.engine import WorkflowEngine
from executions.large import output_of
from executions.masks import Mask
from executions.models import ExecutionLog, Kind, WaitKind, WorkflowExecution
from executions.worker import current_worker
from workflows import config
from workflows.errors import WorkflowExecutionError, WorkflowStepError
from workflows.files import area
from workflows.graph import Node
from workflows.models import Secret, Workflow
from workflows.steps import handles_of, make
from workflows.steps.base import Done
from workflows.steps.contract import PROBE, PROMISES, Sample, fields_of

PATIENCE_S = 30.0  # a bound for what must happen; nothing asserts how soon
NODE = "step"
OVER = (Kind.COMPLETED, Kind.FAILED, Kind.WAITED, Kind.CANCELLED, Kind.ABANDONED)

Promise = Callable[[Sample], Awaitable[list[str]]]
T = TypeVar("T")

#: What a step may be told when its wait is over, by what it waited for.
ANSWERS: Mapping[str, tuple[Any, ...]] = {
    WaitKind.TIME: (None,),
    WaitKind.APPROVAL: ({"approved": True, "by": "alice", "comment": "", "values": {}}, None),
    WaitKind.CALLBACK: ({"paid": True}, {}, None),
    "each": ({"items": [], "failed": [], "count": 0},),
    "call": ({"execution": 1, "status": "completed", "output": {"a": 1}, "error": None},),
}


async def check_kind(sample: Sample) -> None:
    """Raises AssertionError with a sentence for each way in which the kind breaks a promise."""
    told = [f"{promise.__name__}: {text}" for promise in PROMISES for text in promise(sample)]
    try:
        for at_work in AT_WORK:
            told += [f"{at_work.__name__}: {text}" for text in await at_work(sample)]
    finally:
        await current_worker().stop(0)
    if told:
        raise AssertionError("\n".join([f"“{sample.kind.kind}” breaks its contract:", *told]))


def promise(look: Callable[[Sample], AsyncIterator[str]]) -> Promise:
    """What escapes while the kind is looked at is told too; each sentence comes once."""

    @wraps(look)
    async def kept(sample: Sample) -> list[str]:
        told: dict[str, None] = {}
        try:
            async for text in look(sample):
                told[text] = None
        except Exception as error:
            told[f"It breaks on what it is given: {error!r:.500}"] = None
        return list(told)

    return kept


@promise
async def it_ends_with_an_outcome(sample: Sample) -> AsyncIterator[str]:
    """On its data, with its example; and what it declares as without effects leaves the workflow's files alone."""
    async with _begun(sample, sample.given) as work:
        entry = await work.outcome()
        if entry.kind == Kind.FAILED:
            yield f"With its example it fails: {entry.data['error']['message']}"
        elif entry.kind not in (Kind.COMPLETED, Kind.WAITED):
            yield f"With its example it does not end: it is {entry.kind}."
        files = await asyncio.to_thread(area(work.workflow.pk).paths)
        if sample.kind.effects_of(sample.given) == "none" and sorted(files) != sorted(sample.files):
            yield f"It says that it has no effects, and leaves files behind: {', '.join(files)[:200]}."


@promise
async def it_goes_on_after_a_restart(sample: Sample) -> AsyncIterator[str]:
    """What it says after a wait depends on what it is given, and on nothing that a process remembers."""
    async with _begun(sample, sample.given) as work:
        entry = await work.outcome()
    if entry.kind != Kind.WAITED:
        return
    given = dict(sample.data)
    node = Node(NODE, sample.kind.kind, sample.given)
    which = next((name for name in ("each", "call") if name in entry.data), entry.data["kind"])
    if which in ("each", "call") and make(node).fan_out(deepcopy(given)) != make(node).fan_out(deepcopy(given)):
        yield "fan_out() says something else the second time."
    for answer in ANSWERS[which]:
        told = [_resumed(node, deepcopy(given), deepcopy(answer)) for _ in range(2)]
        if told[0] != told[1]:
            yield f"resume() says something else the second time, for {answer}."
        if isinstance(told[0], Done) and told[0].handle not in handles_of(node):
            yield f"resume() leaves by “{told[0].handle}”, which is none of its ways out."


@promise
async def it_stops_when_it_is_told_to(sample: Sample) -> AsyncIterator[str]:
    """Within the grace that the engine gives. A plain function cannot be stopped, and its journal says so."""
    is_thread = not inspect.iscoroutinefunction(sample.kind.run)
    for given in filter(None, (sample.given or {"label": "Step"}, dict(sample.long))):
        async with _begun(sample, given) as work:
            await work.under_way(sample if given == sample.long else None)
            await work.cancel()
            last = await work.end()
        if last.kind == Kind.ABANDONED and not is_thread:
            yield f"It did not stop when it was told to: {(last.data or {}).get('reason', '')}"
        elif given == sample.long and last.kind not in (Kind.CANCELLED, Kind.ABANDONED):
            yield f"With the settings that take long it is {last.kind} before anybody stops it."


@promise
async def it_keeps_to_its_time_limit(sample: Sample) -> AsyncIterator[str]:
    if not sample.long:
        return
    async with _begun(sample, {**sample.long, "policy": {"timeout_s": 0.2}}) as work:
        last = await work.outcome()
        if last.kind == Kind.WAITED:
            return  # what waits holds nothing, and has a due time of its own
        error = (last.data or {}).get("error") or {}
        if last.kind != Kind.FAILED or error.get("type") != "StepTimeout":
            yield f"Its time limit was over, and it is {last.kind}: {error.get('message', '')}"


@promise
async def it_tells_no_secret(sample: Sample) -> AsyncIterator[str]:
    """A secret that it is given stands nowhere in what the execution wrote, nor in the server's log, in no form."""
    if not (given := sample.given_with_secret):
        if any(config.looks(info) == "secret" for _, info in fields_of(sample.kind.Config)):
            yield f"It knows secrets in its rows: the sample must say settings that name {PROBE}."
        return
    value = f"Probe/{token_urlsafe(18)}+="
    with _heard() as heard:
        async with _begun(sample, given, secret=value) as work:
            entry = await work.outcome()
            traces = await sync_to_async(work.traces)()
            was_used = await work.secrets().filter(last_used_at__isnull=False).aexists()
    mask = Mask()
    mask.add(PROBE, value)
    for place, text in {**traces, "the server's log": "\n".join(heard)}.items():
        if mask.text(text) != text:
            yield f"The value of its secret stands in {place}."
    if not was_used:
        yield f"It does not ask for its secret: it is {entry.kind}, {str(entry.data)[:300]}"


AT_WORK: tuple[Promise, ...] = (
    *(it_ends_with_an_outcome, it_goes_on_after_a_restart, it_stops_when_it_is_told_to),
    *(it_keeps_to_its_time_limit, it_tells_no_secret),
)


# One execution of one step


@dataclass(frozen=True, slots=True)
class Work:
    workflow: Workflow
    execution: int

    async def outcome(self) -> Any:
        """The entry by which the step's first attempt is over, or waits."""
        return await self._entry(lambda entries: next((one for one in entries if one.kind in OVER), None))

    async def under_way(self, sample: Sample | None) -> None:
        """Until it is in the midst of what takes long; else until the step has begun."""
        if sample and sample.until:
            async with asyncio.timeout(PATIENCE_S):
                await sample.until()
        await self._entry(lambda entries: entries[0] if entries else None)

    async def cancel(self) -> None:
        await sync_to_async(WorkflowEngine().cancel)(self.execution)
        current_worker().wake(self.execution)  # no bell may reach this event loop

    async def end(self) -> Any:
        """The step's last entry, once the execution is over."""

        await _soon(self.has_ended, "end")
        return [entry async for entry in self._entries()][-1]

    async def has_ended(self) -> bool | None:
        return await WorkflowExecution.objects.filter(pk=self.execution, completed_at__isnull=False).aexists() or None

    def secrets(self) -> Any:
        return Secret.objects.filter(owner=self.workflow.owner, name=PROBE)

    def traces(self) -> dict[str, str]:
        """All that the execution wrote, by place."""
        row = WorkflowExecution.objects.get(pk=self.execution)
        entries = ExecutionLog.objects.filter(execution=self.execution)
        journal = json.dumps([entry.data for entry in entries], default=str, ensure_ascii=False)
        output = json.dumps([output_of(row), row.error, row.error_message], default=str, ensure_ascii=False)
        return {"its journal": journal, "its output or error": output}

    def _entries(self) -> Any:
        entries = ExecutionLog.objects.filter(execution=self.execution, node=NODE)
        return entries.exclude(kind=Kind.LOGGED).order_by("seq")

    async def _entry(self, pick: Callable[[list[ExecutionLog]], ExecutionLog | None]) -> ExecutionLog:
        async def look() -> ExecutionLog | None:
            return pick([entry async for entry in self._entries()])

        return await _soon(look, "tell its outcome")


@asynccontextmanager
async def _begun(sample: Sample, given: Mapping[str, Any], secret: str = "") -> AsyncIterator[Work]:
    """The step's execution, carried by this event loop, and cancelled at the end where it still goes on."""
    workflow = await sync_to_async(_published)(sample, given, secret)
    execution = await WorkflowEngine().submit_workflow(workflow.pk, dict(sample.data))
    carried = asyncio.create_task(_carried(execution))
    work = Work(workflow, execution)
    try:
        yield work
    finally:
        await work.cancel()
        await _soon(work.has_ended, "end")
        carried.cancel()  # it would look once more, after a second
        await asyncio.gather(carried, return_exceptions=True)


async def _carried(execution: int) -> None:
    with suppress(WorkflowExecutionError):  # that it failed stands in its journal
        await WorkflowEngine().see_through(execution)


def _published(sample: Sample, given: Mapping[str, Any], secret: str) -> Workflow:
    owner, _ = get_user_model().objects.get_or_create(username="step-contract")
    workflow = Workflow.objects.create(name=f"Contract of {sample.kind.kind}", owner=owner)
    for path, content in sample.files.items():
        area(workflow.pk).save(path, content)
    if secret:
        Secret.objects.filter(owner=owner, name=PROBE).delete()
        Secret.objects.make(owner, PROBE, secret, ["*"])
    workflow.publish({"nodes": [{"id": NODE, "type": sample.kind.kind, "data": dict(given)}]}, by=owner)
    return workflow


def _resumed(node: Node, data: dict[str, Any], answer: Any) -> Any:
    try:
        return make(node).resume(data, answer)
    except WorkflowStepError as error:
        return error.message


@contextmanager
def _heard() -> Any:
    """What is written into the server's log meanwhile."""
    lines: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    ear = Ear(logging.DEBUG)
    logging.getLogger().addHandler(ear)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(ear)


async def _soon(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    for _ in range(int(PATIENCE_S / 0.01)):
        if (found := await look()) is not None:
            return found
        await asyncio.sleep(0.01)
    raise TimeoutError(f"It did not {what} within {PATIENCE_S:g} s.")
