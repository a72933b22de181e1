"""Who has a list open sees its rows change and hears of new ones; who may not see them gets nothing."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from executions import board, consumers, live
from executions.board import current_board
from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.worker import current_worker
from tests.conftest import CHAIN
from tests.live.viewer import Viewer
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/ws/lists/"


class Reader(Viewer):
    """An open list."""

    async def says(self, *execution_ids: int, asked: str | None = "?", bottom: int | None = 0, **more: Any) -> None:
        """The hello of a page that shows these rows, as they were before anything happened."""
        rows = {str(pk): "" for pk in execution_ids}
        await self.say(json.dumps({"execution": rows, "workflow": {}, "asked": asked, "bottom": bottom} | more))


@pytest.fixture
async def read(closed_loop: None) -> AsyncIterator[Any]:
    """Opens the door of the lists: `await read(alice)`. All leave at the end."""
    readers: list[Reader] = []

    async def opened(user: User | None, **how: Any) -> Reader:
        readers.append(await Reader.of(user, 1, **how))
        readers[-1].socket.scope["path"] = PATH
        await readers[-1].open()
        return readers[-1]

    yield opened
    for reader in readers:
        await reader.leave()


def row(execution_id: int, word: str) -> Any:
    """A frame with this row in this state."""
    target = f'hx-target="#execution-{execution_id}-row"'
    return lambda frame: target in frame and f"</svg>{word}<" in frame


def says_new(number: int, word: str = "executions") -> Any:
    return lambda frame: f">{number} new {word}<" in frame


async def becomes(execution_id: int, status: str, *, rung: bool = True) -> None:
    ended = timezone.now() if status in ("completed", "failed", "cancelled") else None
    change = {"status": status, "started_at": timezone.now(), "completed_at": ended, "error_message": "no <such> code"}
    await WorkflowExecution.objects.filter(pk=execution_id).aupdate(**change)
    if rung:
        await live.ring(live.VIEWERS, {"type": "journal.grew", "executions": [execution_id]})


async def another(workflow: Workflow, by: User) -> int:
    return await WorkflowEngine().submit_workflow(workflow.pk, {}, by=by)


# Rows


async def test_a_row_changes_when_its_execution_does(read: Any, alice: User, execution_id: int) -> None:
    reader = await read(alice)
    await reader.says(execution_id)
    await reader.until(row(execution_id, "Pending"))
    for status, word in (("running", "Running"), ("failed", "Failed")):
        await becomes(execution_id, status)
        frame = await reader.until(row(execution_id, word))
    assert "no &lt;such&gt; code" in frame


async def test_a_row_that_the_page_shows_already_is_not_sent_again(
    read: Any, alice: User, as_alice: Client, execution_id: int
) -> None:
    text = (await sync_to_async(as_alice.get)("/executions/")).text
    mark = re.search(r'data-mark="(\w+)"', text)
    assert mark
    reader = await read(alice)
    await reader.says(execution={str(execution_id): mark[1]}, asked=None)
    assert await reader.hears_nothing()
    await becomes(execution_id, "running")
    await reader.until(row(execution_id, "Running"))


async def test_what_the_socket_sends_is_what_the_page_shows(
    read: Any, alice: User, as_alice: Client, execution_id: int
) -> None:
    await becomes(execution_id, "completed")
    reader = await read(alice)
    await reader.says(execution_id)
    await reader.until(lambda frame: 'hx-target="#tabs"' in frame)
    text = (await sync_to_async(as_alice.get)("/executions/")).text
    pieces = re.findall(r"<hx-partial[^>]*>(.*?)</hx-partial>", "".join(reader.frames), re.DOTALL)
    assert len(pieces) == 3  # the row, the tabs, the empty bar
    assert all(piece.strip() in text for piece in pieces)


async def test_nothing_is_sent_before_the_hello(read: Any, alice: User, execution_id: int) -> None:
    reader = await read(alice)
    await becomes(execution_id, "running")
    assert await reader.hears_nothing()


async def test_lost_bells_cost_nothing_but_a_moment(
    read: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(board, "MARGIN_S", 0.05)
    reader = await read(alice)
    await reader.says(execution_id)
    await reader.until(row(execution_id, "Pending"))
    await becomes(execution_id, "completed", rung=False)
    await reader.until(row(execution_id, "Completed"))


async def test_two_readers_get_the_same_bytes_and_nothing_of_who_they_are(
    read: Any, alice: User, bob: User, execution_id: int
) -> None:
    readers = [await read(alice), await read(bob)]
    for reader in readers:
        await reader.says(execution_id, asked=None)
        await reader.until(row(execution_id, "Pending"))
    await becomes(execution_id, "running")
    one, two = [await reader.until(row(execution_id, "Running")) for reader in readers]
    assert one == two
    assert "csrf" not in one and "bob" not in one


async def test_a_workflows_row_on_home_follows_its_executions(
    read: Any, alice: User, workflow: Workflow, execution_id: int
) -> None:
    reader = await read(alice)
    await reader.says(asked=None, workflow={str(workflow.pk): ""})
    cell = f'hx-target="#workflow-{workflow.pk}-last"'
    await reader.until(lambda frame: cell in frame and "Pending" in frame)
    await becomes(execution_id, "failed")
    await reader.until(lambda frame: cell in frame and "Failed" in frame)
    await becomes(await another(workflow, alice), "running")
    frame = await reader.until(lambda frame: cell in frame and "Running" in frame)
    assert "1 failed, 1 running" in frame


async def test_an_execution_that_runs_is_followed_to_its_end(read: Any, alice: User, execution_id: int) -> None:
    reader = await read(alice)
    await reader.says(execution_id)
    await current_worker().start()
    await reader.until(row(execution_id, "Completed"))


# What is new


async def test_new_executions_are_counted_and_move_no_row(
    read: Any, alice: User, workflow: Workflow, execution_id: int
) -> None:
    reader = await read(alice)
    await reader.says(execution_id)
    await reader.until(row(execution_id, "Pending"))
    for number in (1, 2):
        new = await another(workflow, alice)
        await live.ring(live.VIEWERS, {"type": "journal.grew", "executions": [new]})
        frame = await reader.until(says_new(number, "executions" if number > 1 else "execution"))
    assert f"execution-{new}-row" not in "".join(reader.frames)
    assert 'href="?"' in frame
    assert ">3</span>" in frame  # the tab counts it too


async def test_only_what_was_asked_for_counts_as_new(
    read: Any, alice: User, workflow: Workflow, execution_id: int
) -> None:
    reader = await read(alice)
    await reader.says(asked=f"?status=failed&workflow={workflow.pk}")
    await becomes(await another(workflow, alice), "running")
    await becomes(execution_id, "failed")  # it is older than the other, and new on this page
    frame = await reader.until(says_new(1, "execution"))
    assert f'href="?status=failed&amp;workflow={workflow.pk}"' in frame


async def test_a_later_page_hears_of_nothing_new(read: Any, alice: User, workflow: Workflow, execution_id: int) -> None:
    reader = await read(alice)
    await reader.says(execution_id, bottom=None)
    await reader.until(row(execution_id, "Pending"))
    await becomes(await another(workflow, alice), "running")
    await becomes(execution_id, "running")
    await reader.until(row(execution_id, "Running"))
    assert "new execution" not in "".join(reader.frames)


async def test_very_many_new_ones_are_not_counted_out(
    read: Any, alice: User, workflow: Workflow, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "MOST_NEW", 2)
    reader = await read(alice)
    await reader.says(execution_id)
    for _ in range(4):
        await becomes(await another(workflow, alice), "running")
    await reader.until(lambda frame: ">2+ new executions<" in frame)


# Who may


async def test_nobody_hears_of_what_they_may_not_see(
    read: Any, alice: User, charlie: User, workflow: Workflow, execution_id: int
) -> None:
    stranger, reader = await read(charlie), await read(alice)
    await stranger.says(execution_id, workflow={str(workflow.pk): ""})
    await reader.says(execution_id)
    for status in ("running", "failed"):
        await becomes(execution_id, status)
        await reader.until(row(execution_id, status.capitalize()))
    await stranger.hears_nothing()
    told = "".join(stranger.frames)
    assert "hx-partial" in told or not told
    assert f"#{execution_id}" not in told and "Chain" not in told and "new execution" not in told


async def test_who_is_not_signed_in_or_comes_from_elsewhere_is_refused(read: Any, alice: User) -> None:
    assert (await read(None)).is_accepted
    nobody = await read(None)
    assert await nobody.closed_with() == consumers.SIGNED_OUT
    assert not (await read(alice, origin="https://evil.example")).is_accepted


async def test_who_signs_out_or_leaves_the_team_hears_no_more(
    read: Any, alice: User, bob: User, team: Group, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_S", 0.1)
    leaver, out = await read(bob), await read(alice)
    for reader in (leaver, out):
        await reader.says(execution_id)
        await reader.until(row(execution_id, "Pending"))
    await bob.groups.aremove(team)
    await Session.objects.exclude(pk=leaver.session).adelete()
    assert await out.closed_with() == consumers.SIGNED_OUT
    await becomes(execution_id, "running")
    assert not any(row(execution_id, "Running")(frame) for frame in await leaver.rest())


NONSENSE = [
    "",
    "no json",
    "[]",
    "{}",
    '{"after": 1}',
    '{"execution": [], "workflow": {}}',
    '{"execution": {"x": "a"}, "workflow": {}}',
    '{"execution": {"1": 2}, "workflow": {}}',
    '{"execution": {"-1": "a"}, "workflow": {}}',
    '{"execution": {}, "workflow": {}, "asked": 7}',
    '{"execution": {}, "workflow": {}, "asked": "?", "bottom": -1}',
    '{"execution": {}, "workflow": {}, "asked": "?", "bottom": 1e400}',
    json.dumps({"execution": {str(number): "" for number in range(101)}, "workflow": {}}),
    "[" * 10_000,
]


@pytest.mark.parametrize("hello", NONSENSE, ids=lambda text: text[:40])
async def test_what_no_page_of_ours_says_closes_the_door(hello: str, read: Any, alice: User) -> None:
    reader = await read(alice)
    await reader.say(hello)
    assert await reader.closed_with() == consumers.NONSENSE


async def test_a_question_of_any_shape_and_numbers_of_nothing_do_no_harm(
    read: Any, alice: User, execution_id: int
) -> None:
    reader = await read(alice)
    await reader.says(
        execution_id, 10**17, asked="?status=%00&q=%ff'\"&before=x&when=between&since=0001-01-01", bottom=2**62
    )
    await reader.until(row(execution_id, "Pending"))
    endless = await read(alice)
    await endless.says(execution_id, asked="?" + "&" * 3_000 + "\ud800")
    await endless.until(row(execution_id, "Pending"))
    await reader.says(execution_id)  # a second hello changes nothing
    await becomes(execution_id, "running")
    await reader.until(row(execution_id, "Running"))


# The house in order


async def test_one_board_reads_for_all_and_keeps_nothing_behind_the_last(
    read: Any, alice: User, execution_id: int
) -> None:
    readers = [await read(alice) for _ in range(3)]
    for reader in readers:
        await reader.says(execution_id)
        await reader.until(row(execution_id, "Pending"))
    here = current_board()
    assert len(here._pages) == 3 and list(here._faces) == [("execution", execution_id)]
    for reader in readers:
        await reader.leave()
    assert not here._pages and not here._faces and not here._tasks


async def test_a_database_that_is_away_for_a_moment_costs_a_moment(
    read: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(board, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(board, "MARGIN_S", 0.05)
    reader = await read(alice)
    await reader.says(execution_id)
    await reader.until(row(execution_id, "Pending"))
    failures = iter([OperationalError("away")])
    true = board.row_faces

    def away(ids: list[int]) -> Any:
        for failure in failures:
            raise failure
        return true(ids)

    monkeypatch.setattr(board, "row_faces", away)
    await becomes(execution_id, "running")
    await reader.until(row(execution_id, "Running"))
    assert "The lists could not be read" in caplog.text
    caplog.clear()  # it was said aloud, as it should be


async def test_a_deleted_execution_leaves_its_row_as_it_was(read: Any, alice: User, execution_id: int) -> None:
    reader = await read(alice)
    await reader.says(execution_id, asked=None)
    await reader.until(row(execution_id, "Pending"))
    await WorkflowExecution.objects.filter(pk=execution_id).adelete()
    await live.ring(live.VIEWERS, {"type": "journal.grew", "executions": [execution_id]})
    assert await reader.hears_nothing()


async def test_another_workflow_of_hers_is_seen_once_it_is_hers(
    read: Any, alice: User, charlie: User, monkeypatch: pytest.MonkeyPatch, execution_id: int
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_S", 0.1)
    other = await Workflow.objects.acreate(name="Other", owner=charlie)
    await sync_to_async(other.publish)(CHAIN)
    reader = await read(alice)
    await reader.says(execution_id)
    await becomes(await another(other, charlie), "running")
    await Workflow.objects.filter(pk=other.pk).aupdate(owner=alice)
    await reader.until(says_new(1, "execution"))
