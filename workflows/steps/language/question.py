"""What a model is asked, whoever it is; and what it answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflows.steps.base import Usage

MOST_TEXT = 2_000_000  # characters of a question; no model of today reads more


@dataclass(frozen=True, slots=True)
class Question:
    """`timeout_s`: for the whole answer, asking again included. `ask_again`: how often, where it does not fit."""

    prompt: str
    system: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_s: float = 120
    schema: Mapping[str, Any] | None = None
    ask_again: int = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """`value`: what was read from it where a schema was given."""

    text: str
    usage: Usage
    value: Any = None


def with_data(prompt: str, data: Mapping[str, Any]) -> str:
    """The prompt, and the data below it as JSON, so that what is asked and what it is asked about stay apart."""
    if not data:
        return prompt
    return f"{prompt}\n\nThe data, as JSON:\n\n{json.dumps(data, ensure_ascii=False, indent=1)}".lstrip()


def added(one: Usage, other: Usage) -> Usage:
    """Of two requests for one answer. The price is known where both are."""
    costs = (one.cost_usd, other.cost_usd)
    return Usage(
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
        None if None in costs else sum(cost for cost in costs if cost is not None),
        other.model or one.model,
    )


def as_words(usage: Usage) -> str:
    """“412 tokens in, 98 out, $0.0012”."""
    if not usage.tokens:
        return "the server did not say how many tokens it used"
    price = f", {dollars(usage.cost_usd)}" if usage.cost_usd is not None else ""
    return f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out{price}"


def dollars(cost: float) -> str:
    """Two digits that count, also of a small fraction of a cent."""
    return f"${cost:.2f}" if cost >= 1 or cost == 0 else f"${cost:.2g}" if cost >= 0.0001 else "under $0.0001"
