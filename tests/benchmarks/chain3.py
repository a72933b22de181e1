"""chain3: input → process → output. CPU of the whole process (loop, writer's thread, database driver) per execution
with 100 in flight, beside the floor; the rate with 1,000 in flight; and with ten viewers, where each output has 1 KB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from asgiref.sync import sync_to_async

from tests.benchmarks import floor, load, onlookers, site
from tests.benchmarks.figures import Figure, figure, middle

EXECUTIONS, ROUNDS = site.many(2_000), 3


@dataclass
class Rounds:
    """What each of the interleaved rounds gave."""

    hundred: list[load.Taken] = field(default_factory=list)
    floors: list[floor.Spent] = field(default_factory=list)
    thousand: list[load.Taken] = field(default_factory=list)
    watched: list[load.Taken] = field(default_factory=list)
    seen: int = 0


def main() -> None:
    site.set_up()
    site.say(asyncio.run(measured(site.published(site.CHAIN3))))


async def measured(workflow_id: int) -> dict[str, Figure]:
    from executions.hub import current_hub
    from executions.worker import current_worker

    rounds = Rounds()
    await load.in_flight(workflow_id, 300, 100)  # warm
    for _ in range(ROUNDS):
        await one(workflow_id, rounds)
    await current_hub().close()
    await current_worker().close()
    return told(rounds)


async def one(workflow_id: int, rounds: Rounds) -> None:
    rounds.hundred.append(await load.in_flight(workflow_id, EXECUTIONS, 100))
    rounds.floors.append(await sync_to_async(floor.of_the_last)(EXECUTIONS))
    rounds.thousand.append(await load.in_flight(workflow_id, EXECUTIONS, 1_000))
    async with onlookers.watching() as seen:
        rounds.watched.append(await load.in_flight(workflow_id, EXECUTIONS, 100, load.KILOBYTE))
        rounds.seen += len(seen)


def told(rounds: Rounds) -> dict[str, Figure]:
    cpu, watched = [[taken.cpu for taken in some] for some in (rounds.hundred, rounds.watched)]
    rate, more = [[taken.rate for taken in some] for some in (rounds.hundred, rounds.thousand)]
    base = middle([spent.ours for spent in rounds.floors])
    viewers = f"µs ({rounds.seen} seen to their end)"
    return {
        "chain3, 100 in flight: CPU an execution": figure(middle(cpu), "µs", floor=base, at_most=4, rounds=cpu),
        **server(rounds),
        "chain3, 100 in flight": figure(middle(rate), "executions/s", rounds=rate),
        "chain3, 1,000 in flight (floor: 100)": figure(
            middle(more), "executions/s", floor=middle(rate), at_least=0.8, rounds=more
        ),
        "chain3, 10 viewers, 1 KB outputs: CPU": figure(middle(watched), viewers, at_most=200, rounds=watched),
    }


def server(rounds: Rounds) -> dict[str, Figure]:
    """What PostgreSQL's own processes spend, where they can be seen."""
    spent = known([taken.server for taken in rounds.hundred])
    base = known([spent.server for spent in rounds.floors])
    if not spent or not base:
        return {}
    return {"chain3, 100 in flight: CPU of the server": figure(middle(spent), "µs", floor=middle(base), rounds=spent)}


def known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


if __name__ == "__main__":
    main()
