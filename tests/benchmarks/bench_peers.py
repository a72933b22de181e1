"""make bench-peers: ours and its peers on the same work, in turn, round after round. Linux alone.

ARGS: names of peers or of rows (all without one), --rounds 3, --minutes 15, --most N (executions a round, to see that
it works). The first run installs each peer into var/peers; one that does not install is a row that says why.
PEERS_POSTGRES: the address of a PostgreSQL on this machine where databases may be made
(postgresql://postgres@127.0.0.1:5432/postgres). Writes DATA_DIR/bench-peers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import processes
from tests.benchmarks.peers.catalogue import ROWS, Row, chosen
from tests.benchmarks.peers.installed import ROOT, NotInstalled, install
from tests.benchmarks.peers.rounds import Figures, measured
from tests.benchmarks.peers.table import compared, table

FULL = 1_000_000  # more than any row has


def main() -> None:
    asked = arguments()
    rows = [lighter(row, asked.most) for row in chosen(asked.peers)]
    processes.adopt_orphans()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background jobs are born deaf to Ctrl-C
        signal.signal(number, signal.default_int_handler)  # nothing is left behind
    try:
        reasons = absent(rows)
        here = [row for row in rows if row.runner not in reasons]
        rounds = in_turn(here, asked.rounds, time.monotonic() + 60 * asked.minutes)
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was written")
    finally:
        processes.end_all()
    rounds |= {row.name: [{"why": reasons[row.runner]}] for row in rows if row.runner in reasons}
    result = compared(rows, rounds)
    print(table(rows, result))
    if asked.most < FULL:
        print("\nNo figures to quote: rounds of --most executions are too short to warm anybody up.")
    print(f"\nWritten to {write(result, rounds)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-peers", description=f"Rows: {', '.join(row.name for row in ROWS)}"
    )
    parser.add_argument("peers", nargs="*", metavar="peer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=FULL, help="executions a round: fewer see that it works, no more")
    parser.add_argument("--minutes", type=float, default=15, help="no round begins after so many, installing apart")
    return parser.parse_args()


def lighter(row: Row, most: int) -> Row:
    return replace(row, executions=min(row.executions, most), alone=min(row.alone, most))


def absent(rows: list[Row]) -> dict[str, str]:
    """Runner -> why it could not be installed. Before the first clock: nobody installs while another one runs."""
    reasons: dict[str, str] = {}
    for runner in dict.fromkeys(row.runner for row in rows):
        try:
            install(runner)
        except NotInstalled as error:
            reasons[runner] = f"not installed: {error}"
    return reasons


def in_turn(rows: list[Row], number: int, until: float) -> dict[str, list[Figures]]:
    """Round after round, each row once a round: what slows the machine for a while slows all of them."""
    rounds: dict[str, list[Figures]] = {row.name: [] for row in rows}
    for turn in range(number):
        for row in rows:
            if time.monotonic() < until:
                print(f"  round {turn + 1} of {number}: {row.label} …", file=sys.stderr, flush=True)
                rounds[row.name].append(measured(row))
    return rounds


def write(result: dict[str, Figures], rounds: dict[str, list[Figures]]) -> Path:
    out = Path(os.environ.get("DATA_DIR", ROOT / "var")) / "bench-peers.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "at": time.strftime("%FT%TZ", time.gmtime()),
    }
    out.write_text(json.dumps({"machine": about, "rows": result, "rounds": rounds}, indent=2) + "\n")
    return out


if __name__ == "__main__":
    main()
