"""fan50: 50 branches of 0.1 s at the same time, between a first step and one that joins them."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.benchmarks import load, site
from tests.benchmarks.figures import Figure, figure, middle

BRANCHES, SECONDS, ROUNDS = 50, 0.1, site.many(20)


def main() -> None:
    site.set_up()
    site.say(asyncio.run(measured(site.published(fan(), max_parallel=BRANCHES))))


def fan() -> dict[str, Any]:
    branches = [f"b{number}" for number in range(BRANCHES)]
    nodes = [{"id": name, "type": "bench_pause", "data": {"seconds": SECONDS}} for name in branches]
    ends = [{"id": "first", "type": "input", "data": {}}, {"id": "last", "type": "output", "data": {}}]
    into = [{"source": "first", "target": name} for name in branches]
    return {"nodes": [*nodes, *ends], "edges": [*into, *({"source": name, "target": "last"} for name in branches)]}


async def measured(workflow_id: int) -> dict[str, Figure]:
    from executions.worker import current_worker

    await load.alone(workflow_id, 2)  # warm
    took = [ms / 1e3 for ms in await load.alone(workflow_id, ROUNDS)]
    await current_worker().close()
    return {"fan50: 50 branches of 0.1 s": figure(middle(took), "s", at_most=0.15, rounds=took)}


if __name__ == "__main__":
    main()
