"""Ten thousand entries and more: the page shows a window of them and stays a page; the server stays a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from executions.views.watch import FIRST_PAINT, WINDOW
from tests.journeys.conftest import Visit, serving
from tests.journeys.server import Server
from tests.journeys.visitor import badge, line, shown

MANY = 12_000
FOLLOWED, IN_ALL = 5_000 * 1.1, 20_000 * 1.1  # rows in the page: at its end, and further up; live.js trims in portions
CHAIN: dict[str, Any] = {
    "nodes": [{"id": "in", "type": "input", "data": {}}, {"id": "out", "type": "output", "data": {}}],
    "edges": [{"source": "in", "target": "out"}],
}


@pytest.fixture
def server(prepared: Server, tmp_path: Path) -> Iterator[Server]:
    """With a team's own app, which brings the step kind “flood”."""
    with serving(prepared, tmp_path, EXTRA_APPS="tests.journeys.extra_app") as server:
        server.start()
        yield server


def flood(lines: int, a_second: int) -> dict[str, Any]:
    step = {"id": "flood", "type": "flood", "data": {"lines": lines, "a_second": a_second}}
    nodes = [CHAIN["nodes"][0], step, CHAIN["nodes"][1]]
    return {"nodes": nodes, "edges": [{"source": "in", "target": "flood"}, {"source": "flood", "target": "out"}]}


@pytest.fixture
def long_ago(server: Server) -> int:
    """An execution that has ended, with very many entries."""
    execution_id = server.run(server.publish("Chain", CHAIN))
    server.until(execution_id, "completed")
    server.lengthen(execution_id, MANY)
    return execution_id


def test_the_first_paint_shows_the_last_entries_alone(server: Server, page: Page, long_ago: int) -> None:
    page.goto(f"/executions/{long_ago}/")
    everything = server.numbers(long_ago)
    assert len(everything) > MANY
    assert shown(page) == everything[-FIRST_PAINT:]
    expect(page.get_by_role("link", name="earlier entries")).to_contain_text(str(len(everything) - FIRST_PAINT)[:2])
    assert len(page.content()) < 200_000


def test_earlier_entries_come_when_they_are_asked_for(server: Server, page: Page, long_ago: int) -> None:
    page.goto(f"/executions/{long_ago}/")
    everything = server.numbers(long_ago)
    for times in range(1, 4):
        page.get_by_role("link", name="earlier entries").click()
        many = FIRST_PAINT + times * WINDOW
        expect(page.locator("ol.log > li")).to_have_count(many)
        assert shown(page) == everything[-many:]
    assert page.url.endswith(f"/executions/{long_ago}/")


def test_all_of_them_can_be_seen(server: Server, page: Page) -> None:
    execution_id = server.run(server.publish("Chain", CHAIN))
    server.until(execution_id, "completed")
    server.lengthen(execution_id, 2 * WINDOW)
    page.goto(f"/executions/{execution_id}/")
    everything = server.numbers(execution_id)
    earlier = page.get_by_role("link", name="earlier entr")
    while earlier.is_visible():
        before = len(shown(page))
        earlier.click()
        page.wait_for_function("before => document.querySelectorAll('ol.log > li').length > before", arg=before)
    assert shown(page) == everything


def test_without_script_earlier_entries_are_pages_of_their_own(server: Server, visit: Visit, long_ago: int) -> None:
    page = visit(java_script_enabled=False).signed_in()
    page.goto(f"/executions/{long_ago}/")
    everything = server.numbers(long_ago)
    page.get_by_role("link", name="earlier entries").click()
    numbers = page.locator("ol.log > li").evaluate_all("items => items.map(item => Number(item.dataset.seq))")
    assert numbers == everything[-FIRST_PAINT - WINDOW : -FIRST_PAINT]
    page.get_by_role("link", name="Earlier").click()
    page.get_by_role("link", name="Later").click()
    again = page.locator("ol.log > li").evaluate_all("items => items.map(item => Number(item.dataset.seq))")
    assert again == numbers


def test_a_page_stays_small_and_whole_while_a_flood_comes_in(server: Server, page: Page) -> None:
    execution_id = server.run(server.publish("Flood", flood(MANY, 1_000)))
    page.goto(f"/executions/{execution_id}/")
    page.evaluate(MEASURE)
    expect(badge(page)).to_have_text("Completed", timeout=90_000)
    everything = server.numbers(execution_id)
    assert len(everything) > MANY
    shows_the_end(page, everything)
    assert page.evaluate("window.most") <= FOLLOWED + 1_000  # what came since the last trim
    expect(page.locator("#entries-count")).to_have_text(f"{everything[-1]:,} entries")
    assert is_at_end(page)


def test_whoever_reads_further_up_is_left_alone(server: Server, page: Page) -> None:
    execution_id = server.run(server.publish("Flood", flood(6_000, 500)))
    page.goto(f"/executions/{execution_id}/")
    page.wait_for_function("() => document.querySelectorAll('ol.log > li').length > 600")
    page.locator("#log-box").hover()
    page.mouse.wheel(0, -2_000)
    expect(page.get_by_label("Follow")).not_to_be_checked()
    first, top = shown(page)[0], page.evaluate("document.getElementById('log-box').scrollTop")
    page.wait_for_timeout(1_000)
    assert shown(page)[0] == first
    assert abs(page.evaluate("document.getElementById('log-box').scrollTop") - top) < 100
    page.get_by_label("Follow").check()
    expect(badge(page)).to_have_text("Completed", timeout=90_000)
    page.wait_for_function(AT_END)
    assert page.evaluate("document.querySelectorAll('ol.log > li').length") <= IN_ALL


def test_one_can_cancel_in_the_middle_of_a_flood_and_go_elsewhere(server: Server, visit: Visit) -> None:
    visitor = visit()
    page, elsewhere = visitor.signed_in(), visitor.page()
    execution_id = server.run(server.publish("Flood", flood(100_000, 1_000)))
    page.goto(f"/executions/{execution_id}/")
    page.wait_for_function("() => Number(document.querySelector('ol.log').lastElementChild.dataset.seq) > 3000")
    elsewhere.goto("/")
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Workflows")
    elsewhere.goto("/executions/")
    expect(elsewhere.get_by_text("Running").first).to_be_visible()
    page.bring_to_front()
    page.get_by_role("button", name="Cancel").click()
    expect(badge(page)).to_have_text("Cancelled")
    server.until(execution_id, "cancelled")
    everything = server.numbers(execution_id)
    assert len(everything) < 100_000
    shows_the_end(page, everything)


def test_a_step_that_writes_as_fast_as_it_can_stalls_nobody(server: Server, visit: Visit) -> None:
    page = visit().signed_in()
    execution_id = server.run(server.publish("Flood", flood(MANY, 0)))
    page.goto(f"/executions/{execution_id}/")
    expect(badge(page)).to_have_text("Completed", timeout=90_000)
    everything = server.numbers(execution_id)
    shows_the_end(page, everything)
    assert line(page, f"line {MANY - 1} of {MANY}").count() == 1


def test_a_page_may_say_only_a_little(server: Server, visit: Visit, long_ago: int) -> None:
    """What is no number closes the socket; what is too large is not even read; the server goes on and logs no error."""
    page = visit().signed_in()
    running = server.run(server.publish("Flood", flood(100_000, 20)))
    page.goto(f"/executions/{long_ago}/")
    assert page.evaluate(SAY, [running, ["nonsense", '{"after": 1e3}', '{"after": -1}', ""]]) == [4400] * 4
    assert page.evaluate(SAY, [running, ["a" * 70_000]])[0] in TOO_LARGE
    assert page.evaluate(SAY, [running, ["a" * 8_000_000]])[0] in TOO_LARGE
    assert page.evaluate(SAY, [987_654, ['{"after": 0}']]) == [4404]
    page.goto("/")
    assert "level=error" not in server.said()
    assert "Traceback" not in server.said()


TOO_LARGE = {4400, 1009, 1006}  # 1006 where the connection is cut before the browser has read why
#: The largest number of rows that the log ever had.
MEASURE = """() => {
    const log = document.querySelector('ol.log');
    window.most = 0;
    new MutationObserver(() => { window.most = Math.max(window.most, log.childElementCount); })
        .observe(log, { childList: true });
}"""
AT_END = """() => {
    const box = document.getElementById('log-box');
    return box.scrollHeight - box.scrollTop - box.clientHeight < 40;
}"""
#: Opens a socket for each text, says it twice at once, and tells with which codes they were closed.
SAY = """([number, texts]) => Promise.all(texts.map(text => new Promise(resolve => {
    const socket = new WebSocket(`ws://${location.host}/ws/executions/${number}/`);
    socket.onopen = () => { socket.send(text); socket.send('{"after": 0}'); };
    socket.onclose = event => resolve(event.code);
})))"""


def shows_the_end(page: Page, everything: list[int]) -> None:
    """Once the last entry is there, the page has the last ones without a gap."""
    page.wait_for_function(
        "last => document.querySelector('ol.log').lastElementChild.dataset.seq == last", arg=everything[-1]
    )
    now = shown(page)
    assert now == everything[-len(now) :]


def is_at_end(page: Page) -> bool:
    return bool(page.evaluate(AT_END))
