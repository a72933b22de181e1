"""The processes of a runner: their CPU time and memory, as the kernel counts them, and their end. Linux alone.

The bench adopts what its children leave behind (a server that made itself a daemon stays its descendant), so all that
a runner ever started is found below this process, and ended with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

ADOPT = 36  # PR_SET_CHILD_SUBREAPER
TICKS = os.sysconf("SC_CLK_TCK")


def adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(ADOPT, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt orphans")


def stats() -> dict[int, list[str]]:
    """Process id -> the fields of its stat from the state on; a process that ends meanwhile is left out."""
    found: dict[int, list[str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                found[int(folder.name)] = fields((folder / "stat").read_text())
    return found


def fields(stat: str) -> list[str]:
    """A name may hold spaces and brackets, so what follows it begins after the last bracket."""
    return stat.rpartition(")")[2].split()


def descendants(of: int, all_stats: dict[int, list[str]]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, stat in all_stats.items():
        children.setdefault(int(stat[1]), []).append(pid)
    found, left = set[int](), [of]
    while left:
        new = children.get(left.pop(), [])
        found.update(new)
        left += new
    return found


def cpu_seconds(pids: set[int], all_stats: dict[int, list[str]]) -> float:
    """User and system time of these and of those of their children that have ended and were waited for."""
    return sum(int(ticks) for pid in pids for ticks in all_stats[pid][11:15]) / TICKS


def spent() -> float:
    """CPU seconds of all that is below this process."""
    now = stats()
    return cpu_seconds(descendants(os.getpid(), now), now)


def spent_by_server_of(backend: int) -> float:
    """CPU seconds of the PostgreSQL server that this backend belongs to, its other clients' backends included."""
    now = stats()
    server = int(now[backend][1]) if backend in now else 0
    return cpu_seconds({server, *descendants(server, now)}, now) if server > 1 else 0.0


def memory_mb() -> float:
    """Of all below this process, what they share counted once (PSS), in MB (10**6 bytes)."""
    return sum(proportional_kb(pid) for pid in descendants(os.getpid(), stats())) * 1024 / 1e6


def proportional_kb(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def end_all() -> None:
    """Asks all below this process to go, makes those go who have not after 3 s, and waits for each."""
    for number, patience_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 5.0)):
        until = time.monotonic() + patience_s
        left = reaped()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while reaped() and time.monotonic() < until:
            time.sleep(0.05)


def reaped() -> set[int]:
    """Those below this process that are still there, after the ended ones were waited for."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return descendants(os.getpid(), stats())
