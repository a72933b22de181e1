"""How much a value would weigh as JSON, without writing it: a list that shares one large text among its items is small
in memory, and would fill it when written down."""

from __future__ import annotations

from typing import Any

from workflows.transform.thread import Stop
from workflows.transform.wrong import MOST_BYTES, wrong
from workflows.values import MAX_DEPTH


def require_light(value: Any, stop: Stop | None = None, what: str = "The result") -> Any:
    """Gives it back, or raises WorkflowStepError as soon as it is known to be more than 16 MiB, or too deep."""
    weight, todo, seen = 0, [(value, 0)], 0
    while todo:
        one, depth = todo.pop()
        seen += 1
        if stop and seen % 4_096 == 0:
            stop.ask()
        if isinstance(one, str):
            weight += len(one) + 2
        elif isinstance(one, dict | list):
            if depth >= MAX_DEPTH:
                raise wrong(f"{what} is nested more than {MAX_DEPTH} levels deep.")
            weight += 2 + 2 * len(one)
            inside = one.values() if isinstance(one, dict) else one
            weight += sum(map(len, one)) if isinstance(one, dict) else 0
            todo.extend((item, depth + 1) for item in inside)
        else:
            weight += 4
        if weight > MOST_BYTES:
            raise wrong(f"{what} would be larger than {MOST_BYTES // 1024 // 1024} MiB. Leave out what is not needed.")
    return value
