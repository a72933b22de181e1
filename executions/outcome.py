"""What a step answered, as an entry of the journal. Every failure is data here: nothing that a step does escapes."""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, TypeGuard

from django.conf import settings

from executions.blobs import TooLarge
from executions.data import Data, pack
from executions.entry import Entry, as_json
from executions.large import stowed
from executions.masks import Mask
from executions.models import Kind, WaitKind
from executions.workshop import LINE_LENGTH, TIMED_OUT, Ended, StillRunning
from workflows.errors import InputError, WorkflowStepError
from workflows.graph import ERROR, OUT, Node
from workflows.policy import Policy
from workflows.steps.base import Call, Done, Each, Pause, Usage, Wait
from workflows.values import clean, clean_text

UNKNOWN = object()
MOST_MS = 2**31 - 1  # what the journal's column holds: a wait of 25 days and longer has taken so long
TRACE_LENGTH = 20_000  # characters, its end
MOST_TOKENS = 2**40  # of one attempt: their sum, over a million of them, is a number that both databases have
MOST_DOLLARS, MODEL_LENGTH = 1e12, 200


@dataclass(slots=True)
class Setting:
    """What is needed to read an outcome: the step, what it saw, its ways out, and what follows where it failed."""

    node: Node
    incoming: Data
    handles: tuple[str, ...]
    policy: Policy
    failures: int
    is_stopping: bool
    mask: Mask = field(default_factory=Mask)


@dataclass(frozen=True, slots=True)
class Kept:
    """A large output, kept before its entry is written: the entry's data, and what was added as a whole."""

    data: Data
    added: Data
    handle: str
    usage: Usage | None = None
    commit: Callable[[], object] | None = None

    def __repr__(self) -> str:
        return f"Done(…, {self.handle!r})"


ENDS = (Done, Kept)


def keep(execution_id: int, incoming: Data, done: Done, mask: Mask) -> Kept:
    """In a thread: what costs time with a large output. Raises InputError, TooLarge and NotWritten."""
    output = mask.data(clean(dict(done.output)))
    size, limit = len((as_json({**incoming, **output}) or "").encode()), settings.ENGINE["DATA_BYTES"]
    if size > limit:
        raise TooLarge(size, limit)
    packed = pack(incoming, output, done.handle, done.instead)
    return Kept(
        with_usage(stowed(execution_id, packed), done.usage), packed["added"], done.handle, done.usage, done.commit
    )


def with_usage(packed: Data, usage: Usage | None) -> Data:
    return packed if usage is None else {**packed, "usage": asdict(fitted(usage))}


def fitted(usage: Usage) -> Usage:
    """A step may say anything, and another side may have told it: what is no number counts for nothing."""
    if not isinstance(usage, Usage):
        raise TypeError(f"usage must be a Usage, not {usage!r:.200}.")
    cost = float(usage.cost_usd) if _is_number(usage.cost_usd) and abs(usage.cost_usd) <= MOST_DOLLARS else None
    model = clean_text(str(usage.model))[:MODEL_LENGTH]
    return Usage(_tokens(usage.input_tokens), _tokens(usage.output_tokens), cost, model)


def _tokens(told: Any) -> int:
    return min(max(0, int(told)), MOST_TOKENS) if _is_number(told) else 0


def _is_number(told: Any) -> TypeGuard[int | float]:
    return isinstance(told, int | float) and abs(told) < math.inf


def commit_of(outcome: Any) -> Callable[[], object] | None:
    """What a step wants to have written together with its end."""
    return outcome.commit if isinstance(outcome, ENDS) else None


def usage_of(outcome: Any) -> Usage | None:
    """What an attempt spent, whether it ended well or not: who failed after an answer has paid for it all the same."""
    if isinstance(outcome, WorkflowStepError) and isinstance(told := outcome.details.get("usage"), Mapping):
        return fitted(Usage(**{key: value for key, value in told.items() if key in Usage.__dataclass_fields__}))
    usage = outcome.usage if isinstance(outcome, ENDS) else None
    return fitted(usage) if isinstance(usage, Usage) else None


def entry_for(ended: Ended, setting: Setting) -> Entry:
    try:
        entry = _entry_for(ended, setting)
    except Exception as error:  # the output cannot be kept, and that is the step's failure
        entry = _failed(error, ended, setting)
    # Less than nothing: a wait that began by the clock of another machine, or before ours was set back.
    entry.at, entry.took_ms = ended.at, None if entry.took_ms is None else min(max(0, entry.took_ms), MOST_MS)
    return entry


def _entry_for(ended: Ended, setting: Setting) -> Entry:
    told = (ended.node, ended.attempt)
    incoming, handles, is_stopping = setting.incoming, setting.handles, setting.is_stopping
    match ended.outcome:
        case Done(output=Mapping() as output, handle=handle, usage=usage, instead=instead) if handle in handles:
            data = with_usage(pack(incoming, _cleaned(output, incoming), handle, instead), usage)
            return Entry(Kind.COMPLETED, *told, data, ended.took_ms, ended.at)
        case Kept(data=data, added=added, handle=handle) if handle in handles:
            return Entry(Kind.COMPLETED, *told, data, ended.took_ms, added=added)
        case Pause(reason=reason):
            return Entry(Kind.ABANDONED, *told, {"reason": setting.mask.text(clean_text(reason))[:200]}, ended.took_ms)
        case Wait() | Each() | Call() as outcome:
            return Entry(Kind.WAITED, *told, _waited(outcome, setting.mask))
        case error if ended.was_stopped == TIMED_OUT and isinstance(error, BaseException):
            return _failed(timed_out(setting.policy, error), ended, setting)
        case StillRunning() as error:
            return Entry(Kind.ABANDONED, *told, {"reason": str(error)}, ended.took_ms)
        case asyncio.CancelledError() if is_stopping or ended.was_stopped:
            return Entry(Kind.CANCELLED, *told, None, ended.took_ms)
        case Exception() as error if ended.was_stopped:  # what it made of being told to stop
            reason = setting.mask.text(clean_text(repr(error)))[:LINE_LENGTH]
            return Entry(Kind.CANCELLED, *told, {"reason": reason}, ended.took_ms)
        case BaseException() as error:
            return _failed(error, ended, setting)
        case other:
            text = "A step must answer with Done(an object, one of its handles), Wait, Each or Call, not "
            text += f"{other!r:.200}."
            return _failed(TypeError(text), ended, setting)


def _cleaned(output: Mapping[str, Any], incoming: Data) -> Data:
    """As clean(). What came along an edge, and goes on as it is, has been cleaned before."""
    return {
        clean_text(str(key)): value if incoming.get(key, UNKNOWN) is value else clean(value, 1)
        for key, value in output.items()
    }


def _waited(outcome: Wait | Each | Call, mask: Mask) -> Data:
    match outcome:
        case Each(items=items, parallel=parallel):
            return {"kind": WaitKind.CHILD, "until": None, "each": len(items), "parallel": parallel}
        case Call(workflow=workflow):
            return {"kind": WaitKind.CHILD, "until": None, "call": workflow}
    if outcome.until is not None and outcome.until.tzinfo is None:
        raise TypeError("Wait(until=…) must say its time zone.")
    until = outcome.until.isoformat() if outcome.until else None
    data: Data = {"until": until, "reason": mask.text(clean_text(outcome.reason))[:200], "kind": kind_of(outcome)}
    if outcome.ask:
        data |= {"people": list(outcome.ask.people), "groups": list(outcome.ask.groups)}
    return data


def kind_of(wait: Wait) -> WaitKind:
    return WaitKind.APPROVAL if wait.ask else WaitKind.CALLBACK if wait.callback else WaitKind.TIME


def _failed(error: BaseException, ended: Ended, setting: Setting) -> Entry:
    """Failed for good, or a wait before the next attempt."""
    policy, told = setting.policy, (ended.node, ended.attempt)
    data: Data = {"error": shape(error, setting.node, ended.attempt, setting.mask)}
    failures = setting.failures + 1
    if failures < policy.attempts and not setting.is_stopping and not _is_permanent(error):
        pause = policy.delay_s(failures, getattr(error, "retry_after_s", None))
        data |= {
            "until": (ended.at + timedelta(seconds=pause)).isoformat(),
            "failures": failures,
            "of": policy.attempts,
        }
        return Entry(Kind.RETRIED, *told, data, ended.took_ms)
    if policy.on_failure != "stop" and not setting.is_stopping:
        data["handle"] = ERROR if policy.on_failure == "error" else OUT
    return Entry(Kind.FAILED, *told, data, ended.took_ms)


def _is_permanent(error: BaseException) -> bool:
    return isinstance(error, InputError) or getattr(error, "is_permanent", False) is True


def timed_out(policy: Policy, error: BaseException | None = None) -> StepTimeout:
    more = " It cannot be stopped and runs on; what it answers is refused." if isinstance(error, StillRunning) else ""
    return StepTimeout(f"It took longer than its time limit of {policy.timeout_s or 0:g} s.{more}")


def shape(error: BaseException, node: Node | None, attempt: int | None, mask: Mask | None = None) -> dict[str, Any]:
    """The error's one shape in journal, row, API and pages. `node` None: it is about the execution.

    Secrets are masked before anything is cut short: half of one would not be recognised.
    """
    hidden = mask or Mask()
    message = hidden.text(clean_text(str(error))) or type(error).__name__
    if isinstance(error, asyncio.CancelledError):
        message = "The step cancelled itself."
    return {
        "type": type(error).__name__,
        "message": message[:LINE_LENGTH],
        "node": node.id if node else None,
        "step_name": node.label if node else None,
        "attempt": attempt,
        "traceback": hidden.text(clean_text("".join(traceback.format_exception(error))))[-TRACE_LENGTH:],
        "details": _details(error.details, hidden) if isinstance(error, WorkflowStepError) else {},
    }


def _details(details: dict[str, Any], mask: Mask) -> dict[str, Any]:
    """Shown on the page and sent to every viewer, so they are facts and not a dump."""
    try:
        kept: dict[str, Any] = mask.data(clean(details))
    except InputError as error:
        return {"cut": error.message}
    if len(text := as_json(kept) or "") <= LINE_LENGTH:
        return kept
    return {"cut": f"{text[:LINE_LENGTH]} … ({len(text):,} characters in all)"}


class StepTimeout(Exception):
    """The step took longer than its time limit."""


class WorkerLost(Exception):
    """The worker was lost again and again while this step ran."""
