"""Who watches sees each entry once and in order, whatever happens to bells; who may not watch sees nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError

from executions import consumers, hub
from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.worker import current_worker
from tests.live.viewer import Viewer, grow, last_of, numbers
from workflows.models import Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = '<script>alert(1)</script><img src=x onerror=alert(2)></hx-partial><hx-partial hx-target="body">\''


# Each entry once, in order


async def test_a_viewer_gets_only_what_came_after_the_last_number_it_shows(
    watch: Any, alice: User, execution_id: int
) -> None:
    last = await grow(execution_id, 20)
    viewer = await watch(alice)
    await viewer.hello(15)
    assert await viewer.sees(last) == list(range(16, last + 1))


async def test_nothing_is_sent_before_the_hello(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await watch(alice)
    await grow(execution_id, 3)
    assert await viewer.hears_nothing()


async def test_the_first_frame_brings_every_piece_of_the_page(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await watch(alice)
    await viewer.hello(1)
    frame = await viewer.frame()
    for part in ("status", "progress", "failure", "result", "node-work", "step-work"):
        assert f'hx-target="#execution-{execution_id}-{part}"' in frame
    assert viewer.seen == []


async def test_new_entries_arrive_while_one_watches(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    for _ in range(5):
        last = await grow(execution_id, 2)
        await viewer.sees(last)
    assert viewer.seen == list(range(1, last + 1))


async def test_lost_bells_cost_nothing_but_a_moment(
    watch: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT_S", 0.1)
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    for _ in range(3):
        last = await grow(execution_id, 3, rung=0)
        await viewer.sees(last)
    assert viewer.seen == list(range(1, last + 1))


async def test_bells_that_ring_twice_repeat_nothing(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    for _ in range(3):
        last = await grow(execution_id, 2, rung=7)
        await viewer.sees(last)
    assert await viewer.hears_nothing()
    assert viewer.seen == list(range(1, last + 1))


async def test_an_entry_that_is_written_while_the_window_opens_is_not_lost(
    watch: Any, alice: User, execution_id: int
) -> None:
    viewer = await watch(alice)
    await asyncio.gather(viewer.hello(), grow(execution_id, 1))
    last = await grow(execution_id, 5)
    assert await viewer.sees(last) == list(range(1, last + 1))


async def test_a_long_absence_is_made_up_for_in_portions(watch: Any, alice: User, execution_id: int) -> None:
    last = await grow(execution_id, 2 * hub.AT_ONCE + 100)
    viewer = await watch(alice)
    await viewer.hello()
    assert await viewer.sees(last) == list(range(1, last + 1))
    assert max(len(numbers(frame)) for frame in viewer.frames) == hub.AT_ONCE


async def test_a_flood_arrives_whole_while_one_watches(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    last = await grow(execution_id, hub.KEPT + 700)
    assert await viewer.sees(last) == list(range(1, last + 1))


async def test_a_viewer_that_lags_gets_from_the_rows_what_memory_has_dropped(
    watch: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await watch(alice)
    await first.hello()
    await first.sees(1)
    last = await grow(execution_id, hub.KEPT + 50)
    await first.sees(last)
    late = await watch(alice)
    await late.hello(3)
    assert await late.sees(last) == list(range(4, last + 1))


async def test_two_viewers_get_the_same_bytes(watch: Any, alice: User, bob: User, execution_id: int) -> None:
    one, two = await watch(alice), await watch(bob)
    for viewer in (one, two):
        await viewer.hello()
        await viewer.sees(1)
        assert await viewer.hears_nothing()
    for _ in range(4):
        last = await grow(execution_id, 3)
        await asyncio.gather(one.sees(last), two.sees(last))
    assert one.frames == two.frames
    assert "csrf" not in "".join(one.frames)
    assert "alice" not in "".join(one.frames[1:])


async def test_a_second_hello_changes_nothing(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    for after in (0, 7, 1_000_000):
        await viewer.hello(after)
    last = await grow(execution_id, 4)
    assert await viewer.sees(last) == list(range(1, last + 1))
    assert await viewer.hears_nothing()


async def test_a_number_from_the_future_brings_no_entries_and_no_harm(
    watch: Any, alice: User, execution_id: int
) -> None:
    viewer = await watch(alice)
    await viewer.hello(2**31 - 1)
    assert "data-state" in await viewer.frame()
    await grow(execution_id, 3)
    assert await viewer.hears_nothing()
    assert viewer.seen == []


async def test_a_running_execution_streams_to_its_end(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    await current_worker().start()
    end = await viewer.until(lambda frame: "data-final" in frame)
    row = await WorkflowExecution.objects.aget(pk=execution_id)
    assert (row.status, 'data-state="completed"' in end) == ("completed", True)
    last = await last_of(execution_id)
    assert await viewer.sees(last) == list(range(1, last + 1))


async def test_one_window_serves_all_and_closes_behind_the_last(watch: Any, alice: User, execution_id: int) -> None:
    viewers = [await watch(alice) for _ in range(3)]
    for viewer in viewers:
        await viewer.hello()
        await viewer.sees(1)
    here = hub.current_hub()
    assert [len(window.viewers) for window in here._windows.values()] == [3]
    for viewer in viewers:
        await viewer.leave()
    assert not here._windows
    assert not here._tasks


async def test_a_database_that_is_away_for_a_moment_costs_a_moment(
    watch: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT_S", 0.1)
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    failing_once(monkeypatch, hub.Window, "_read_on")
    last = await grow(execution_id, 2)
    assert await viewer.sees(last) == [1, 2, 3]
    assert await viewer.hears_nothing()
    caplog.clear()  # it was said aloud, as it should be


async def test_a_first_read_that_fails_is_made_again_and_not_half(
    watch: Any, alice: User, workflow: Workflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a window that begins badly would show a long execution from its beginning, though it ended long ago."""
    done = await WorkflowEngine().execute_workflow(workflow.pk, {}, by=alice)
    monkeypatch.setattr(hub, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(hub, "AT_ONCE", 3)
    failing_once(monkeypatch, hub, "fold")
    viewer = await watch(alice, done.execution_id)
    await viewer.hello()
    frame = await viewer.frame()
    caplog.clear()
    assert 'data-state="completed"' in frame


async def test_a_version_that_cannot_be_read_any_more_can_still_be_watched(
    watch: Any, alice: User, execution_id: int
) -> None:
    """Its page shows the log and no graph; that is no error of ours that anybody would have to look at."""
    await WorkflowVersion.objects.all().aupdate(definition={"nodes": [{"id": "in"}, {"id": "in"}], "edges": 7})
    viewer = await watch(alice)
    await viewer.hello()
    assert await viewer.sees(1) == [1]


async def test_a_viewer_that_fails_is_let_go_so_that_its_page_comes_back(
    watch: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the socket stays open and its page says "Live" for ever, while nothing comes any more."""
    last = await grow(execution_id, 3)
    failing_once(monkeypatch, hub.Window, "earlier")
    viewer = await watch(alice)
    await viewer.hello()
    assert not 4400 <= await viewer.closed_with() < 4500
    caplog.clear()  # it was said aloud, as it should be
    again = await watch(alice)
    await again.hello()
    assert await again.sees(last) == list(range(1, last + 1))


def failing_once(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> None:
    real, answers = getattr(where, name), iter([OperationalError("the database is away"), None])

    def function(*args: Any) -> Any:
        if error := next(answers, None):
            raise error from sqlite3.OperationalError("disk I/O error")
        return real(*args)

    monkeypatch.setattr(where, name, function)


# Who may not


async def test_nobody_who_is_not_signed_in_sees_anything(watch: Any, execution_id: int) -> None:
    viewer = await watch(None)
    assert await viewer.closed_with() == consumers.SIGNED_OUT
    assert viewer.frames == []


async def test_a_stranger_sees_nothing(watch: Any, charlie: User, execution_id: int) -> None:
    viewer = await watch(charlie)
    assert await viewer.closed_with() == consumers.NO_RIGHT
    assert viewer.frames == []


async def test_a_stranger_who_says_hello_at_once_sees_nothing(watch: Any, charlie: User, execution_id: int) -> None:
    viewer = await watch(charlie)
    await viewer.hello()
    await grow(execution_id, 3)
    assert await viewer.closed_with() == consumers.NO_RIGHT
    assert viewer.frames == []
    assert await viewer.hears_nothing()


async def test_a_member_of_the_team_may_watch(watch: Any, bob: User, execution_id: int) -> None:
    viewer = await watch(bob)
    await viewer.hello()
    assert await viewer.sees(1) == [1]


@pytest.mark.parametrize("number", [0, 987_654, 2**63, 10**40])
async def test_an_unknown_execution_is_unknown_to_everybody(watch: Any, alice: User, number: int) -> None:
    viewer = await watch(alice, number)
    assert await viewer.closed_with() == consumers.UNKNOWN
    assert viewer.frames == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://"])
async def test_another_sites_page_is_not_let_in(alice: User, execution_id: int, origin: str) -> None:
    viewer = await Viewer.of(alice, execution_id, origin=origin)
    await viewer.open()
    assert not viewer.is_accepted
    await viewer.leave()


@pytest.mark.parametrize("cookie", ["", "nonsense", "stepstream_session=forged", "stepstream_session=" + "x" * 5000])
async def test_a_forged_session_lets_nobody_in(execution_id: int, cookie: str) -> None:
    viewer = Viewer(execution_id, cookie)
    await viewer.open()
    assert await viewer.closed_with() == consumers.SIGNED_OUT
    await viewer.leave()


async def test_an_inactive_user_is_not_let_in(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await Viewer.of(alice, execution_id)
    await User.objects.filter(pk=alice.pk).aupdate(is_active=False)
    await viewer.open()
    assert await viewer.closed_with() == consumers.SIGNED_OUT
    await viewer.leave()


@pytest.fixture
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "RECHECK_S", 0.05)


async def test_who_signs_out_is_let_out(watch: Any, alice: User, execution_id: int, asked_often: None) -> None:
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    await Session.objects.all().adelete()
    assert await viewer.closed_with() == consumers.SIGNED_OUT
    await grow(execution_id, 2)
    assert await viewer.hears_nothing()


async def test_signing_out_between_opening_and_hello_lets_nothing_out(
    watch: Any, alice: User, execution_id: int
) -> None:
    viewer = await watch(alice)
    await Session.objects.all().adelete()
    await viewer.hello()
    await grow(execution_id, 2)
    assert await viewer.hears_nothing()


async def test_a_changed_password_signs_a_viewer_out(
    watch: Any, alice: User, execution_id: int, asked_often: None
) -> None:
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    alice.set_password("another password")
    await alice.asave()
    assert await viewer.closed_with() == consumers.SIGNED_OUT


async def test_who_leaves_the_team_is_let_out(watch: Any, bob: User, execution_id: int, asked_often: None) -> None:
    viewer = await watch(bob)
    await viewer.hello()
    await viewer.sees(1)
    await bob.groups.aclear()
    assert await viewer.closed_with() == consumers.NO_RIGHT
    await grow(execution_id, 2)
    assert await viewer.hears_nothing()


async def test_who_may_stay_stays(watch: Any, bob: User, execution_id: int, asked_often: None) -> None:
    viewer = await watch(bob)
    await viewer.hello()
    await viewer.sees(1)
    for _ in range(4):
        await asyncio.sleep(0.1)  # several times asked
        last = await grow(execution_id, 1)
        await viewer.sees(last)
    assert viewer.seen == list(range(1, last + 1))


async def test_a_deleted_execution_closes_its_viewers(
    watch: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT_S", 0.1)
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    execution = await WorkflowExecution.objects.aget(pk=execution_id)
    await execution.adelete()
    assert await viewer.closed_with() == consumers.UNKNOWN


# What pages should not say

NONSENSE = {
    "a word": "hello",
    "nothing": "",
    "a number": "5",
    "a text": '"after"',
    "a list": '["after"]',
    "null": "null",
    "no number": "{}",
    "a number in words": '{"after": "5"}',
    "a negative number": '{"after": -1}',
    "a huge number": '{"after": 2147483648}',
    "a number of five thousand digits": '{"after": ' + "9" * 5000 + "}",
    "a fraction": '{"after": 1.5}',
    "a float": '{"after": 1.0}',
    "an exponent": '{"after": 1e2}',
    "not a number": '{"after": NaN}',
    "infinity": '{"after": Infinity}',
    "yes": '{"after": true}',
    "null inside": '{"after": null}',
    "an object inside": '{"after": {"after": 1}}',
    "deep lists": "[" * 20_000,
    "deep objects": '{"after":' * 20_000,
    "a deep number": '{"after":' + "[" * 20_000 + "]" * 20_000 + "}",
    "seventy kilobytes": "a" * 70_000,
    "a lone surrogate": '{"after": "\\ud800"}',
    "NUL": "\0",
    "htmx": '{"headers": {"HX-Request": "true"}, "body": {"after": 3}}',
    "bytes": b'{"after": 1}',
    "bytes that are no text": b"\xff\xfe\x00",
    "no bytes": b"",
}


@pytest.mark.parametrize("what", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_closes_the_socket_and_nothing_else(
    watch: Any, alice: User, execution_id: int, what: str | bytes
) -> None:
    viewer = await watch(alice)
    await viewer.say(what)
    assert await viewer.closed_with() == consumers.NONSENSE
    assert viewer.frames == []


async def test_nonsense_later_on_closes_the_socket_too(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    await viewer.say("nonsense")
    assert await viewer.closed_with() == consumers.NONSENSE


async def test_a_hello_behind_nonsense_opens_nothing(watch: Any, alice: User, execution_id: int) -> None:
    viewer = await watch(alice)
    await viewer.say("nonsense")
    await viewer.hello()
    assert await viewer.closed_with() == consumers.NONSENSE
    await grow(execution_id, 2)
    assert await viewer.hears_nothing()


async def test_a_viewer_that_is_refused_while_it_watches_gets_no_more(
    watch: Any, alice: User, execution_id: int
) -> None:
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    await viewer.say("nonsense")
    assert await viewer.closed_with() == consumers.NONSENSE
    await grow(execution_id, 2)
    assert await viewer.hears_nothing()


# Text is text


async def test_script_in_names_logs_and_outputs_is_only_text(watch: Any, alice: User) -> None:
    frames = await streamed(watch, alice, [], {"customer": SCRIPT, SCRIPT: [SCRIPT]})
    assert any('data-state="completed"' in frame for frame in frames)
    assert_harmless("".join(frames))
    assert "&lt;script&gt;" in "".join(frames)


async def test_script_in_an_error_is_only_text(watch: Any, alice: User) -> None:
    frames = await streamed(watch, alice, [SCRIPT], {})
    assert any('data-state="failed"' in frame for frame in frames)
    assert_harmless("".join(frames))
    assert any("failure" in frame and "&lt;script&gt;" in frame for frame in frames)


async def streamed(watch: Any, alice: User, required: list[str], given: dict[str, Any]) -> list[str]:
    """All frames of an execution whose every name and text is a script."""
    labels = {"in": {"label": SCRIPT}, "check": {"label": SCRIPT, "required": required}, "out": {"label": SCRIPT}}
    definition = {
        "nodes": [{"id": kind, "type": {"in": "input", "out": "output"}.get(kind, kind), "data": data}
                  for kind, data in labels.items()],
        "edges": [{"source": "in", "target": "check"}, {"source": "check", "target": "out"}],
    }  # fmt: skip
    workflow = await Workflow.objects.acreate(name=SCRIPT, description=SCRIPT, owner=alice)
    await sync_to_async(workflow.publish)(definition)
    execution_id = await WorkflowEngine().submit_workflow(workflow.pk, given, by=alice)
    viewer: Viewer = await watch(alice, execution_id)
    await viewer.hello()
    await viewer.sees(1)
    await grow(execution_id, 2, SCRIPT)
    await viewer.sees(3)
    await current_worker().start()
    await viewer.until(lambda frame: "data-final" in frame)
    return viewer.frames


def assert_harmless(html: str) -> None:
    for tag in ("<script", "<img", "onerror=alert(2)></hx-partial>", '<hx-partial hx-target="body">'):
        assert tag not in html
