"""The whole storm, or a part of it: `make storm`, or python -m tests.storm NAME… --executions 1000 --kills 60.

Each scenario is a process of its own, in a folder that is deleted where all was well. Prints one table; exit code 1
where anything was lost, stuck, recorded twice, or otherwise not as promised.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from tests.storm.cluster import Cluster, NotHere
from tests.storm.stage import SKIPPED, Size

ROOT = Path(__file__).resolve().parent.parent.parent
SIZES = {
    "sqlite": Size(10_000, kills=640, pace_s=0.1),
    "postgresql": Size(10_000, kills=2_100, faults=105, workers=8, limit=2, pace_s=0.15, on="postgresql"),
    "pause": Size(1_000, faults=60, limit=8, pace_s=0.2),
    "lease": Size(1_000, kills=20, limit=8, most_repeated=100),
    "term": Size(1_000, faults=60, pace_s=0.5),
    "disk": Size(1_000, kills=20, faults=8),
    "commit": Size(1_000, faults=300, on="postgresql"),
    "clock": Size(1_000, kills=20, faults=150),
    "redis": Size(1_000, kills=20, faults=12, on="postgresql"),
}
POINTS = {"points": "sqlite", "points-postgresql": "postgresql"}
COLUMNS = {
    "scenario": "scenario",
    "database": "database",
    "executions": "executions",
    "kills": "kills",
    "faults": "faults",
    "seconds": "seconds",
    "lost": "lost",
    "stuck": "stuck",
    "twice": "twice",
    "given_up": "given up",
    "repeated": "repeated %",
    "takeovers": "takeovers",
    "takeover_p50": "p50 s",
    "takeover_p99": "p99 s",
}


def main(argv: Sequence[str]) -> int:
    options = _options(argv)
    told = {name: value for name, value in vars(options).items() if name in _NAMES and value is not None}
    names = options.names or [*SIZES, *POINTS]
    verdicts = list(storms([(name, replace(SIZES[name], **told)) for name in names if name in SIZES], options.keep))
    print(table(verdicts))
    for verdict in verdicts:
        for sentence in (*verdict["notes"], *verdict["violations"]):
            print(f"{verdict['scenario']}: {sentence}", flush=True)
    are_points_red = [points(name) for name in names if name in POINTS]
    return int(any(is_red(verdict) for verdict in verdicts) or any(are_points_red))


def storms(scenarios: Sequence[tuple[str, Size]], keep: bool) -> Iterator[dict[str, Any]]:
    """One after another; each says at once how it ended."""
    for name, size in scenarios:
        try:
            verdict = storm(name, size, keep)
        except NotHere as why:
            print(f"{name}: not played. {why}", flush=True)
        else:
            print(f"{name}: {'RED' if is_red(verdict) else 'all is well'}", flush=True)
            yield verdict


def storm(name: str, size: Size, keep: bool = False, patience_s: float | None = None) -> dict[str, Any]:
    """The verdict of one scenario. Raises NotHere where this machine cannot play it."""
    folder = Path(tempfile.mkdtemp(prefix=f"storm-{name}-"))
    folder.chmod(0o755)  # PostgreSQL is another user
    command = [sys.executable, "-m", "tests.storm.stage", name, str(folder), json.dumps(asdict(size))]
    if name == "disk":
        command = [*_on_a_small_disk(folder / "data"), *command]
    code, told = _played(command, patience_s)
    if code == SKIPPED:
        raise NotHere(told.strip())
    if code:
        raise RuntimeError(f"{name} ended with {code}; what is left of it is in {folder}")
    verdict: dict[str, Any] = json.loads(told.splitlines()[-1])
    if keep or is_red(verdict):
        verdict["notes"].append(f"what is left of it is in {folder}")
    else:
        shutil.rmtree(folder)
    return verdict


def _played(command: Sequence[str], patience_s: float | None) -> tuple[int, str]:
    with subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True) as stage:
        try:
            told, _ = stage.communicate(timeout=patience_s)
        except BaseException:
            stage.terminate()
            raise
    return stage.returncode, told


def points(name: str) -> bool:
    """Each crash point is killed twenty times: see points.py, which prints a table of its own. True where it is red."""
    command = [sys.executable, "-m", "tests.storm.points", "--times", "20"]
    with tempfile.TemporaryDirectory(prefix="storm-points-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        try:
            with database(folder, POINTS[name]) as url:
                done = subprocess.run([*command, *(["--database", url] if url else [])], cwd=ROOT, check=False)
        except NotHere as why:
            print(f"{name}: not played. {why}", flush=True)
            return False
    return done.returncode != 0


@contextmanager
def database(folder: Path, on: str) -> Iterator[str]:
    """Its URL; empty for a file."""
    if on != "postgresql":
        yield ""
        return
    cluster = Cluster(folder)
    cluster.start()
    try:
        yield cluster.url
    finally:
        cluster.stop()


def is_red(verdict: dict[str, Any]) -> bool:
    return any(verdict[name] for name in ("lost", "stuck", "twice", "violations"))


def table(verdicts: Sequence[dict[str, Any]]) -> str:
    rows = [list(COLUMNS.values()), *([str(verdict[name]) for name in COLUMNS] for verdict in verdicts)]
    rows[0].append("violations")
    for row, verdict in zip(rows[1:], verdicts, strict=True):
        row.append(str(len(verdict["violations"])))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows)


def _on_a_small_disk(folder: Path, mebibytes: int = 64) -> list[str]:
    """A mount of its own that goes with the process, as root or as root of a user namespace."""
    if shutil.which("unshare") is None:
        raise NotHere("unshare is not here (util-linux): a small disk of its own needs a mount namespace.")
    folder.mkdir()
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    mount = f'mount -t tmpfs -o size={mebibytes}m,mode=700 tmpfs "$0" && exec "$@"'
    tried = subprocess.run(
        [*unshare, "sh", "-c", mount, str(folder), "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        raise NotHere(f"A small disk of its own cannot be mounted here: {tried.stderr.strip()}")
    return [*unshare, "sh", "-c", mount, str(folder)]


def _environment() -> dict[str, str]:
    ours = {"DATA_DIR", "DATABASE_URL", "REDIS_URL", "PORT", "EXTRA_APPS", "ENGINE_LIMIT"}
    return {name: value for name, value in os.environ.items() if name not in ours}


_NAMES = {field.name for field in fields(Size)}


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.storm", description="Scenarios: " + ", ".join((*SIZES, *POINTS))
    )
    parser.add_argument(
        "names", nargs="*", choices=[*SIZES, *POINTS, []], metavar="NAME", help="scenarios; all, where none is named"
    )
    for name in ("executions", "kills", "faults", "workers", "limit"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--pace-s", type=float, help="seconds that a step takes")
    parser.add_argument("--on", choices=["sqlite", "postgresql"])
    parser.add_argument("--without-fence", action="store_true", default=None, help="the mutation: it must go red")
    parser.add_argument("--keep", action="store_true", help="leave the folders, also where all was well")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
