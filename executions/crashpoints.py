"""Where a process may die: every boundary of a commit, by name. Nothing happens here unless a test arms it.

`committing(name)` is transaction.atomic() with three points: `name.before` it, `name.written` when everything is
written and nothing is committed, and `name.committed`. What is no transaction has a point of its own, reach(name). The
tables say what must hold when the process is killed there: the next one reads it from the rows, and goes on. No setting
and no variable arms anything, only a call of arm(), which no module of ours makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import transaction

#: name -> (module.function, what must hold: before COMMIT nothing of it is there, after it all of it is)
TRANSACTIONS = {
    "submit": ("engine._record", "An execution that was acknowledged is there with entry 1; else nothing of it is."),
    "claim": ("claim.claim", "Who was claimed by the dead is taken over, and no step ran that nobody knows of."),
    "claim_family": ("claim.claim_family", "The same for a caller who runs the execution in its own event loop."),
    "renewal": ("claim.renew", "The lease ends sooner or later, and then somebody else takes over."),
    "hand_back": ("claim.hand_back", "What was held is due at once, or when the lease is over."),
    "takeover": ("claim.release_dead", "What dead owners held is due; an owner that is still told of is asked again."),
    "record": ("journal.write", "Entries, row, waits and children of a unit are all there, or none is."),
    "own_writes": ("journal._commit_of_step", "A step's own rows are there exactly where the record of its end is."),
    "cancel": (
        "engine.WorkflowEngine.cancel",
        "The request is there for the execution and all below it, or for none of them.",
    ),
    "pause": (
        "engine.WorkflowEngine._set_paused",
        "The pause is there for the execution and all below it, or for none of them.",
    ),
    "breakpoints": ("engine.WorkflowEngine.pause_before", "The list of steps is the old one or the new one."),
    "answer": (
        "engine.WorkflowEngine.answer_wait",
        "An answer that was acknowledged is there with its nudge; one answer counts.",
    ),
    "repair": (
        "engine.WorkflowEngine.repair",
        "The execution has failed as before, or is due with the entry that says why.",
    ),
    "bury": ("children.bury", "It has ended with its reason, and all below it with it; or its lease ends and then so."),
    "slots": ("slots.admit", "Never more holders than slots; what is free is given at the next sweep."),
    "prune": ("retention.Pace.transaction", "An execution is there, or gone, or being deleted; never brought back."),
}

#: name -> (module.function, what must hold)
PLACES = {
    "opening.made": ("opening._insert", "Inside “record”: an execution that its caller runs is not there yet."),
    "record.noted": ("journal._write", "Inside “record”: entries without their waits and children are not there."),
    "fan_out.made": ("children.make", "Inside “record”: no child is there without the entry of its step."),
    "aftermath.followed": (
        "aftermath.follow",
        "Inside the end's transaction: only what has ended sets something off.",
    ),
    "step.before": ("workshop.Workshop._outcome", "The start is recorded, nothing was done: it runs as attempt 2."),
    "step.returned": ("workshop.Workshop._work", "The effect is done, no record of it: done again under the same key."),
    "wait.lapsed": ("claim.look", "The wait is over and takes no answer; whoever goes on writes it down."),
    "take_over.noted": ("run.Run._take_over", "Nothing of the takeover is there: the next one does it again."),
    "rest.before": ("run.Run._rest", "It is not at rest yet: taken over, and it comes to rest then."),
    "rest.committed": ("run.Run._close", "It waits in its row alone: whoever looks when it is due goes on."),
    "finish.before": ("run.Run._finish", "It has not ended, though all its steps have: the next one ends it."),
    "finish.committed": ("run.Run._close", "It has ended, though nobody was told: nothing of it changes any more."),
    "hand_back.noted": ("run.Run._hand_back", "Steps that were stopped run again, as after any other death."),
    "file.before": ("blobs._written", "No row names the file."),
    "file.written": ("blobs._written", "A file without a row: nobody reads it, and a day later it is deleted."),
    "file.deleted": ("blobs.forget", "Files of what is gone from the rows may stay: a day later they are deleted."),
}

MOMENTS = ("before", "written", "committed")
POINTS = frozenset((*PLACES, *(f"{name}.{moment}" for name in TRANSACTIONS for moment in MOMENTS)))

_armed: list[Callable[[str], object]] = []


def reach(point: str) -> None:
    """The process is at this point."""
    if _armed:
        if point not in POINTS:
            raise LookupError(f"There is no crash point {point!r}.")
        _armed[0](point)


@contextmanager
def committing(name: str) -> Iterator[None]:
    reach(f"{name}.before")
    with transaction.atomic():
        yield
        reach(f"{name}.written")
    reach(f"{name}.committed")


def arm(arrive: Callable[[str], object]) -> None:
    """For tests, in the process that is to die: `arrive` is called at each point, in whatever thread comes there."""
    _armed[:] = [arrive]
