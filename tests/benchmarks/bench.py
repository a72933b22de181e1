"""make bench: one table, ratios in one run. Each figure is taken in a process of its own on data of its own.

Never a test: a machine's mood must not turn a build red. Writes DATA_DIR/bench.json: name -> value, unit, floor, ratio.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
BENCHES = ("chain3", "growth", "waiting", "items", "http500", "idle", "live", "rows", "lists", "expressions")

Figure = dict[str, Any]


def main() -> None:
    chosen = sys.argv[1:] or list(BENCHES)
    figures: dict[str, Figure] = {}
    for name in chosen:
        print(f"  {name} …", file=sys.stderr, flush=True)
        figures |= measured(name)
    print(table(figures))
    out = Path(os.environ.get("DATA_DIR", ROOT / "var")) / "bench.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nWritten to {out}")


def measured(name: str) -> dict[str, Figure]:
    with tempfile.TemporaryDirectory(prefix="stepstream-bench-") as folder:
        env = {**os.environ, "DATA_DIR": folder}
        env.pop("DATABASE_URL", None)
        command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
        done = subprocess.run(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {name: {"value": None, "unit": f"failed with exit code {done.returncode}"}}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def table(figures: dict[str, Figure]) -> str:
    lines = [f"{'':44}{'value':>10}  {'unit':<28}{'floor':>9}{'ratio':>8}"]
    for name, figure in figures.items():
        value, floor, ratio = (shown(figure.get(key)) for key in ("value", "floor", "ratio"))
        lines.append(f"{name:44}{value:>10}  {figure['unit']:<28}{floor:>9}{ratio:>8}")
    return "\n".join(lines)


def shown(value: Any) -> str:
    return "–" if value is None else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"


if __name__ == "__main__":
    main()
