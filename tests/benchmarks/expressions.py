"""What an expression costs, by the clock of the process that asks: in a batch, alone, and as a plain path."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.benchmarks import site
from workflows.evaluation import evaluator
from workflows.evaluation.evaluator import Template
from workflows.jail import children as jail

CONTEXT: dict[str, Any] = {
    "input": {"amount": 120, "name": "Ada"},
    "steps": {"fetch": {"output": {"title": "A title", "items": [{"id": n, "price": n / 7} for n in range(100)]}}},
    "now": "2026-11-24T12:30:00+00:00",
}
LARGE = {"rows": [{"id": n, "name": f"name {n}", "tags": ["a", "b"]} for n in range(5_000)]}


def main() -> None:
    sums = [Template(f"{{{{ input.amount * 2 + {n} }}}}", True) for n in range(20)]
    texts = [Template(f"Dear {{{{ input.name | upper }}}}, {n}") for n in range(20)]
    began = time.perf_counter()
    evaluator.evaluate(sums[:1], CONTEXT)
    started = time.perf_counter() - began
    site.say(
        {
            "expression: first, child started": {"value": started * 1e3, "unit": "ms"},
            "expression: small, batch of 20": {"value": micros(sums, CONTEXT, 500) / 20, "unit": "µs each"},
            "expression: text, batch of 20": {"value": micros(texts, CONTEXT, 500) / 20, "unit": "µs each"},
            "expression: small, alone": {"value": micros(sums[:1], CONTEXT, 3_000), "unit": "µs"},
            "expression: plain path": {"value": path(), "unit": "µs"},
            "expression: filter of 100 items": {"value": many(), "unit": "µs"},
            "expression: 250 kB of context": {"value": large(), "unit": "ms"},
            "jail": {"value": None, "unit": jail.strength().level},
        }
    )
    evaluator.close()


def path() -> float:
    return micros([Template("{{ steps.fetch.output.title }}", True)], CONTEXT, 10_000)


def many() -> float:
    source = "{{ steps.fetch.output.items | selectattr('price', 'gt', 5) | map(attribute='id') | list }}"
    return micros([Template(source, True)], CONTEXT, 500)


def large() -> float:
    return micros([Template("{{ rows | length }}", True)], LARGE, 50) / 1e3


def micros(templates: Sequence[Template], context: dict[str, Any], turns: int) -> float:
    """The median of one call, of `turns`."""
    took = []
    for _ in range(turns):
        began = time.perf_counter()
        evaluator.evaluate(templates, context)
        took.append(time.perf_counter() - began)
    return sorted(took)[turns // 2] * 1e6


if __name__ == "__main__":
    main()
