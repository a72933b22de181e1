"""Why an execution does not go on: one sentence for whoever waits for it, the same for all who may see it.

Its facts are rows: who paused it, who holds the slot, what its steps wait for, whether a worker is there. Nothing is
said of what runs, of what has ended, and of what is being cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from executions import presence, slots
from executions.models import ExecutionWait, WaitKind, WorkflowExecution
from executions.models.execution import CHILD, ROOT
from executions.planner import State
from executions.tally import Tally, tallies
from executions.words import Sentence
from workflows.graph import Graph
from workflows.models.workflow import Priority
from workflows.policy import policy_of
from workflows.words import count

SOON = timedelta(seconds=2)  # what is due for less is about to begin
COUNTED = 1_000
NAMED = 3  # executions that hold a slot
Tallies = Mapping[str, Tally]


def why(execution: WorkflowExecution, graph: Graph, state: State, counted: Tallies | None = None) -> Sentence:
    """Empty where there is nothing to explain. `counted`: its children, where they have been counted before."""
    if state.status or state.cancel_requested or execution.cancel_requested_at or execution.is_final:
        return ()
    if state.paused_at or execution.paused_at:
        return _paused(execution, graph, state)
    if execution.has_slot is False:
        return _slot(execution)
    if execution.due_at < timezone.now() - SOON and (execution.owner or not state.running):
        return _nobody() if execution.owner else _nobody() or _queue(execution)
    if state.active and not state.running:
        return _waiting(execution, graph, state, tallies(execution, graph, state) if counted is None else counted)
    return ()


def _paused(execution: WorkflowExecution, graph: Graph, state: State) -> Sentence:
    pause = state.pause if state.paused_at else {}  # else it tells of an earlier one
    before = pause.get("before")
    if reason := execution.pause_reason or pause.get("reason"):
        return (f"Paused: {reason} “Resume” grants as much again.",)
    if before:
        label = graph.nodes[before].label if before in graph.nodes else before
        return (f"Paused before “{label}”, as it was asked to. “Resume” lets it go on.",)
    by = execution.paused_by.get_username() if execution.paused_by else state.pause.get("by")
    who = f"Paused by {by}" if by else "Paused"
    if state.running:
        return (f"{who}: {count(state.running, 'step')} under way will end, and nothing new begins.",)
    return (f"{who}. “Resume” lets it go on; until then nothing begins, and its time limit stands still.",)


def _slot(execution: WorkflowExecution) -> Sentence:
    workflow = execution.workflow
    holders = slots.holders_of(workflow.pk)
    limit, of_key = workflow.concurrency, ""
    if limit is None or holders[:limit].count() < limit:
        holders, limit = holders.filter(slot_key=execution.slot_key), workflow.concurrency_per_key
        of_key = f" for each {workflow.concurrency_key}" if workflow.concurrency_key else ""
    numbers = list(holders.order_by("pk").values_list("pk", flat=True)[: NAMED + 1])
    if not numbers:
        return ("Waits for a slot, and gets one in a moment.",)
    ahead = slots.waiting_of(workflow.pk).filter(_before(execution))[: COUNTED + 1].count()
    rest = f" {_many(ahead, 'execution')} {'is' if ahead == 1 else 'are'} before it." if ahead else ""
    return ("Waits for a slot: held by ", *_listed(numbers), f" (limit {limit}{of_key}).{rest}")


def _before(execution: WorkflowExecution) -> Q:
    return Q(priority__gt=execution.priority) | Q(priority=execution.priority, pk__lt=execution.pk)


def _listed(numbers: list[int]) -> Sentence:
    found: list[str | int | datetime] = []
    for number in numbers[:NAMED]:
        found += [number] if not found else [", ", number]
    return (*found, " and others") if len(numbers) > NAMED else tuple(found)


def _nobody() -> Sentence:
    """Empty where a worker is there: what is due will have its turn, what was lost is about to be taken over."""
    if presence.is_anybody_there():
        return ()
    if since := presence.last_seen():
        return ("No worker has been there since ", since, ". It goes on as soon as one is.")
    return ("No worker has ever been there. It begins as soon as one is: start `manage.py worker`.",)


def _queue(execution: WorkflowExecution) -> Sentence:
    """It is due, and nobody has taken it."""
    if urgent := _due(priority__in=[value for value in Priority.values if value > execution.priority]):
        return (f"Waits its turn behind {_many(urgent, 'more urgent execution')}.",)
    if ahead := _due(priority=execution.priority, due_at__lt=execution.due_at):
        return (f"Waits its turn behind {_many(ahead, 'execution')} that came before.",)
    return ("Waits for a worker that has room.",)


def _due(**which: Any) -> int:
    """How many of these nobody has taken. Each kind has its own index: SQLite would read the whole table for both."""
    due = WorkflowExecution.objects.due(timezone.now()).filter(owner=None, **which)
    return sum(due.filter(kind)[: COUNTED + 1].count() for kind in (ROOT, CHILD))


def _many(number: int, word: str) -> str:
    return count(number, word) if number <= COUNTED else f"more than {count(COUNTED, word)}"


def _waiting(execution: WorkflowExecution, graph: Graph, state: State, counted: Tallies) -> Sentence:
    """For what its steps wait, the one first that ends first."""
    waits = [wait for wait in execution.waits.open().order_by("pk")[: COUNTED + 1] if wait.node in graph.nodes]
    if not waits:
        return ()
    first = min(waits, key=lambda wait: (wait.due_at is None, wait.due_at or wait.pk))
    rest = f" So {'does' if len(waits) == 2 else 'do'} {count(len(waits) - 1, 'other step')}." if waits[1:] else ""
    return (f"“{graph.nodes[first.node].label}” ", *_wait(first, graph, state, counted), f".{rest}")


def _wait(wait: ExecutionWait, graph: Graph, state: State, counted: Tallies) -> Sentence:
    match wait.kind:
        case WaitKind.RETRY:
            node = state.nodes[wait.node]
            attempts = policy_of(graph.nodes[wait.node].data).attempts
            at: Sentence = (" comes ", wait.due_at) if wait.due_at else ()
            return (f"failed; attempt {node.failures + 1} of {attempts}", *at)
        case WaitKind.CHILD:
            return _children(counted.get(wait.node))
        case WaitKind.APPROVAL:
            return (f"waits for the approval of {_asked(wait.asks or {})}", *_at_most(wait))
        case WaitKind.CALLBACK:
            return ("waits to be called at its address", *_at_most(wait))
    what = f": {wait.reason}" if wait.reason else ""
    return ("waits until ", wait.due_at, what) if wait.due_at else (f"waits for an answer{what}",)


def _children(tally: Tally | None) -> Sentence:
    if tally is None:
        return ("waits for executions of its own",)
    if tally.is_call:
        return ("waits for ", tally.called, tally.of_name) if tally.called else ("waits for another workflow",)
    return (f"waits for its items: {tally.words} done",)


def _asked(asks: Mapping[str, Any]) -> str:
    names = [*asks.get("people", ()), *(f"the group {name}" for name in asks.get("groups", ()))]
    return " or ".join(names) or "somebody who may run this workflow"


def _at_most(wait: ExecutionWait) -> Sentence:
    return (", until ", wait.due_at, " at the latest") if wait.due_at else ()
