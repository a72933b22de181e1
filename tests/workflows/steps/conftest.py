"""One step by itself: what it answers and what it writes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from workflows.graph import Node
from workflows.steps import make
from workflows.steps.base import StepContext


def step(kind: str, **config: Any) -> Any:
    """As a published node makes it. Raises ValidationError for settings that are wrong."""
    return make(Node("a", kind, config))


def run(kind: str, data: dict[str, Any], *, time_zone: str = "", **config: Any) -> tuple[Any, list[str]]:
    """The outcome, and the lines with their level where that is not "info"."""
    lines: list[str] = []

    def write(level: str, text: str) -> None:
        lines.append(text if level == "info" else f"{level}: {text}")

    ctx = StepContext(data, data, "a", 1, datetime.now(UTC), "1:a:0", write, time_zone)
    return asyncio.run(step(kind, **config).run(ctx)), lines
