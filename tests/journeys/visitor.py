"""A visitor in a real browser, who notices everything that a page must not do."""

from __future__ import annotations

import os
import re
import shutil
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Playwright, Request, Response

from tests.journeys.server import OWNER, PASSWORD, Server

PATIENCE_MS = 30_000  # a bound for what must happen soon; nothing asserts how soon
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
CSP = (
    "document.addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective, e.blockedURI))"
)
SOCKET_IS_AWAY = re.compile(r"^WebSocket connection to 'ws://[^']+' failed|^htmx: htmx:ws:error")


def launched(playwright: Playwright) -> Browser:
    """Debian's Chromium, else the one of `playwright install`; without one the tests are skipped, in CI they fail."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
    except Exception as error:
        reason = f"No browser: install Chromium, or name one in CHROMIUM ({str(error).strip().splitlines()[0]})"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


class Visitor:
    """One person with cookies of their own. `wrong` holds what must not be there when they leave."""

    def __init__(self, browser: Browser, server: Server, **how: Any) -> None:
        self.server = server
        self.wrong: list[str] = []
        self._expected: list[str] = []
        self.context = browser.new_context(base_url=server.url, timezone_id="UTC", **how)
        self.context.set_default_timeout(PATIENCE_MS)
        if how.get("java_script_enabled", True):
            self.context.add_init_script(CSP)
        self.context.on("console", self._hear)
        self.context.on("weberror", lambda error: self.wrong.append(f"error in a page: {error.error}"))
        self.context.on("request", self._ask)
        self.context.on("response", self._answer)

    def page(self) -> Page:
        return self.context.new_page()

    def signed_in(self) -> Page:
        """A page at home, by way of the sign-in form."""
        page = self.page()
        page.goto("/sign-in/")
        sign_in(page)
        page.wait_for_url("**/")
        return page

    def expects(self, status: int) -> None:
        """The browser reports every answer of this status as an error; here it is meant."""
        self._expected.append(f"the server responded with a status of {status}")

    def expects_outage(self) -> None:
        """Requests will find nobody there, and that is meant."""
        self._expected += [
            "net::ERR_CONNECTION_REFUSED",
            "net::ERR_EMPTY_RESPONSE",
            "net::ERR_CONNECTION_RESET",
            "Failed to fetch",
        ]

    def leave(self) -> list[str]:
        self.context.close()
        return self.wrong

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type != "error" or any(text in message.text for text in self._expected):
            return
        if not (self.server.outages and SOCKET_IS_AWAY.match(message.text)):
            where = message.location.get("url") or "the page"
            self.wrong.append(f"console at {message.page.url if message.page else '?'}: {message.text} ({where})")

    def _ask(self, request: Request) -> None:
        if not request.url.startswith((f"{self.server.url}/", "data:", "blob:")):
            self.wrong.append(f"request to another host: {request.url}")

    def _answer(self, response: Response) -> None:
        if response.status >= 500:
            self.wrong.append(f"{response.status} from {response.url}")


def sign_in(page: Page, name: str = OWNER, password: str = PASSWORD) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


# The execution page


def badge(page: Page) -> Locator:
    return page.locator("h1 ~ .chip[data-state]")


def shown(page: Page) -> list[int]:
    """The numbers of the entries that the page shows, from top to bottom."""
    found: list[int] = page.eval_on_selector_all("ol.log > li", "items => items.map(item => Number(item.dataset.seq))")
    return found


def line(page: Page, text: str) -> Locator:
    """Entries of the log whose text is exactly this."""
    return page.locator("ol.log > li .m").get_by_text(text, exact=True)
