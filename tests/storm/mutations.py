"""Guards of the engine, taken away in the process that is to be killed: the points then go red. See test_points.py.

The fence, the order of units and what else needs two who are alive are in tests/faults/test_mutations.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any


def without_transactions() -> None:
    """Each statement is on disk at once (SQLite)."""
    from executions import crashpoints

    crashpoints.transaction = SimpleNamespace(atomic=nullcontext)  # type: ignore[assignment]


def record_before_effect() -> None:
    """A step's end is written down, and only then is the step asked to do its work."""
    from django.utils import timezone

    from executions.workshop import Ended, Workshop
    from workflows.steps.base import Done

    async def careless(workshop: Workshop, node: str, attempt: int, answer: Callable[[], Any], *rest: Any) -> None:
        workshop._tell(Ended(node, attempt, Done({node: "marked"}), 0, timezone.now()))
        await asyncio.sleep(0.2)
        await answer()

    Workshop._work = careless  # type: ignore[method-assign,assignment]


def own_writes_after_record() -> None:
    """A step's own rows are written in a transaction of their own, after the record of its end."""
    from executions import journal

    real = journal.write

    def careless(batch: Sequence[Any]) -> list[Any]:
        commits = {id(item): item.commit for item in batch if getattr(item, "commit", None)}
        for item in batch:
            if id(item) in commits:
                item.commit = None
        results = list(real(batch))
        for item in batch:
            if id(item) in commits:
                item.commit = commits[id(item)]
                item.commit()
        return results

    journal.write = careless


MUTATIONS: dict[str, Callable[[], None]] = {
    "transactions": without_transactions,
    "effect first": record_before_effect,
    "own writes": own_writes_after_record,
}
