"""The work that every peer does, and how a runner tells the bench where it stands. The standard library alone.

chain3 is three trivial steps, each of which hands its output to the next: take a dict in, shout its strings, give it
out. A runner says its stage on a line of its standard output and goes on when the bench has answered: so the bench
reads clocks and memory of all its processes at that very point.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

DATA = {"name": "ada", "city": "london"}
EXPECTED = {"result": {"name": "ADA", "city": "LONDON"}}
EXECUTIONS = int(os.environ.get("PEER_EXECUTIONS", "100"))
ALONE = int(os.environ.get("PEER_ALONE", "20"))
IN_FLIGHT = int(os.environ.get("PEER_IN_FLIGHT", "100"))
VARIANT = os.environ.get("PEER_VARIANT", "")
PORT = int(os.environ.get("PEER_PORT", "8251"))
POSTGRES = os.environ.get("PEER_POSTGRES", "")

Started = TypeVar("Started")


def take(data: dict[str, Any]) -> dict[str, Any]:
    return dict(data)


def shout(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value.upper() for key, value in data.items()}


def give(data: dict[str, Any]) -> dict[str, Any]:
    return {"result": data}


def durability(*answers: Any) -> str:
    """A database's own words for what a COMMIT waits for: its synchronous_commit, or journal mode and synchronous."""
    if len(answers) == 1:
        return f"PostgreSQL, synchronous_commit={answers[0]}"
    level = ("OFF", "NORMAL", "FULL", "EXTRA")[int(answers[1])]
    return f"SQLite {str(answers[0]).upper()}, synchronous={level}"


def tell(stage: str, **figures: Any) -> None:
    print(json.dumps({"stage": stage, **figures}), flush=True)
    if not sys.stdin.readline():
        raise SystemExit("the bench has gone")


def check(output: Any, expected: Any = EXPECTED) -> None:
    """A run that did not do the work is no figure."""
    if output != expected:
        raise SystemExit(f"It answered {output!r}, not {expected!r}")


async def run(
    one: Callable[[], Awaitable[Any]],
    version: str,
    records: str,
    expected: Any = EXPECTED,
    cold_s: float | None = None,
) -> None:
    """`one` runs one execution to its end, is done when that is known, and gives its output.

    cold_s: what its start took until the first execution's end, where not all since the runner's own start is that.
    """
    check(await one(), expected)
    tell("ready", cold_s=cold_s)
    await many(one, min(EXECUTIONS, IN_FLIGHT))  # warm
    tell("begin")
    began = time.perf_counter()
    outputs = await many(one, EXECUTIONS)
    took = time.perf_counter() - began
    tell("end", seconds=took, executions=EXECUTIONS)
    for output in outputs:
        check(output, expected)
    tell("done", alone_ms=[await timed(one) for _ in range(ALONE)], version=version, records=records)


async def many(one: Callable[[], Awaitable[Any]], number: int) -> list[Any]:
    """As many at once as are in flight: each of so many hands runs one after another."""
    outputs: list[Any] = []
    left = iter(range(number))

    async def hand() -> None:
        for _ in left:
            outputs.append(await one())  # noqa: PERF401 - as each ends, not all at the end of the hand

    await asyncio.gather(*(hand() for _ in range(min(IN_FLIGHT, number))))
    return outputs


async def timed(one: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await one()
    return 1e3 * (time.perf_counter() - began)


def run_blocking(start: Callable[[], Started], end: Callable[[Started], Any], version: str, records: str) -> None:
    """The same for a library that has no coroutines: `start` begins one, `end` waits for it and gives its output."""
    check(end(start()))
    tell("ready")
    window(start, end, min(EXECUTIONS, IN_FLIGHT))  # warm
    tell("begin")
    began = time.perf_counter()
    outputs = window(start, end, EXECUTIONS)
    took = time.perf_counter() - began
    tell("end", seconds=took, executions=EXECUTIONS)
    for output in outputs:
        check(output)
    alone = [timed_blocking(lambda: end(start())) for _ in range(ALONE)]
    tell("done", alone_ms=alone, version=version, records=records)


def window(start: Callable[[], Started], end: Callable[[Started], Any], number: int) -> list[Any]:
    """Queues keep their order, so to wait for the oldest of those in flight keeps that many in flight."""
    outputs: list[Any] = []
    flying: deque[Started] = deque()
    for _ in range(number):
        if len(flying) == IN_FLIGHT:
            outputs.append(end(flying.popleft()))
        flying.append(start())
    outputs.extend(end(started) for started in flying)
    return outputs


def timed_blocking(one: Callable[[], Any]) -> float:
    began = time.perf_counter()
    one()
    return 1e3 * (time.perf_counter() - began)
