"""The verbs at the same moment: threads with connections of their own, on whichever database the suite runs.

No moment is arranged; each race is run many times, and whatever won, the rows must make sense and nobody may be
refused by the database itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import count
from threading import Barrier
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError, connections, transaction
from django.utils import timezone

from executions import children, claim, slots
from executions.engine import WorkflowEngine
from executions.entry import Entry
from executions.family import Order
from executions.journal import Closing, OwnershipLost, Unit, write
from executions.models import FINAL, ExecutionLog, ExecutionWait, StepUsage, WorkflowExecution
from executions.models.execution import FAR_FUTURE
from executions.planner import fold
from executions.worker import current_worker
from tests import steps
from tests.executions.conftest import PATIENCE_S, chain, drawn, node, published
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 8
CHAIN = chain(node("a", "test_ask"), node("b"))
BODY = drawn([node("each", "test_each"), node("item")], "each:each>item")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    steps.forget()


def at_once(*verbs: Callable[[], Any]) -> list[Any]:
    """What each of them gave, in a thread of its own; all begin together."""
    barrier = Barrier(len(verbs))

    def go(verb: Callable[[], Any]) -> Any:
        try:
            barrier.wait(PATIENCE_S)
            return verb()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(verbs)) as crowd:
        return [future.result(60) for future in [crowd.submit(go, verb) for verb in verbs]]


def claimed(owner: str = "a") -> claim.Held:
    (held,) = claim.claim(owner, 1)
    return held


def unit(held: claim.Held, *told: str, closing: Closing | None = None, first: int | None = None) -> Unit:
    """Entries from “started”, “started a”, …, numbered on from what the owner knew."""
    numbers = count((held.last_seq if first is None else first) + 1)
    made = Unit(held.execution_id, held.fence, parent_id=held.parent_id, closing=closing)
    for text in told:
        kind, _, name = text.partition(" ")
        data = {"completed": {"added": {}}, "waited": {"kind": "time", "until": None}}.get(kind)
        made.entries.append(Entry(kind, name or None, 1 if name else None, data, seq=next(numbers)))
    if closing and closing.completed_at:
        closing.entries = [Entry("finished", data={"status": closing.status}, seq=next(numbers))]
    return made


def finish(status: str = "completed") -> Closing:
    now = timezone.now()
    return Closing(
        status,
        now,
        steps_done=0,
        steps_total=1,
        output={} if status == "completed" else None,
        completed_at=now,
        whatever=status == "cancelled",
        has_aftermath=True,
    )


def rest(held: claim.Held, nudges: int | None = None) -> Closing:
    return Closing("waiting", FAR_FUTURE, 0, 1, nudges=held.nudges if nudges is None else nudges)


def waiting(due_in_s: float | None = None) -> tuple[WorkflowExecution, ExecutionWait]:
    """An execution at rest whose only step waits."""
    WorkflowEngine().submit(published(CHAIN).pk)
    held = claimed()
    closing = rest(held)
    wait = ExecutionWait(execution_id=held.execution_id, node="a", kind="approval", reason="a question")
    if due_in_s is not None:
        closing.due_at = wait.due_at = timezone.now() + timedelta(seconds=due_in_s)
    begun = unit(held, "started", "started a", "waited a", closing=closing)
    begun.opened.append(wait)
    assert write([begun]) == [True]
    return WorkflowExecution.objects.get(pk=held.execution_id), wait


def to_the_end(*numbers: int) -> None:
    """A worker sees to what is left; nothing may be left over."""
    asyncio.run(_to_the_end(set(numbers)))


async def _to_the_end(numbers: set[int]) -> None:
    worker = current_worker()
    await worker.start()
    live = WorkflowExecution.objects.live().filter(pk__in=numbers)
    async with asyncio.timeout(PATIENCE_S):
        while await worker.journal.run(live.exists):
            await asyncio.sleep(0.01)
    await worker.stop(0)


def check(number: int) -> Any:
    """Its journal has no gap and one end, and its row says the same."""
    row: Any = WorkflowExecution.objects.get(pk=number)
    entries = list(ExecutionLog.objects.filter(execution=number).order_by("seq"))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert row.status in FINAL and fold(entries).status == row.status
    assert [entry.kind for entry in entries].count("finished") == 1
    assert max(Counter(entry.node for entry in entries if entry.kind == "completed").values(), default=0) <= 1
    assert not ExecutionWait.objects.open().filter(execution=number).exists()
    return row


def test_an_answer_and_a_cancel_of_what_rests() -> None:
    engine = WorkflowEngine()
    for _ in range(ROUNDS):
        row, wait = waiting()
        *answers, is_cancelled = at_once(
            partial(engine.answer_wait, wait.pk, "one"),
            partial(engine.answer_wait, wait.pk, "other"),
            partial(engine.cancel, row.pk),
        )
        to_the_end(row.pk)
        assert is_cancelled and check(row.pk).status == "cancelled"
        assert answers.count(True) <= 1


def test_an_answer_and_the_moment_in_which_its_time_is_over() -> None:
    engine = WorkflowEngine()
    for turn in range(ROUNDS):
        row, wait = waiting(0.004 * turn / ROUNDS)
        is_answered, _ = at_once(
            partial(engine.answer_wait, wait.pk, "in time"),
            lambda number=row.pk: ExecutionWait.objects.filter(execution=number).lapse(timezone.now()),  # type: ignore[misc]
        )
        to_the_end(row.pk)
        found = check(row.pk)
        assert found.output_data["answer"] == ("in time" if is_answered else None)
        entry: Any = ExecutionLog.objects.get(execution=row.pk, kind="answered")
        assert entry.data["due"] is not is_answered


def test_the_end_a_takeover_a_cancel_and_a_pause() -> None:
    """The owner was late: its lease is over, and it does not know that yet."""
    engine = WorkflowEngine()
    for _ in range(ROUNDS):
        number = engine.submit(published(chain(node("a"))).pk)
        held = claimed()
        assert write([unit(held, "started", "started a")]) == [True]
        WorkflowExecution.objects.filter(pk=number).update(due_at=timezone.now())
        last = unit(held, "completed a", closing=finish(), first=held.last_seq + 2)
        (written,), taken, is_cancelled, is_paused = at_once(
            partial(write, [last]),
            partial(claim.claim, "b", 1),
            partial(engine.cancel, number),
            partial(engine.pause, number),
        )
        if taken:  # by a thread that does not go on with it
            claim.hand_back("b")
        if is_paused:
            engine.resume(number)
        to_the_end(number)
        row = check(number)
        assert row.status == ("cancelled" if is_cancelled else "completed")
        assert not (is_cancelled and written is True), "it ended although a cancel was accepted"
        assert not (taken and written is True) or isinstance(written, OwnershipLost)


def test_two_workers_claim_and_nobody_is_taken_twice() -> None:
    urgent, usual = (published(chain(node("a")), priority=level).pk for level in (1, 0))
    numbers = [WorkflowEngine().submit(pk) for pk in [urgent, usual] * 20]

    def taking(owner: str) -> list[int]:
        found: list[int] = []
        while held := claim.claim(owner, 3):
            found += [one.execution_id for one in held]
        return found

    taken = at_once(*(partial(taking, owner) for owner in "abcd"))
    assert sorted(number for found in taken for number in found) == sorted(numbers)
    of_urgent = set(numbers[::2])
    for found in taken:
        places = [number in of_urgent for number in found]
        assert places == sorted(places, reverse=True), "the urgent come first"


def test_slots_are_given_once_however_many_end_at_once() -> None:
    workflow = published(chain(node("a")), concurrency=3, concurrency_key="k", concurrency_per_key=2)
    engine = WorkflowEngine()
    numbers = [engine.submit(workflow.pk, {"k": turn % 3}) for turn in range(18)]
    most: list[int] = []

    def carrying(owner: str) -> None:
        while WorkflowExecution.objects.live().exists():
            for held in claim.claim(owner, 2):
                rows = WorkflowExecution.objects.live().filter(has_slot=True)
                most.append(rows.count())
                most.append(max(Counter(rows.values_list("slot_key", flat=True)).values()) + 1)
                assert write([unit(held, "started", closing=finish())]) == [True]

    def annoying() -> None:
        for number in numbers * 2:
            engine.pause(number)
            engine.pause_before(number, [])
            engine.resume(number)

    at_once(*(partial(carrying, owner) for owner in "abcd"), annoying)
    assert max(most) <= 3
    assert {check(number).status for number in numbers} == {"completed"}


def test_a_slot_that_is_free_is_not_forgotten_while_somebody_touches_who_waits() -> None:
    workflow, engine = published(chain(node("a")), concurrency=1), WorkflowEngine()
    for _ in range(ROUNDS):
        first, second = engine.submit(workflow.pk), engine.submit(workflow.pk)
        held = claimed()
        at_once(
            partial(write, [unit(held, "started", closing=finish())]),
            *(partial(engine.pause_before, second, nodes) for nodes in (["a"], [], ["b"])),
        )
        slots.admit_all()  # as the sweep does a little later
        assert WorkflowExecution.objects.get(pk=second).has_slot
        engine.pause_before(second, [])
        to_the_end(first, second)


def raised(depth: int = 1) -> tuple[int, list[int]]:
    """A parent that is held and waits for four children; below the first of them, children of its own."""
    number = WorkflowEngine().submit(published(BODY).pk, {"items": [1, 2, 3, 4]})
    held = claimed()
    begun = unit(held, "started", "started each", "waited each")
    begun.entries[-1].data = {"kind": "child", "until": None, "each": 4}
    begun.opened.append(ExecutionWait(execution_id=number, node="each", kind="child"))
    begun.children = [Order("each", 1, index, {"item": index}, body="each") for index in range(4)]
    assert write([begun]) == [True]
    below = list(WorkflowExecution.objects.filter(parent=number).order_by("pk").values_list("pk", flat=True))
    if depth > 1:
        with transaction.atomic():
            children.make((pk, Order("each", 1, index, {}, body="each")) for pk in below for index in range(2))
    return number, below


def test_children_that_end_at_once_while_their_parent_goes_to_rest() -> None:
    for _ in range(ROUNDS):
        number, below = raised()
        parent = WorkflowExecution.objects.get(pk=number)
        held = claim.claim("c", 4)
        resting = Unit(number, parent.fence, closing=Closing("waiting", FAR_FUTURE, 0, 1, nudges=parent.nudges))
        (rested,), *_ = at_once(
            partial(write, [resting]), *(partial(write, [unit(one, "started", closing=finish())]) for one in held)
        )
        row = WorkflowExecution.objects.get(pk=number)
        assert row.nudges == parent.nudges + len(below)
        assert row.owner or row.due_at <= timezone.now(), "it rests, and nobody wakes it any more"
        assert rested or row.owner
        if row.owner:
            claim.hand_back("a")
        to_the_end(number)
        assert check(number).output_data["count"] == 4


def test_parents_and_children_are_stopped_from_every_side() -> None:
    """Nobody may be told of a deadlock."""
    engine = WorkflowEngine()
    for turn in range(ROUNDS):
        number, below = raised(depth=2)
        grandchildren = list(WorkflowExecution.objects.filter(parent__in=below).values_list("pk", flat=True))
        held = {one.execution_id: one for one in claim.claim("c", 100)}
        ends = [unit(held[pk], "started", closing=finish()) for pk in grandchildren[:2] if pk in held]
        freed = [pk for pk in held if pk not in grandchildren[:2]]
        if turn % 2 and freed:
            claim.hand_back("c", *freed)
        at_once(
            partial(engine.cancel, number),
            partial(engine.cancel, below[-1]),
            partial(engine.cancel, grandchildren[-1]),
            partial(engine.pause, number),
            partial(engine.pause, below[0]),
            partial(patient_write, ends),
            partial(claim.renew, "c", list(held)),
        )
        WorkflowExecution.objects.live().update(due_at=timezone.now())
        family = [number, *below, *grandchildren]
        to_the_end(*family)
        assert check(number).status == "cancelled"
        assert check(below[-1]).status == check(grandchildren[-1]).status == "cancelled"


def patient_write(units: list[Unit]) -> None:
    """As the journal: whoever was the victim of a deadlock tries again."""
    from executions.journal import Journal

    asyncio.run(_commit(Journal(), units))


async def _commit(journal: Any, units: list[Unit]) -> None:
    await asyncio.gather(*(journal.commit(one) for one in units), return_exceptions=True)
    await journal.close()


def test_many_keys_one_execution(alice: Any) -> None:
    """A double click in many windows."""
    workflow: Workflow = published(chain(node("a")), concurrency=1)
    found = at_once(*(partial(WorkflowEngine().submit, workflow.pk, idempotency_key="k") for _ in range(6)))
    assert len(set(found)) == 1 and WorkflowExecution.objects.count() == 1


def slowly(real: Callable[..., Any]) -> Callable[..., Any]:
    """Waits a while before its first call, so that others come in between."""
    calls = count()

    def slow(*args: Any, **how: Any) -> Any:
        if not next(calls):
            time.sleep(0.3)
        return real(*args, **how)

    return slow


def test_a_child_and_its_parent_are_cancelled_by_two_who_wait_for_each_other() -> None:
    engine = WorkflowEngine()
    number, below = raised()

    def child_first() -> bool:
        time.sleep(0.1)
        return engine.cancel(below[-1])

    with patch.object(children, "cancel", slowly(children.cancel)):
        at_once(partial(engine.cancel, number), child_first)
    claim.hand_back("a")
    to_the_end(number, *below)
    assert check(number).status == check(below[-1]).status == "cancelled"


@pytest.mark.parametrize("verb", ["cancel", "pause"])
def test_a_family_is_stopped_while_its_leases_are_renewed(verb: str) -> None:
    """Grandchildren may have smaller numbers than children, and whoever locks both goes by the number."""
    engine = WorkflowEngine()
    number, below = raised()
    with transaction.atomic():
        children.make([(below[0], Order("each", 1, 0, {}, body="each"))])
    (below_first,) = WorkflowExecution.objects.filter(parent=below[0])
    claim.claim("c", 100)
    held = [below[1], below_first.pk]  # the first child is somebody else's
    real = WorkflowExecution.request_cancel if verb == "cancel" else WorkflowExecution.set_paused

    def renewing() -> None:
        for _ in range(60):
            claim.renew("c", held)
            time.sleep(0.001)

    with patch.object(WorkflowExecution, real.__name__, slowly_each(real)):
        at_once(partial(getattr(engine, verb), number), renewing)
    assert WorkflowExecution.objects.filter(cancel_requested_at=None, paused_at=None).count() == 0


def slowly_each(real: Callable[..., Any]) -> Callable[..., Any]:
    def slow(*args: Any) -> Any:
        time.sleep(0.02)
        return real(*args)

    return slow


def test_a_child_is_given_up_while_its_parent_is_cancelled() -> None:
    """The engine failed on it; its end tells its parent, which somebody else holds at that moment."""
    number, below = raised()
    (held, *_) = claim.claim("c", 4)

    def burying() -> None:
        time.sleep(0.1)
        children.bury(held.execution_id, held.fence, ValueError("odd"))

    with patch.object(children, "cancel", slowly(children.cancel)):
        at_once(partial(WorkflowEngine().cancel, number), burying)
    claim.hand_back("a")
    claim.hand_back("c")
    to_the_end(number, *below)
    assert {check(pk).status for pk in (number, *below)} == {"cancelled"}


def test_what_a_dead_owner_held_is_released_while_somebody_cancels_it() -> None:
    number, _ = raised()
    claim.claim("a", 100)
    at_once(partial(WorkflowEngine().cancel, number), *[partial(claim.release_dead, ["a"])] * 3)
    assert WorkflowExecution.objects.filter(cancel_requested_at=None).count() == 0


def test_a_row_whose_number_somebody_took_after_a_try_that_was_rolled_back_gets_another() -> None:
    """SQLite gives a number again that was rolled back, and the rows of the unit remember theirs."""
    other, wait = waiting()
    ExecutionWait.objects.filter(pk=wait.pk).delete()
    WorkflowEngine().submit(published(CHAIN).pk)
    held = claimed()
    mine = unit(held, "started", "started a", "waited a")
    mine.opened = [ExecutionWait(execution_id=held.execution_id, node="a", kind="time")]
    mine.usages = [StepUsage(execution_id=held.execution_id, root_id=held.execution_id, node="a", attempt=1)]
    with pytest.raises(OperationalError), transaction.atomic():
        write([mine])
        raise OperationalError("the disk is full")  # at COMMIT
    ExecutionWait(execution=other, node="b", kind="time", pk=mine.opened[0].pk).save(force_insert=True)
    StepUsage(execution=other, root=other, node="b", attempt=1, pk=mine.usages[0].pk).save(force_insert=True)

    assert write([mine]) == [True]
    assert ExecutionWait.objects.filter(execution=held.execution_id, node="a").count() == 1
    assert StepUsage.objects.filter(execution=held.execution_id, node="a").count() == 1
