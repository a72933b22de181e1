"""Resident memory of the server's one process: idle after its start, and after some pages."""

from __future__ import annotations

import time
import urllib.request

from tests.benchmarks import server, site


def main() -> None:
    with server.serving() as (url, pid):
        time.sleep(3)
        idle = site.resident_mb(pid)
        for _ in range(50):
            urllib.request.urlopen(url).read()
        time.sleep(1)
        after = site.resident_mb(pid)
    site.say(
        {
            "idle server: memory": {"value": idle, "unit": "MB resident"},
            "idle server: memory after 50 pages": {"value": after, "unit": "MB resident"},
        }
    )


if __name__ == "__main__":
    main()
