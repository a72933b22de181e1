"""From asking for chain3 to having its result: alone, and where 200 others begin each second, evenly paced."""

from __future__ import annotations

import asyncio

from tests.benchmarks import load, site
from tests.benchmarks.figures import Figure, figure, middle, part

ALONE, PACED, A_SECOND = site.many(500), site.many(3_000), 200
TARGET_MS = {"sqlite": 4, "postgresql": 6}


def main() -> None:
    site.set_up()
    from django.db import connection

    site.say(asyncio.run(measured(site.published(site.CHAIN3), TARGET_MS[connection.vendor])))


async def measured(workflow_id: int, target: float) -> dict[str, Figure]:
    from executions.worker import current_worker

    await load.alone(workflow_id, 20)  # warm
    alone = await load.alone(workflow_id, ALONE)
    paced = await load.at_pace(workflow_id, PACED, A_SECOND)
    await current_worker().close()
    return {
        "one execution alone, p50": figure(middle(alone), "ms", at_most=target),
        "one execution alone, p99": figure(part(alone, 0.99), "ms"),
        "200 executions/s, p50": figure(middle(paced), "ms"),
        "200 executions/s, p99": figure(part(paced, 0.99), "ms"),
    }


if __name__ == "__main__":
    main()
