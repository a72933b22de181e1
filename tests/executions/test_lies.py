"""Steps that lie about themselves: what they answer is data, and nothing that they say breaks the engine."""

from __future__ import annotations

from typing import Any

import pytest

from executions.engine import WorkflowEngine
from executions.models import StepUsage
from executions.worker import Worker
from tests.executions.conftest import chain, make, node, until
from workflows.errors import WorkflowStepError
from workflows.steps import base, register

pytestmark = pytest.mark.django_db(transaction=True)


#: number -> what a step says that it used; a definition could not hold all of it
SAID: list[dict[str, Any]] = [
    {"input_tokens": "many"},
    {"input_tokens": None},
    {"input_tokens": float("inf")},
    {"input_tokens": -5},
    {"input_tokens": 10**30},
    {"output_tokens": [1]},
    {"cost_usd": "dear"},
    {"cost_usd": float("nan")},
    {"cost_usd": float("inf")},
    {"cost_usd": 10**400},
    {"cost_usd": {}},
    {"model": "x\0y"},
    {"model": "\ud800"},
    {"model": {"deep": 1}},
]


@register
class Boast(base.Step["Boast.Config"]):
    """Says that it used what nobody can use."""

    kind, label = "test_boast", "Boast"

    class Config(base.Config):
        said: int
        fails: bool = False

    async def run(self, ctx: base.StepContext) -> base.Done:
        said = SAID[self.config.said]
        if self.config.fails:
            raise WorkflowStepError("It failed by itself.", {"usage": {"output_tokens": 1, **said}})
        return base.Done({"fine": True}, usage=base.Usage(**{"output_tokens": 1, **said}))


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
@pytest.mark.parametrize("said", range(len(SAID)), ids=[str(said) for said in SAID])
async def test_what_a_step_cannot_have_used_is_made_to_fit_or_left_out(
    engine_room: Worker, said: int, fails: bool
) -> None:
    """The budget is one thing, what the step did another."""
    definition = chain(node("a", "test_boast", said=said, fails=fails))
    execution_id = await WorkflowEngine().submit_workflow((await make(definition)).pk)
    found = await until(execution_id, "completed", "failed")

    assert (found.status, found.error_message) == (("failed", "It failed by itself.") if fails else ("completed", ""))
    assert await StepUsage.objects.filter(execution=execution_id, output_tokens__lte=1).acount() == 1
