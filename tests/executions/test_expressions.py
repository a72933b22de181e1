"""Expressions in a run: what they see, that they stay the same, and what an error of theirs does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.models import WorkflowExecution
from executions.worker import Worker, current_worker
from tests.executions.conftest import (
    answer,
    bounded,
    chain,
    drawn,
    entries,
    make,
    make_stored,
    node,
    run,
    submit,
    told,
    until,
)
from tests.steps import LEFT
from workflows import steps
from workflows.evaluation.pool import POOL
from workflows.graph import parse

pytestmark = pytest.mark.django_db(transaction=True)


async def failed(definition: Any, given: Any = None) -> WorkflowExecutionError:
    with pytest.raises(WorkflowExecutionError) as caught:
        await bounded(run(definition, given))
    return caught.value


async def test_a_step_sees_the_input_its_data_and_the_outputs_of_those_before_it() -> None:
    definition = chain(
        node("fetch", "test_echo", value={"title": "News", "rows": [1, 2]}),
        node("other"),
        node("use", "test_echo", value="{{ steps.fetch.output.fetch.title }} for {{ input.name | upper }}"),
        node("whole", "test_echo", value="{{ steps.fetch.output.fetch.rows }}"),
        node("data", "test_echo", value={"deep": ["{{ data.use }}", "{{ input.n + 1 }}"]}),
    )
    result = await bounded(run(definition, {"name": "Ada", "n": 1}))

    assert result.output_data["use"] == "News for ADA"
    assert result.output_data["whole"] == [1, 2]
    assert result.output_data["data"] == {"deep": ["News for ADA", 2]}


async def test_an_output_is_what_that_step_gave_and_not_what_came_with_it() -> None:
    definition = chain(node("a"), node("b"), node("c", "test_echo", value="{{ steps.b.output | tojson }}"))
    result = await bounded(run(definition, {"secretly": "there"}))

    assert result.output_data["c"] == '{"b": 1}'


async def test_a_step_that_was_skipped_or_failed_can_be_asked_for() -> None:
    definition = drawn(
        [
            node("ask", "branch", conditions=[{"path": "{{ input.amount > 100 }}", "operator": "true"}]),
            node("much"),
            node("little", "test_fail", message="No", policy={"on_failure": "continue"}),
            node(
                "end",
                "test_echo",
                value="{{ steps.much.status }} {{ steps.little.status }} {{ steps.little.error.message }}",
            ),
        ],
        *("ask:true>much", "ask:false>little", "much>end", "little>end"),
    )
    result = await bounded(run(definition, {"amount": 5}))

    assert result.output_data["end"] == "skipped failed No"


@pytest.mark.parametrize(("amount", "way"), [(120, "true"), (5, "false")])
async def test_a_condition_may_be_an_expression(amount: int, way: str) -> None:
    conditions = [{"path": "{{ input.amount }}", "operator": "greater", "value": "{{ vars_limit | default(100) }}"}]
    definition = drawn(
        [node("ask", "branch", conditions=conditions), node("true"), node("false")], "ask:true>true", "ask:false>false"
    )
    result = await bounded(run(definition, {"amount": amount}))

    assert way in result.output_data
    (said,) = [entry.data["text"] for entry in await entries(result.execution_id) if entry.kind == "logged"]
    assert "input.amount" in said and str(amount) in said


async def test_a_for_each_takes_its_list_from_an_expression() -> None:
    definition = drawn(
        [
            node("fetch", "test_echo", value={"rows": [1, 2, 3]}),
            node("each", "for_each", items="{{ steps.fetch.output.fetch.rows }}"),
            node("item", "test_echo", value="{{ input.item * 10 }}"),
        ],
        *("fetch>each", "each:each>item"),
    )
    result = await bounded(run(definition))

    assert [one["item"] for one in result.output_data["items"]] == [10, 20, 30]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{{ input.titel }}", ["Value, column 4: “input.titel” is not there", "has title"]),
        ("{{ input.titel | upper }}", ["Value, column", "titel"]),
        ("a\nb {{ 1 + }}", ["Value, line 2, column"]),
    ],
)
async def test_what_cannot_be_worked_out_fails_its_step_at_once_and_says_where(value: str, words: list[str]) -> None:
    definition = chain(node("a", "test_echo", value=value, policy={"attempts": 5}))
    workflow = await make_stored(definition)
    with pytest.raises(WorkflowExecutionError) as caught:
        await bounded(WorkflowEngine().execute_workflow(workflow.pk, {"title": "t"}))

    for word in words:
        assert word in str(caught.value)
    execution = await WorkflowExecution.objects.alatest("pk")
    error: Any = execution.error
    assert error["type"] == "ExpressionError" and error["details"]["setting"] == "value"
    assert await told(execution.pk) == ["queued", "started", "started a", "failed a", "finished"]


async def test_a_value_of_the_wrong_kind_is_said_as_the_form_calls_it() -> None:
    error = await failed(chain(node("a", "test_echo", number="{{ input.n }}")), {"n": "many"})

    assert str(error) == "Number must be a number; it is “many”."


async def test_an_expression_is_worked_out_again_with_the_same_clock_after_a_takeover_and_a_retry(
    engine_room: Worker,
) -> None:
    definition = chain(
        node("a", "test_echo_later", value="{{ now }} {{ data | length }}"),
    )
    execution_id = await submit(definition)
    await until(execution_id, "waiting")
    before = next(entry for entry in await entries(execution_id) if entry.kind == "waited").data["reason"]
    await current_worker().stop(0)
    await answer(execution_id, "a")
    await current_worker().start()
    done = await until(execution_id, "completed")

    assert done.output_data["value"] == before


async def test_a_retry_sees_the_clock_of_the_first_attempt() -> None:
    LEFT["flaky"] = 1
    definition = chain(
        node("a", "test_flaky", policy={"attempts": 2, "backoff_s": 0}), node("b", "test_echo", value="{{ now }}")
    )
    result = await bounded(run(definition))
    started = [entry for entry in await entries(result.execution_id) if entry.kind == "started" and entry.node == "b"]

    assert result.output_data["b"] == started[0].at.isoformat()


async def test_a_large_output_is_found_by_its_path() -> None:
    rows = ["x" * 1000] * 2000
    definition = chain(
        node("a", "test_echo", value=rows),
        node("b", "test_echo", value="{{ steps.a.output.a }}"),
        node("c", "test_echo", value="{{ steps.a.output.a[0] }}"),
    )
    result = await bounded(run(definition))

    assert result.output_data["b"] == rows and result.output_data["c"] == "x" * 1000


async def test_a_step_that_never_ends_its_expression_leaves_the_others_alone() -> None:
    loops = "".join(f"{{% for {name} in data.l %}}" for name in "abcd")
    bomb = loops + "x" + "{% endfor %}" * 4
    error = await failed(chain(node("a", "test_echo", value=bomb)), {"l": list(range(1000))})
    result = await bounded(run(chain(node("a", "test_echo", value="{{ 1 + 1 }}"))))

    assert "Value" in str(error)
    assert result.output_data == {"a": 2}


async def test_a_kind_that_cannot_read_old_settings_fails_its_step_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    definition = chain(node("a"), node("b", "test_echo", value="{{ data.a }}", number=7))
    workflow = await make(definition)

    def upgrade(cls: Any, old: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("gone")

    monkeypatch.setattr(steps.kinds()["test_echo"], "upgrade", classmethod(upgrade))
    with pytest.raises(WorkflowExecutionError, match="gone"):
        await bounded(WorkflowEngine().execute_workflow(workflow.pk, {}))

    execution = await WorkflowExecution.objects.alatest("pk")
    assert (await told(execution.pk))[-3:] == ["started b", "failed b", "finished"]


# What publishing says


def problems(*nodes: dict[str, Any], edges: tuple[str, ...] = ()) -> list[tuple[str, str | None, str]]:
    definition = drawn(list(nodes), *edges) if edges else chain(*nodes)
    return [(one.code, one.field, one.message) for one in steps.problems(parse(definition)) if one.level == "error"]


def test_publishing_leaves_values_that_are_not_known_yet_to_the_run() -> None:
    assert not problems(node("a"), node("b", "test_echo", number="{{ data.a }}", value="{{ steps.a.output.a }}"))


def test_publishing_still_refuses_what_no_expression_can_mend() -> None:
    found = problems(node("a", "test_echo", number="many", value="{{ input.x }}"))

    assert [(code, field) for code, field, _ in found] == [("step.config", "number")]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{{ steps.gone.output }}", "names the step “gone”, which is not there. Before it there are: a."),
        ("{{ steps.c.output }}", "names the step “c”, which does not come before it"),
        ("{{ steps.b.output }}", "names the step “b”, which is that step itself"),
    ],
)
def test_publishing_names_a_step_that_cannot_be_asked_for(value: str, words: str) -> None:
    ((code, field, message),) = problems(node("a"), node("b", "test_echo", value={"x": [value]}), node("c"))

    assert (code, field) == ("expression.step", "value.x.0") and words in message


def test_a_loop_does_not_see_the_steps_around_it() -> None:
    ((code, _, message),) = problems(
        node("a"),
        node("each", "for_each"),
        node("item", "test_echo", value="{{ steps.a.output.x }}"),
        edges=("a>each", "each:each>item"),
    )

    assert code == "expression.step" and "outside of the loop" in message


def test_publishing_refuses_what_is_written_wrong_with_its_place() -> None:
    ((code, field, message),) = problems(node("a", "test_echo", value="{{ input.x + }}"))

    assert (code, field) == ("step.config", "value") and "Value, column" in message


async def test_expressions_that_take_long_hold_no_thread_that_others_need(
    engine_room: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for one of two children waits among those who do the same."""
    may_go_on, real = threading.Event(), POOL.ask

    def late(*args: Any) -> Any:
        may_go_on.wait(60)
        return real(*args)

    monkeypatch.setattr(POOL, "ask", late)
    try:
        slow = [await submit(chain(node("a", "test_echo", value="{{ 1 + 1 }}"))) for _ in range(40)]
        async with asyncio.timeout(20):
            while await WorkflowExecution.objects.filter(pk__in=slow, status="running").acount() < 40:
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(len, "others") == 6
    finally:
        may_go_on.set()
    for execution_id in slow:
        assert (await until(execution_id, "completed")).output_data == {"a": 2}
