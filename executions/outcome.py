"""What a step answered, as an entry of the journal. Every failure is data here: nothing that a step does escapes."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from typing import Any

from executions.data import Data, pack
from executions.entry import Entry, as_json
from executions.models import Kind, WaitKind
from executions.workshop import LINE_LENGTH, Ended, StillRunning
from workflows.errors import InputError, WorkflowStepError
from workflows.graph import Node
from workflows.steps.base import Done, Wait
from workflows.values import clean, clean_text

TRACE_LENGTH = 20_000  # characters, its end


def entry_for(ended: Ended, node: Node, incoming: Data, handles: tuple[str, ...], is_stopping: bool) -> Entry:
    try:
        entry = _entry_for(ended, node, incoming, handles, is_stopping)
    except Exception as error:  # the output cannot be kept, and that is the step's failure
        entry = _failed(error, ended, node)
    entry.at = ended.at
    return entry


def _entry_for(ended: Ended, node: Node, incoming: Data, handles: tuple[str, ...], is_stopping: bool) -> Entry:
    told = (ended.node, ended.attempt)
    match ended.outcome:
        case Done(output=Mapping() as output, handle=handle) if handle in handles:
            return Entry(Kind.COMPLETED, *told, pack(incoming, clean(dict(output)), handle), ended.took_ms)
        case Wait() as wait:
            return Entry(Kind.WAITED, *told, _waited(wait))
        case StillRunning() as error:
            return Entry(Kind.ABANDONED, *told, {"reason": str(error)}, ended.took_ms)
        case asyncio.CancelledError() if is_stopping:
            return Entry(Kind.CANCELLED, *told, None, ended.took_ms)
        case Exception() as error if ended.was_stopped:  # what it made of being told to stop
            return Entry(Kind.CANCELLED, *told, {"reason": clean_text(repr(error))[:LINE_LENGTH]}, ended.took_ms)
        case BaseException() as error:
            return _failed(error, ended, node)
        case other:
            text = f"A step must answer with Done(an object, one of its handles) or Wait(…), not {other!r:.200}."
            return _failed(TypeError(text), ended, node)


def _waited(wait: Wait) -> Data:
    if wait.until is not None and wait.until.tzinfo is None:
        raise TypeError("Wait(until=…) must say its time zone.")
    until = wait.until.isoformat() if wait.until else None
    data: Data = {"until": until, "reason": clean_text(wait.reason)[:200], "kind": kind_of(wait)}
    if wait.ask:
        data |= {"people": list(wait.ask.people), "groups": list(wait.ask.groups)}
    return data


def kind_of(wait: Wait) -> WaitKind:
    return WaitKind.APPROVAL if wait.ask else WaitKind.CALLBACK if wait.callback else WaitKind.TIME


def _failed(error: BaseException, ended: Ended, node: Node) -> Entry:
    return Entry(Kind.FAILED, ended.node, ended.attempt, {"error": shape(error, node, ended.attempt)}, ended.took_ms)


def shape(error: BaseException, node: Node, attempt: int) -> dict[str, Any]:
    """The error's one shape in journal, row, API and pages."""
    message = clean_text(str(error)) or type(error).__name__
    if isinstance(error, asyncio.CancelledError):
        message = "The step cancelled itself."
    return {
        "type": type(error).__name__,
        "message": message[:LINE_LENGTH],
        "node": node.id,
        "step_name": node.label,
        "attempt": attempt,
        "traceback": clean_text("".join(traceback.format_exception(error)))[-TRACE_LENGTH:],
        "details": _details(error.details) if isinstance(error, WorkflowStepError) else {},
    }


def _details(details: dict[str, Any]) -> dict[str, Any]:
    """Shown on the page and sent to every viewer, so they are facts and not a dump."""
    try:
        kept: dict[str, Any] = clean(details)
    except InputError as error:
        return {"cut": error.message}
    if len(text := as_json(kept) or "") <= LINE_LENGTH:
        return kept
    return {"cut": f"{text[:LINE_LENGTH]} … ({len(text):,} characters in all)"}


class WorkerLost(Exception):
    """The worker was lost again and again while this step ran."""
