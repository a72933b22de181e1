"""The server as `make run` starts it, where everything is set up: from the command to the first page, and what it holds
in memory idle, after pages, and after executions.
"""

from __future__ import annotations

import time
import urllib.request

from tests.benchmarks import load, server, site
from tests.benchmarks.figures import figure, middle

STARTS, PAGES, EXECUTIONS, A_SECOND = 5, 50, site.many(5_000), 200


def main() -> None:
    server.prepare()
    starts = [started() for _ in range(STARTS)]
    with server.serving() as (url, pid):
        time.sleep(3)
        idle = site.resident_mb(pid)
        for _ in range(PAGES):
            urllib.request.urlopen(url).read()
        time.sleep(1)
        pages = site.resident_mb(pid)
        run_executions()
        executions = site.resident_mb(pid)
    site.say(
        {
            "cold start: prepare, serve, first page": figure(middle(starts), "s", rounds=starts),
            "memory: idle": figure(idle, "MB resident"),
            f"memory: after {PAGES} pages": figure(pages, "MB resident"),
            f"memory: after {EXECUTIONS:,} executions": figure(executions, "MB resident"),
        }
    )


def started() -> float:
    began = time.perf_counter()
    with server.serving():
        return time.perf_counter() - began


def run_executions() -> None:
    """In the server; returns when they have ended, and a moment later."""
    site.set_up()
    submitting = {"workflow": site.published(site.CHAIN3), "number": EXECUTIONS, "a_second": A_SECOND}
    load.submit_and_wait(site.published(site.chain(("bench_submit", {**submitting, "given": load.SMALL}))))
    time.sleep(3)


if __name__ == "__main__":
    main()
