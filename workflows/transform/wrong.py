"""How a refusal is said. To try again would give the same, so it is permanent."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticCustomError

from workflows.errors import WorkflowStepError

MOST_ROWS = 100_000
MOST_BYTES = 16 * 1024 * 1024  # of a text, a file, or a result


def wrong(message: str, **details: Any) -> WorkflowStepError:
    return WorkflowStepError(message, details, is_permanent=True)


def setting(sentence: str) -> PydanticCustomError:
    """For a Config's own check: the end of “Operations 2, field: …”."""
    return PydanticCustomError("field", "{sentence}", {"sentence": sentence})


def require_few(many: int, what: str) -> None:
    if many > MOST_ROWS:
        raise wrong(f"{what} would give more than {MOST_ROWS:,} items, which is the most that a list may have here.")
