"""“When it fails” in a step's form: its policy as fields, and in one line what holds. No Django."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflows import config
from workflows.policy import Policy, policy_of
from workflows.steps import policy_errors
from workflows.words import count

PREFIX = "policy."
AFTERWARDS = {
    "stop": "the execution stops",
    "continue": "the execution goes on without it",
    "error": "the execution goes on by “error”",
}


@dataclass(frozen=True, slots=True)
class Section:
    """`words`: “Tried once; the execution stops”. `is_set`: something differs from what holds anyway."""

    settings: list[config.Setting]
    words: str
    is_set: bool
    errors: tuple[str, ...]


def section(data: Mapping[str, Any]) -> Section:
    """Of a step's data. `errors`: what is wrong with the policy as a whole."""
    given, errors = data.get("policy"), dict[str, list[str]]()
    for place, text in policy_errors(dict(data)):
        errors.setdefault(f"{PREFIX}{place}", []).append(text)
    settings = config.settings(Policy, given if isinstance(given, dict) else {}, errors, PREFIX)
    words = "This is not followed before it is mended" if errors else said(policy_of(data))
    return Section(settings, words, bool(given), tuple(errors.get(PREFIX, ())))


def read(typed: Mapping[str, str], data: Mapping[str, Any]) -> dict[str, Any]:
    """The step's data with the policy that was typed; what was no policy at all stays until a field is set."""
    given = data.get("policy")
    made = config.read(Policy, typed, given if isinstance(given, dict) else {}, PREFIX)
    if made:
        return {**data, "policy": made}
    return {key: value for key, value in data.items() if key != "policy" or not isinstance(value, dict | None)}


def said(policy: Policy) -> str:
    """Tried 3 times, with waits of 1 s, 2 s; then the execution stops"""
    limit = f", at most {policy.timeout_s:g} s each time" if policy.timeout_s else ""
    tried = f"Tried {count(policy.attempts, 'time')}{_waits(policy)}{limit}; then " if policy.attempts > 1 else ""
    return (tried or f"Tried once{limit.replace(' each time', '')}; ") + AFTERWARDS[policy.on_failure]


def _waits(policy: Policy) -> str:
    waits = [min(policy.backoff_max_s, policy.backoff_s * 2.0**n) for n in range(min(policy.attempts - 1, 3))]
    more = ", …" if policy.attempts > 4 else ""
    return f", about {', '.join(f'{wait:g} s' for wait in waits)}{more} apart"
