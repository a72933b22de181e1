"""From an entry's COMMIT to its row in the browser's DOM, through the real server and a real browser, idle.

COMMIT is seen from outside, by a reader of the database file that looks every millisecond; the DOM by a
MutationObserver; both read the same machine's clock.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.benchmarks import server, site

SECONDS = 60
OBSERVE = """() => {
  const log = document.querySelector("ol.log");
  window.seen = {};
  new MutationObserver(records => {
    const now = performance.timeOrigin + performance.now();
    for (const record of records) for (const node of record.addedNodes)
      if (node.dataset?.seq) window.seen[node.dataset.seq] ??= now;
  }).observe(log, {childList: true});
}"""


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        site.say({"live: COMMIT to DOM": {"value": None, "unit": "not measured: no chromium"}})
        return
    with server.serving() as (url, _):
        committed, seen = watched(url, chromium)
    took = sorted(1e3 * (seen[seq] - at) for seq, at in committed.items() if seq in seen)
    site.say(
        {
            "live: COMMIT to DOM, p50": {"value": took[len(took) // 2], "unit": "ms"},
            "live: COMMIT to DOM, p95": {"value": took[int(len(took) * 0.95)], "unit": "ms"},
            "live: entries seen": {"value": len(took), "unit": f"of {len(committed)} entries"},
        }
    )


def watched(url: str, chromium: str) -> tuple[dict[int, float], dict[int, float]]:
    """For each entry: when it was on disk, and when it was in the DOM, in seconds since 1970."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        page = signed_in(playwright, chromium, url)
        execution_id = started(page)
        page.goto(f"{url}/executions/{execution_id}/")
        page.evaluate(OBSERVE)
        committed = commits(execution_id)
        page.wait_for_timeout(500)
        seen = page.evaluate("() => window.seen")
    return committed, {int(seq): at / 1e3 for seq, at in seen.items()}


def signed_in(playwright: Any, chromium: str, url: str) -> Any:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    page = playwright.chromium.launch(executable_path=chromium, args=arguments).new_page()
    page.goto(url)
    page.fill("input[name=username]", server.NAME)
    page.fill("input[name=password]", server.PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(f"{url}/")
    return page


def started(page: Any) -> int:
    """An execution that writes a line a second."""
    definition = site.chain(("input", {}), ("countdown", {"seconds": SECONDS}), ("output", {}))
    workflow = posted(page, "/api/workflows/", {"name": "Live", "definition": definition})
    return int(posted(page, f"/api/workflows/{workflow['id']}/execute", {"input_data": {}})["execution_id"])


def posted(page: Any, path: str, body: Any) -> Any:
    """By the API with the page's own session."""
    post = """async ([path, body]) => {
      const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
      const headers = {"Content-Type": "application/json", "X-CSRFToken": token};
      const answer = await fetch(path, {method: "POST", headers, body: JSON.stringify(body)});
      return JSON.stringify(await answer.json());
    }"""
    return json.loads(page.evaluate(post, [path, body]))


def commits(execution_id: int) -> dict[int, float]:
    """The moment at which each new entry can first be read, until the execution has ended."""
    found: dict[int, float] = {}
    file = Path(os.environ["DATA_DIR"]) / "db.sqlite3"
    query = "SELECT seq, kind FROM executions_executionlog WHERE execution_id = ? AND seq > ?"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)) as db:
        last = db.execute(f"SELECT max(seq) FROM ({query})", (execution_id, 0)).fetchone()[0]
        while True:
            rows = db.execute(query, (execution_id, last)).fetchall()
            now = time.time()
            found |= {seq: now for seq, _ in rows}
            last = max([last, *(seq for seq, _ in rows)])
            if any(kind == "finished" for _, kind in rows):
                return found
            threading.Event().wait(0.001)


if __name__ == "__main__":
    main()
