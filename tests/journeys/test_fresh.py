"""A fresh installation: its first pages, for the very first visitor, and what they weigh."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.journeys import looks
from tests.journeys.conftest import Visit
from tests.journeys.server import PASSWORD, Server
from tests.journeys.visitor import Visitor

MOST_BYTES, MOST_REQUESTS = 60 * 1024, 8


@pytest.fixture(scope="module")
def server(prepared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Nobody has been here: no account, and a one-time link on the console."""
    server = Server(tmp_path_factory.mktemp("fresh") / "var")
    shutil.copytree(prepared.data / "static", server.data / "static")
    server.manage("prepare")
    try:
        server.start()
        yield server
    finally:
        server.leave()


@pytest.fixture(scope="module")
def owners_cookies(browser: Browser, server: Server) -> list[Any]:
    """Of whoever came in by the link; every page on that way is looked at, in both themes, wide and narrow."""
    found = re.search(r"http://\S+(/welcome/\S+)", server.said())
    assert found
    visitor = Visitor(browser, server)
    page = visitor.page()
    page.goto(found[1])
    wrong = looked_at(page, "welcome")
    page.get_by_role("button", name="Come in").click()
    expect(page).to_have_url(re.compile("/set-up/$"))
    wrong += looked_at(page, "set-up")
    page.get_by_label("Username").fill("first")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Workflows")
    wrong += looked_at(page, "home with a message")
    cookies = list(visitor.context.cookies())
    wrong += visitor.leave()
    assert not wrong, "\n".join(wrong)
    return cookies


def looked_at(page: Page, name: str) -> list[str]:
    wrong = []
    for width, scheme in ((1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        seen = f"{name}, {width} px, {scheme}"
        wrong += looks.built(page, seen) + looks.open_to_all(page, seen) + looks.small(page, seen, 24)
    return wrong


class Scales:
    """What comes over the wire for one page, as sent: compressed, with headers; and what the cache gave instead."""

    def __init__(self, page: Page) -> None:
        self.urls: dict[str, str] = {}
        self.bytes: dict[str, int] = {}
        self.cached: set[str] = set()
        wire = page.context.new_cdp_session(page)
        wire.on("Network.requestWillBeSent", lambda e: self.urls.update({e["requestId"]: e["request"]["url"]}))
        wire.on("Network.requestServedFromCache", lambda e: self.cached.add(e["requestId"]))
        wire.on("Network.responseReceived", self._received)
        wire.on("Network.loadingFinished", lambda e: self.bytes.update({e["requestId"]: int(e["encodedDataLength"])}))
        wire.send("Network.enable")

    def _received(self, event: Any) -> None:
        if event["response"].get("fromDiskCache"):
            self.cached.add(event["requestId"])

    def sent(self) -> dict[str, int]:
        return {self.urls[one]: size for one, size in self.bytes.items() if one not in self.cached}


@pytest.fixture
def page(visit: Visit, owners_cookies: list[Any]) -> Page:
    """The owner's, with nothing in its cache."""
    visitor = visit()
    visitor.context.add_cookies(owners_cookies)
    return visitor.page()


def test_the_first_page_is_light(page: Page) -> None:
    scales = Scales(page)
    page.goto("/", wait_until="networkidle")
    sent = scales.sent()
    assert page.url in sent
    assert sum(sent.values()) <= MOST_BYTES, sent
    assert len(scales.urls) <= MOST_REQUESTS, sent


def test_the_next_page_brings_no_static_file_again(server: Server, page: Page) -> None:
    page.goto("/", wait_until="networkidle")
    scales = Scales(page)
    page.goto("/executions/", wait_until="networkidle")
    assert [url for url in scales.sent() if "/static/" in url] == []
    assert f"{server.url}/executions/" in scales.sent()


def test_everything_that_is_text_is_compressed_and_static_files_stay_for_good(page: Page) -> None:
    heard: list[Response] = []

    def hear(response: Response) -> None:
        heard.append(response)

    page.on("response", hear)
    page.goto("/", wait_until="networkidle")
    assert len(heard) > 3
    for response in heard:
        headers = response.all_headers()
        is_tiny = int(headers.get("content-length", "1000")) < 200
        assert headers.get("content-encoding") == "gzip" or is_tiny, response.url
        if "/static/" in response.url:
            assert "immutable" in headers["cache-control"], response.url


def test_two_pages_with_the_same_content_differ_in_length_and_in_their_tokens(page: Page) -> None:
    """What a listener could learn from lengths is blurred: see the note at GZipMiddleware in settings.py."""
    answers = [page.request.get("/password/") for _ in range(12)]
    assert len({answer.headers["content-length"] for answer in answers}) > 1
    tokens = {re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', answer.text())[1] for answer in answers}  # type: ignore[index]
    assert len(tokens) == 12
