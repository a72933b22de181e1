"""What follows when a step fails: tried again, after how long, and which way the execution goes then. Pure.

Kept as `data.policy` of a step in a definition.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_DELAY_S = 366 * 86_400.0


class Policy(BaseModel):
    """`attempts` counts the first. Between two of them: `backoff_s`, doubled each time, up to `backoff_max_s`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    attempts: int = Field(1, ge=1, le=1_000, title="Attempts", description="How often it is tried in all.")
    backoff_s: float = Field(
        1, ge=0, le=86_400, title="Wait before the second attempt", description="In seconds; doubled each time."
    )
    backoff_max_s: float = Field(
        300, ge=0, le=30 * 86_400, title="Longest wait", description="In seconds. Some chance is added to every wait."
    )
    timeout_s: float | None = Field(
        None, gt=0, le=366 * 86_400, title="Time limit", description="Seconds that one attempt may take; empty: none."
    )
    on_failure: Literal["stop", "continue", "error"] = Field(
        "stop",
        title="When it fails for good",
        description="stop: the execution fails. continue: goes on as if nothing had been added. error: goes on by the "
        "connection “error”.",
        json_schema_extra={
            "words": {
                "stop": "the execution stops",
                "continue": "it goes on without this step",
                "error": "it goes on by “error”",
            }
        },
    )

    def delay_s(self, failures: int, retry_after_s: float | None = None, chance: float | None = None) -> float:
        """How long to wait after so many failures: with jitter of up to a half, so that many do not come back at once.

        What the other side asked for (Retry-After) is waited in any case.
        """
        planned = min(self.backoff_max_s, self.backoff_s * 2.0 ** min(failures - 1, 60))
        jittered = planned * (0.5 + 0.5 * (random.random() if chance is None else chance))
        return min(MAX_DELAY_S, max(jittered, retry_after_s or 0.0))


DEFAULT = Policy.model_validate({})


def policy_of(data: Mapping[str, Any]) -> Policy:
    """That of a step's data; the default where it is not there or wrong, which publishing refuses."""
    given = data.get("policy")
    if not given:
        return DEFAULT
    try:
        return Policy.model_validate(given)
    except ValidationError:
        return DEFAULT
