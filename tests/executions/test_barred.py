"""A workflow of which three expressions had to be stopped: others of it wait, and what is under way goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from executions.engine import WorkflowEngine
from executions.worker import Worker
from tests.executions.conftest import answer, become_due, chain, make, node, told, until
from workflows.evaluation.pool import KILLS, POOL

pytestmark = pytest.mark.django_db(transaction=True)

HANG = "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a | string | length }}"


@pytest.fixture(autouse=True)
def _nobody_is_kept_out() -> Iterator[None]:
    POOL.forgive()
    yield
    POOL.forgive()


VALUE = "{% if input.hangs %}" + HANG + "{% else %}{{ input.n + 1 }}{% endif %}"


async def submitted(workflow_id: int, *, hangs: bool) -> int:
    return await WorkflowEngine().submit_workflow(workflow_id, {"hangs": hangs, "n": 1})


async def barred(workflow_id: int) -> None:
    for _ in range(KILLS):
        await until(await submitted(workflow_id, hangs=True), "failed", "waiting")


async def test_a_step_that_waited_meanwhile_has_its_values_all_the_same(engine_room: Worker) -> None:
    """What was worked out before can be worked out again: the same settings, after a wait as after a crash."""
    workflow = await make(chain(node("a", "test_echo_later", value=VALUE)))
    execution_id = await submitted(workflow.pk, hangs=False)
    await until(execution_id, "waiting")
    await barred(workflow.pk)
    await answer(execution_id, "a", "yes")

    assert (await until(execution_id, "completed", "failed")).output_data["value"] == "2"


async def test_who_is_kept_out_may_try_again_as_the_step_says(engine_room: Worker) -> None:
    """Nothing is wrong with its expression, and the minute passes."""
    again = {"attempts": 2, "backoff_s": 30}
    workflow = await make(chain(node("a", "test_echo", value=VALUE, policy=again)))
    await barred(workflow.pk)
    execution_id = await submitted(workflow.pk, hangs=False)
    await until(execution_id, "waiting")
    assert "retried a" in await told(execution_id)
    POOL.forgive()
    await become_due(execution_id)

    assert (await until(execution_id, "completed", "failed")).output_data["a"] == "2"


async def test_what_hangs_by_itself_is_not_tried_again(engine_room: Worker) -> None:
    workflow = await make(chain(node("a", "test_echo", value=VALUE, policy={"attempts": 2, "backoff_s": 30})))
    execution_id = await submitted(workflow.pk, hangs=True)

    assert "stopped" in (await until(execution_id, "waiting", "failed")).error_message
