"""Which steps can be added, found by plain words: every kind, and the presets that kinds bring along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflows.steps import AnyStep, kinds


@dataclass(frozen=True, slots=True)
class Choice:
    """`name` is "process", or "process:Upper case" for a preset."""

    name: str
    kind: str
    label: str
    help: str
    icon: str
    config: Mapping[str, Any]
    is_outside: bool
    also: str = ""


def choices(query: str = "") -> list[Choice]:
    """Those that a search finds, best first; all of them, in the registry's order, where nothing is searched."""
    words = query.casefold().split()
    found = [(rank, choice) for choice in _all() if (rank := _rank(choice, words)) is not None]
    return [choice for _, choice in sorted(found, key=lambda pair: pair[0])]


def choice(name: str) -> Choice | None:
    return next((one for one in _all() if one.name == name), None)


def _all() -> list[Choice]:
    return [one for kind in kinds().values() for one in (_choice(kind), *_presets(kind))]


def _choice(kind: type[AnyStep]) -> Choice:
    outside = _is_outside(kind, kind.start)
    return Choice(kind.kind, kind.kind, kind.label, kind.help, kind.icon, kind.start, outside, kind.also)


def _presets(kind: type[AnyStep]) -> list[Choice]:
    return [
        Choice(
            f"{kind.kind}:{preset.label}",
            kind.kind,
            preset.label,
            f"{kind.label} step",
            kind.icon,
            preset.config,
            _is_outside(kind, preset.config),
            preset.also,
        )
        for preset in kind.presets
    ]


def _is_outside(kind: type[AnyStep], config: Mapping[str, Any]) -> bool:
    return kind.effects_of(config) == "outside"


def _rank(choice: Choice, words: list[str]) -> int | None:
    """0 where what is searched is another word for it, 1 where its label begins with it, 2 where words of the label
    do, 3 for words elsewhere; None for none."""
    label, also = choice.label.casefold(), choice.also.split()
    starts = [*label.split(), choice.kind]
    if " ".join(words) in also:
        return 0
    if label.startswith(" ".join(words)):
        return 1
    for rank, places in ((2, starts), (3, [*starts, *also, *choice.help.casefold().replace(",", " ").split()])):
        if all(any(place.startswith(word) for place in places) for word in words):
            return rank
    return None
