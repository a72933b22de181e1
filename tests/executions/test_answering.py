"""Approvals: who may answer, that one answer counts however many come, and what is said to all the others."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.db import connection, connections
from django.utils import timezone

from executions import answering
from executions.answering import AnswerRefused, answer, answerable_by, may_answer
from executions.answering import asking as asking_of
from executions.engine import WorkflowEngine
from executions.models import ExecutionWait
from executions.models.wait import NOBODY, audience_of
from executions.worker import Worker, current_worker
from tests.executions.conftest import (
    become_due,
    chain,
    drawn,
    entries,
    make,
    node,
    row,
    submit,
    told,
    until,
    until_told,
)
from tests.executions.questions import FIELDS, asking
from workflows.errors import InputError
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

ASKED = drawn(
    [node("ask", "approval", title="Pay it?"), node("pay"), node("no"), node("late")],
    "ask:approved>pay",
    "ask:rejected>no",
    "ask:expired>late",
)


def fresh(wait: ExecutionWait) -> Any:
    """The row as it is now; Any, since a test knows which of its columns are filled."""
    return answering.question(wait.execution_id, wait.node)


# Who


def test_names_become_an_audience(alice: User, bob: User, team: Group) -> None:
    assert audience_of(["alice"], ["team"]) == f",u{alice.pk},g{team.pk},"
    assert audience_of(["bob", "alice", "nobody"], []) == f",u{alice.pk},u{bob.pk},"
    assert audience_of([], []) == ""
    assert audience_of(["nobody"], ["no team"]) == NOBODY


def test_where_nobody_is_named_all_who_may_run_may_answer(
    workflow: Workflow, alice: User, bob: User, charlie: User, owner: User
) -> None:
    wait = asking(workflow)
    assert [may_answer(user, wait) for user in (alice, bob, charlie, owner)] == [True, True, False, True]
    assert not may_answer(AnonymousUser(), wait)


def test_only_who_is_named_may_answer_and_the_owner_always(
    workflow: Workflow, alice: User, bob: User, charlie: User, owner: User
) -> None:
    wait = asking(workflow, people=["charlie"])
    assert [may_answer(user, wait) for user in (alice, bob, charlie, owner)] == [True, False, True, True]


def test_a_number_that_begins_like_anothers_is_somebody_else(workflow: Workflow, charlie: User) -> None:
    wait = asking(workflow)
    wait.audience = f",u{charlie.pk}1,g{charlie.pk},"
    assert not may_answer(charlie, wait)


def test_who_was_taken_out_of_the_group_may_not_answer_any_more(workflow: Workflow, charlie: User) -> None:
    finance = Group.objects.create(name="finance")
    charlie.groups.add(finance)
    wait = asking(workflow, groups=["finance"])
    assert may_answer(charlie, wait)
    charlie.groups.remove(finance)
    assert not may_answer(charlie, wait)
    with pytest.raises(PermissionDenied, match="for finance to answer"):
        answer(wait, charlie, True)
    assert fresh(wait).answered_at is None


def test_who_is_switched_off_may_not_answer(workflow: Workflow, bob: User, owner: User) -> None:
    wait = asking(workflow, people=["bob", "owner"])
    for user in (bob, owner):
        user.is_active = False
        user.save()
        assert not may_answer(user, wait)


def test_where_no_name_is_known_those_who_administer_answer(workflow: Workflow, alice: User, bob: User) -> None:
    wait = asking(workflow, people=["nobody", "?"])
    assert [may_answer(user, wait) for user in (alice, bob)] == [True, False]
    assert asking_of(alice).exists()


def test_a_wait_for_a_time_is_nobodys_to_answer(workflow: Workflow, owner: User) -> None:
    wait = asking(workflow)
    wait.kind = "time"
    assert not may_answer(owner, wait)


@pytest.mark.parametrize("ask", [{}, {"people": ["bob"]}, {"groups": ["team"]}, {"groups": ["none"]}], ids=str)
def test_the_list_has_exactly_what_one_may_answer(
    workflow: Workflow, alice: User, bob: User, charlie: User, owner: User, ask: Any
) -> None:
    others = Workflow.objects.create(name="An example")
    others.publish(workflow.definition)
    waits = [asking(workflow, **ask), asking(others, **ask)]
    for user in (alice, bob, charlie, owner):
        assert {wait.pk for wait in waits if may_answer(user, wait)} == {wait.pk for wait in answerable_by(user)}, user


def test_what_is_due_first_comes_first_and_what_is_over_does_not_come(workflow: Workflow, alice: User) -> None:
    never, late, soon = (asking(workflow, due_s=seconds) for seconds in (None, 900, 90))
    over, closed, cancelled, lapsed = asking(workflow, due_s=-1), asking(workflow), asking(workflow), asking(workflow)
    ExecutionWait.objects.filter(pk=closed.pk).update(closed_at=timezone.now())
    ExecutionWait.objects.filter(pk=lapsed.pk).update(lapsed_at=timezone.now())
    cancelled.execution.request_cancel()
    assert [wait.pk for wait in answerable_by(alice)] == [soon.pk, late.pk, never.pk]
    assert over.pk not in {wait.pk for wait in answerable_by(alice)}


def test_a_question_is_asked_of_who_is_named_and_only_open_to_its_owner(
    workflow: Workflow, alice: User, bob: User, owner: User
) -> None:
    asking(workflow, people=["bob"])
    counted = {user.username: asking_of(user).count() for user in (alice, bob, owner)}
    assert counted == {"alice": 0, "bob": 1, "owner": 0}


def test_the_count_uses_the_index_of_open_questions(workflow: Workflow, bob: User) -> None:
    plan = asking_of(bob).order_by()[:100].explain()
    if connection.vendor == "sqlite":
        assert "wait_for_approval" in plan


# When


def test_the_second_is_told_who_was_first(workflow: Workflow, alice: User, bob: User) -> None:
    wait = asking(workflow)
    answer(wait, bob, False, comment="Too dear")
    with pytest.raises(AnswerRefused, match=r"bob rejected this on .* UTC\. That was first") as refused:
        answer(wait, alice, True)
    assert refused.value.code == "answer.taken"
    with pytest.raises(AnswerRefused, match="bob rejected"):
        answer(wait, bob, False)
    assert fresh(wait).answer == {"approved": False, "by": "bob", "values": {}, "comment": "Too dear"}


def test_an_answer_after_the_time_is_refused_and_says_when_it_was_over(workflow: Workflow, bob: User) -> None:
    wait = asking(workflow, due_s=-1)
    with pytest.raises(AnswerRefused, match=r"time to answer was over on .* UTC") as refused:
        answer(wait, bob, True)
    assert refused.value.code == "answer.expired" and fresh(wait).answered_at is None


def test_once_the_engine_took_the_time_for_over_no_answer_counts(workflow: Workflow, bob: User) -> None:
    """Though the clock here is behind the engine's."""
    wait = asking(workflow)
    ExecutionWait.objects.filter(pk=wait.pk).update(lapsed_at=timezone.now())
    assert not fresh(wait).answer_once({"approved": True}, bob)
    with pytest.raises(AnswerRefused) as refused:
        answer(wait, bob, True)
    assert refused.value.code == "answer.expired"


def test_an_answer_to_what_is_being_cancelled_is_refused(workflow: Workflow, bob: User) -> None:
    wait = asking(workflow)
    wait.execution.request_cancel(bob)
    assert not fresh(wait).answer_once({"approved": True}, bob)
    with pytest.raises(AnswerRefused, match="is being cancelled") as refused:
        answer(wait, bob, True)
    assert refused.value.code == "answer.closed"


def test_an_answer_to_what_was_cancelled_is_refused(workflow: Workflow, bob: User) -> None:
    wait = asking(workflow)
    assert WorkflowEngine().cancel(wait.execution_id, by=bob)
    with pytest.raises(AnswerRefused, match="has ended: cancelled"):
        answer(wait, bob, True)
    assert ExecutionWait.objects.get().answered_at is None


def test_an_answer_that_was_decided_on_before_the_cancel_is_refused_too(
    workflow: Workflow, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled in between: after the look, before the write."""
    wait, real = asking(workflow), WorkflowEngine.answer_wait

    def cancelled_first(self: Any, *given: Any, **how: Any) -> bool:
        assert WorkflowEngine().cancel(wait.execution_id)
        return real(self, *given, **how)

    monkeypatch.setattr(WorkflowEngine, "answer_wait", cancelled_first)
    with pytest.raises(AnswerRefused, match="has ended: cancelled"):
        answer(wait, bob, True)


def test_a_wait_that_does_not_exist_takes_no_answer() -> None:
    for number in (0, -1, 10**30, "7", None):
        assert WorkflowEngine().answer_wait(number, {}) is False  # type: ignore[arg-type]
    assert answering.question(10**30, "a") is None


# What


def test_what_was_filled_in_is_kept(workflow: Workflow, bob: User) -> None:
    wait = asking(workflow, fields=FIELDS)
    answer(wait, bob, True, {"amount": 12.5, "why": "a"}, "  fine  ")
    found = fresh(wait)
    assert found.answer == {"approved": True, "by": "bob", "values": {"amount": 12.5, "why": "a"}, "comment": "fine"}
    assert found.answered_by == bob


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "values.amount"),
        ({"amount": "12"}, "values.amount"),
        ({"amount": True}, "values.amount"),
        ({"amount": float("nan")}, "values"),
        ({"amount": 1, "why": "c"}, "values.why"),
        ({"amount": 1, "more": 1}, "values.more"),
        ({"amount": 1, "why": "a" * 300_000}, "values"),
        ({"amount": 1, "why": "half \ud800"}, "values"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_question_stays_open(
    workflow: Workflow, bob: User, values: Any, field: str
) -> None:
    wait = asking(workflow, fields=FIELDS)
    with pytest.raises(InputError) as refused:
        answer(wait, bob, True, values)
    assert refused.value.field.startswith(field)
    assert fresh(wait).answered_at is None
    answer(wait, bob, True, {"amount": 1})


def test_who_rejects_need_not_fill_in_what_is_required_but_nothing_wrong_either(workflow: Workflow, bob: User) -> None:
    wait = asking(workflow, fields=FIELDS)
    with pytest.raises(InputError, match="Amount"):
        answer(wait, bob, False, {"amount": "none"})
    answer(wait, bob, False)
    assert fresh(wait).answer["values"] == {}


def test_a_comment_has_an_end(workflow: Workflow, bob: User) -> None:
    wait = asking(workflow)
    with pytest.raises(InputError, match="at most 2,000 characters; it has 2,001"):
        answer(wait, bob, True, comment="x" * 2_001)
    with pytest.raises(InputError):
        answer(wait, bob, True, comment="a\x00b")
    answer(wait, bob, True, comment="x" * 2_000)


# Many at once


def test_of_a_hundred_who_click_at_once_one_is_heard_and_the_others_are_told_who(
    workflow: Workflow, team: Group
) -> None:
    wait = asking(workflow)
    people = [User(username=f"person{number}", password="!") for number in range(100)]
    User.objects.bulk_create(people)
    people = list(User.objects.filter(username__startswith="person"))
    team.user_set.add(*people)
    ready = Barrier(20)

    def click(person: User) -> str:
        try:
            question = fresh(wait)
            connections.close_all()  # or those who wait here would hold the pool's last connection
            ready.wait(30)
            answer(question, person, True, comment=person.username)
            return "heard"
        except AnswerRefused as refusal:
            return refusal.message
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as crowd:  # twenty at a time, five times over
        said = list(crowd.map(click, people))
    first = fresh(wait).answered_by
    assert first is not None
    assert said.count("heard") == 1 and said[people.index(first)] == "heard"
    assert all(text.startswith(f"{first.username} approved this on") for text in said if text != "heard")
    assert fresh(wait).answer["comment"] == first.username


# The whole way


async def test_an_approved_question_goes_on_by_its_branch(engine_room: Worker) -> None:
    number = await submit(ASKED)
    await until(number, "waiting")
    wait = await ExecutionWait.objects.aget(execution=number)
    assert (wait.kind, wait.audience, wait.due_at) == ("approval", "", None)
    assert wait.asks and wait.asks["title"] == "Pay it?"
    boss = await sync_to_async(User.objects.create_superuser)("boss")
    await sync_to_async(answer)(await question_of(number), boss, True, None, "Do it")
    assert (await until(number, "completed")).output_data["pay"] == 1
    assert {"completed pay", "skipped no", "skipped late"} <= set(await told(number))
    answered = next(entry for entry in await entries(number) if entry.kind == "answered")
    assert answered.data["by"] == "boss" and answered.data["kind"] == "approval"


async def question_of(number: int) -> Any:
    return await sync_to_async(answering.question)(number, "ask")


async def test_a_rejected_question_goes_on_by_its_branch(engine_room: Worker) -> None:
    number = await submit(ASKED)
    await until(number, "waiting")
    boss = await sync_to_async(User.objects.create_superuser)("boss")
    await sync_to_async(answer)(await question_of(number), boss, False, None, "No")
    output = (await until(number, "completed")).output_data
    assert output["no"] == 1 and "pay" not in output
    assert output["approval"] == {"decision": "rejected", "by": "boss", "comment": "No", "values": {}}


async def test_a_question_that_nobody_answers_expires(engine_room: Worker) -> None:
    definition = chain(node("ask", "approval", due=30, due_unit="days"))
    definition["nodes"].append(node("late"))
    definition["edges"].append({"source": "ask", "target": "late", "sourceHandle": "expired"})
    number = await submit(definition)
    found = await until(number, "waiting")
    assert timedelta(days=29) < found.due_at - timezone.now() <= timedelta(days=30)
    await become_due(number)
    output = (await until(number, "completed")).output_data
    assert output["approval"]["decision"] == "expired" and output["late"] == 1
    boss = await sync_to_async(User.objects.create_superuser)("boss")
    with pytest.raises(AnswerRefused, match="time to answer was over"):
        await sync_to_async(answer)(await question_of(number), boss, True)


async def test_of_an_answer_and_the_end_of_its_time_exactly_one_counts(engine_room: Worker) -> None:
    """Whoever is first: the journal, the row and what the person was told agree."""
    boss = await sync_to_async(User.objects.create_superuser)("boss")
    decisions = set()
    for tries in range(8):
        number = await submit(chain(node("ask", "approval", due=0.05 + 0.01 * tries, due_unit="seconds")))
        await until_told(number, "waited ask")
        await asyncio.sleep(0.02 + 0.01 * tries)
        try:
            await sync_to_async(answer)(await question_of(number), boss, True)
            was_heard = True
        except AnswerRefused as refusal:
            assert refusal.code == "answer.expired"
            was_heard = False
        current_worker().wake()
        decision = (await until(number, "completed")).output_data["approval"]["decision"]
        assert decision == ("approved" if was_heard else "expired")
        assert (await told(number)).count("answered ask") == 1
        decisions.add(decision)
    assert decisions <= {"approved", "expired"}


async def test_an_answer_while_it_is_paused_is_kept_for_later(engine_room: Worker) -> None:
    number = await submit(ASKED)
    await until(number, "waiting")
    assert await sync_to_async(WorkflowEngine().pause)(number)
    boss = await sync_to_async(User.objects.create_superuser)("boss")
    await sync_to_async(answer)(await question_of(number), boss, True)
    await asyncio.sleep(0.3)
    assert (await row(number)).completed_at is None
    assert await sync_to_async(WorkflowEngine().resume)(number)
    await until(number, "completed")


async def test_thirty_days_outlast_any_number_of_workers(closed_engine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker that opened the wait is gone; a month later, by the clock, another one goes on."""
    number = await submit(chain(node("wait", "delay", seconds=30 * 86_400), node("a")))
    first = current_worker()
    await first.start()
    await until(number, "waiting")
    await first.stop(0)
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(days=29))
    second = current_worker()
    assert second is not first
    await second.start()
    await asyncio.sleep(0.3)
    assert (await row(number)).status == "waiting"
    await second.stop(0)
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(days=30, seconds=5))
    await current_worker().start()
    assert (await until(number, "completed")).output_data == {"a": 1}


async def test_a_named_person_is_asked_and_the_journal_says_whom(engine_room: Worker) -> None:
    await sync_to_async(User.objects.create_user)("dora")
    workflow = await make(chain(node("ask", "approval", people=["dora"], groups=["none"])))
    number = await WorkflowEngine().submit_workflow(workflow.pk)
    await until(number, "waiting")
    dora = await User.objects.aget(username="dora")
    assert (await ExecutionWait.objects.aget()).audience == f",u{dora.pk},"
    waited = next(entry for entry in await entries(number) if entry.kind == "waited")
    assert (waited.data["people"], waited.data["groups"]) == (["dora"], ["none"])
