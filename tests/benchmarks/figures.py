"""One figure of the table: a value, beside it a floor of the same run, the spread over its rounds, and its target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]  # value, unit; where there are some: floor, ratio, low, high, target, is_met


def figure(
    value: float,
    unit: str,
    *,
    floor: float | None = None,
    at_most: float | None = None,
    at_least: float | None = None,
    rounds: Sequence[float] = (),
) -> Figure:
    """The target is about the ratio where there is a floor, else about the value. `rounds`: all values of the run."""
    told: Figure = {"value": value, "unit": unit}
    if floor is not None:
        told |= {"floor": floor, "ratio": value / floor}
    if rounds:
        told |= {"low": min(rounds), "high": max(rounds)}
    return told | _aimed(told.get("ratio", value), at_most, at_least)


def _aimed(value: float, at_most: float | None, at_least: float | None) -> Figure:
    if at_most is not None:
        return {"target": f"≤ {at_most:g}", "is_met": value <= at_most}
    if at_least is not None:
        return {"target": f"≥ {at_least:g}", "is_met": value >= at_least}
    return {}


def missing(why: str) -> Figure:
    """In place of a figure that could not be taken."""
    return {"value": None, "unit": why}


def middle(values: Sequence[float]) -> float:
    return part(values, 0.5)


def part(values: Sequence[float], share: float) -> float:
    """0.99: the value that 99 of 100 do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
