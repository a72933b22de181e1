"""From the COMMIT that ends an execution to its row in an open list, through the real server and a real browser.

COMMIT is seen from outside, by a reader of the database file that looks every millisecond; the row by a
MutationObserver; both read the same machine's clock.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.benchmarks import live, server, site

EXECUTIONS, SECONDS = 40, 12
OBSERVE = """() => {
  window.seen = {};
  new MutationObserver(() => {
    const now = performance.timeOrigin + performance.now();
    for (const row of document.querySelectorAll(".e-row"))
      if (row.querySelector(".chip.is-completed")) window.seen[row.dataset.execution] ??= now;
  }).observe(document.querySelector("#rows"), {childList: true, subtree: true, attributes: true, characterData: true});
}"""
START = """async ([path, many]) => {
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const headers = {"Content-Type": "application/json", "X-CSRFToken": token};
  for (let n = 0; n < many; n++) {
    await fetch(path, {method: "POST", headers, body: '{"input_data": {}}'});
    await new Promise(done => setTimeout(done, 100));
  }
}"""


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        site.say({"list: COMMIT to row": {"value": None, "unit": "not measured: no chromium"}})
        return
    with server.serving() as (url, _):
        ended, seen = watched(url, chromium)
    took = sorted(1e3 * (seen[pk] - at) for pk, at in ended.items() if pk in seen)
    site.say(
        {
            "list: COMMIT to row, p50": {"value": took[len(took) // 2], "unit": "ms"},
            "list: COMMIT to row, p95": {"value": took[int(len(took) * 0.95)], "unit": "ms"},
            "list: rows seen to end": {"value": len(took), "unit": f"of {len(ended)} executions"},
        }
    )


def watched(url: str, chromium: str) -> tuple[dict[int, float], dict[int, float]]:
    """For each execution: when its end was on disk, and when its row said so, in seconds since 1970."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        page = live.signed_in(playwright, chromium, url)
        definition = site.chain(("input", {}), ("countdown", {"seconds": SECONDS}), ("output", {}))
        workflow = live.posted(page, "/api/workflows/", {"name": "Rows", "definition": definition})
        page.evaluate(START, [f"/api/workflows/{workflow['id']}/execute", EXECUTIONS])
        page.goto(f"{url}/executions/")
        page.wait_for_selector("#live[data-live=on]")
        page.evaluate(OBSERVE)
        ended = ends()
        page.wait_for_timeout(3_000)
        seen = page.evaluate("() => window.seen")
    return ended, {int(pk): at / 1e3 for pk, at in seen.items()}


def ends() -> dict[int, float]:
    """The moment at which each execution's end can first be read, until all have ended."""
    found: dict[int, float] = {}
    file = Path(os.environ["DATA_DIR"]) / "db.sqlite3"
    query = "SELECT id FROM executions_workflowexecution WHERE completed_at IS NOT NULL"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)) as db:
        before: set[Any] = {pk for (pk,) in db.execute(query)}
        while len(before) + len(found) < EXECUTIONS:
            new = [pk for (pk,) in db.execute(query) if pk not in before and pk not in found]
            now = time.time()
            found |= dict.fromkeys(new, now)
            threading.Event().wait(0.001)
    return found


if __name__ == "__main__":
    main()
