"""make bench: one table, ratios in one run. Each figure is taken in a process of its own on data of its own.

Never a test: a machine's mood must not turn a build red. Writes DATA_DIR/bench.json. BENCH_DATABASE_URL names the
PostgreSQL server (its database is not touched: each bench gets a new one there, which is dropped afterwards).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks import machine, server_database
from tests.benchmarks.figures import Figure, missing

ROOT = Path(__file__).resolve().parent.parent.parent
BENCHES = (
    *("chain3", "chain100", "fan50", "latency", "storage", "memory", "growth", "pages", "viewers"),
    *("waiting", "items", "http500", "live", "rows", "lists", "expressions"),
)
LONGEST_S = 1_800
ON_BOTH = ("chain3", "chain100", "fan50", "latency", "storage", "growth")  # taken on PostgreSQL too


def main() -> None:
    head = machine.described()
    figures = dict(taken(sys.argv[1:] or list(BENCHES)))
    print(f"{machine.as_text(head)}\n\n{table(figures)}")
    out = Path(os.environ.get("DATA_DIR", ROOT / "var")) / "bench.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": head, "figures": figures}, indent=2, ensure_ascii=False) + "\n")
    print(f"\nWritten to {out}")


def taken(names: list[str]) -> Iterator[tuple[str, Figure]]:
    """In turn, on SQLite and where that says something on PostgreSQL."""
    for name in names:
        print(f"  {name} …", file=sys.stderr, flush=True)
        yield from measured(name).items()
        if name in ON_BOTH:
            print(f"  {name}, PostgreSQL …", file=sys.stderr, flush=True)
            yield from ((f"{label}, PostgreSQL", figure) for label, figure in elsewhere(name).items())


def elsewhere(name: str) -> dict[str, Figure]:
    try:
        with server_database.made() as url:
            return measured(name, {"DATABASE_URL": url})
    except server_database.NotThere as error:
        return {name: missing(f"not measured: {error}")}


def measured(name: str, more: dict[str, str] | None = None) -> dict[str, Figure]:
    """A bench that fails says so in the table, and the others go on."""
    with tempfile.TemporaryDirectory(prefix="stepstream-bench-") as folder:
        env = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
        env |= {"DATA_DIR": folder, **(more or {})}
        command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
        try:
            done = subprocess.run(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, timeout=LONGEST_S, check=True)
            return dict(json.loads(done.stdout.splitlines()[-1]))
        except (subprocess.SubprocessError, ValueError, IndexError) as error:
            return {name: missing(f"FAILED: {str(error).replace(sys.executable, 'python')[-100:]}")}


HEAD = ("", "value", "unit", "min–max", "floor", "ratio", "target", "")


def table(figures: dict[str, Figure]) -> str:
    rows = [HEAD, *((name, *cells(figure)) for name, figure in figures.items())]
    name, value, unit, *rest = (max(len(row[place]) for row in rows) for place in range(len(HEAD)))
    widths = (-name, value, -unit, *rest)
    return "\n".join("  ".join(padded(*cell) for cell in zip(row, widths, strict=True)).rstrip() for row in rows)


def cells(figure: Figure) -> tuple[str, ...]:
    spread = f"{shown(figure['low'])}–{shown(figure['high'])}" if "low" in figure else ""
    value, floor, ratio = (shown(figure.get(key)) for key in ("value", "floor", "ratio"))
    word = {None: "", True: "met", False: "MISSED"}[figure.get("is_met")]
    return value, figure["unit"], spread, floor, ratio, figure.get("target", ""), word


def padded(text: str, width: int) -> str:
    return text.ljust(-width) if width < 0 else text.rjust(width)


def shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if isinstance(value, int) or value >= 1_000 else f"{value:.3g}"


if __name__ == "__main__":
    main()
