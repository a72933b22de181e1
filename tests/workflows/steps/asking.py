"""An ai step by itself, with a provider on loopback: what it answers, what it writes, how it fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.providers import KEY, Provider
from tests.workflows.steps.conftest import step
from workflows.errors import WorkflowStepError
from workflows.steps.base import StepContext

DIALECTS = {
    "openai:gpt-5-mini": lambda provider: provider.openai,
    "openai-compatible:llama3.2": lambda provider: provider.openai,
    "anthropic:claude-haiku-4-5": lambda provider: provider.anthropic,
}


def address(provider: Provider, model: str) -> str:
    return DIALECTS[model](provider)


@dataclass
class Room:
    """`lines`: as they were written. `revealed`: (name, host) of each secret that was asked for."""

    data: Mapping[str, Any] = field(default_factory=dict)
    tokens_left: int | None = None
    secrets: Mapping[str, str] = field(default_factory=lambda: {"provider_key": KEY})
    lines: list[tuple[str, str]] = field(default_factory=list)
    revealed: list[tuple[str, str]] = field(default_factory=list)
    heard: Callable[[str], object] = lambda text: None

    def context(self) -> StepContext:
        return StepContext(
            {},
            self.data,
            "a",
            1,
            datetime.now(UTC),
            "1:a:0",
            self._write,
            reveal=self._reveal,
            tokens_left=self.tokens_left,
        )

    async def run(self, **config: Any) -> Any:
        outcome = step("ai", **config).run(self.context())
        return await outcome if inspect.isawaitable(outcome) else outcome

    async def failure(self, **config: Any) -> WorkflowStepError:
        try:
            outcome = await self.run(**config)
        except WorkflowStepError as error:
            return error
        raise AssertionError(f"It did not fail: {outcome}")

    def said(self, level: str = "info") -> list[str]:
        return [text for one, text in self.lines if one == level]

    def _write(self, level: str, text: str) -> None:
        self.lines.append((level, text))
        self.heard(text)

    def _reveal(self, name: str, host: str) -> str:
        self.revealed.append((name, host))
        return self.secrets[name]
