"""Where expressions stand, what they name, and what comes of them. Pure: no database; the evaluator is the real one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import expressions
from workflows.evaluation import evaluator, lookup
from workflows.evaluation.pool import MINUTE, POOL, Ended
from workflows.expressions import Expression, ExpressionError, found_in, resolved

SCOPE: dict[str, Any] = {
    "input": {"amount": 120, "name": "Ada", "a-b": {"c d": 1}, "items": [{"x": 1}, {"x": 2}], "none": None},
    "data": {"title": "T"},
    "steps": {"fetch": {"status": "completed", "output": {"title": "News", "rows": [1, 2.5, "3"]}, "error": None}},
    "vars": {"limit": 100},
    "now": "2026-11-24T12:00:00+00:00",
    "execution": {"id": 7},
}


def worked_out(source: Any, scope: dict[str, Any] = SCOPE) -> Any:
    settings = {"value": source}
    return resolved(settings, found_in(settings), scope)["value"]


def refused(source: str, scope: dict[str, Any] = SCOPE) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        worked_out(source, scope)
    return caught.value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ input.amount }}", 120),
        ("{{input.amount}}", 120),
        ("  {{ input.amount }}\n", 120),
        ("{{ input['a-b']['c d'] }}", 1),
        ('{{ input["items"][-1].x }}', 2),
        ("{{ input.items.0 }}", {"x": 1}),
        ("{{ steps.fetch.output }}", {"title": "News", "rows": [1, 2.5, "3"]}),
        ("{{ steps['fetch'].output.rows }}", [1, 2.5, "3"]),
        ("{{ input.none }}", None),
        ("{{ vars.limit }}", 100),
        ("{{ now }}", "2026-11-24T12:00:00+00:00"),
        ("{{ execution.id }}", 7),
        ("{{ input.amount > vars.limit }}", True),
        ("{{ input.amount + 0.5 }}", 120.5),
        ("{{ input.items | length }}", 2),
        ("{{ input.missing | default('none there') }}", "none there"),
        ("Hello {{ input.name }}!", "Hello Ada!"),
        ("{{ input.name }} {{ input.amount }}", "Ada 120"),
        ("{% for one in input['items'] %}{{ one.x }};{% endfor %}", "1;2;"),
        ("{% if input.amount > 100 %}much{% else %}little{% endif %}", "much"),
        ("{{ '}}' }}", "}}"),
        ("{{ '{{' }} input", "{{ input"),
        ("{# nothing #}{{ input.name }}", "Ada"),
        ("no expression", "no expression"),
        (12, 12),
    ],
)
def test_a_whole_value_keeps_its_type_and_mixed_text_is_text(source: Any, value: Any) -> None:
    answer = worked_out(source)

    assert answer == value and type(answer) is type(value)


def test_expressions_are_worked_out_however_deep_they_stand_and_nothing_else_is_touched() -> None:
    settings = {"url": "https://x/{{ input.name }}", "rows": [{"value": "{{ input.items }}", "n": 1}], "n": None}

    made = resolved(settings, found_in(settings), SCOPE)

    assert made == {"url": "https://x/Ada", "rows": [{"value": [{"x": 1}, {"x": 2}], "n": 1}], "n": None}
    assert settings["rows"] == [{"value": "{{ input.items }}", "n": 1}]


def test_what_a_step_does_with_a_setting_does_not_reach_the_data_that_it_came_from() -> None:
    worked_out("{{ input.items }}").append("changed")

    assert SCOPE["input"]["items"] == [{"x": 1}, {"x": 2}]


def test_a_setting_that_is_literal_is_left_alone() -> None:
    assert not found_in({"source": "const a = `{{ input }}`"}, frozenset({"source"}))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ input.amuont }}", ["“input.amuont” is not there", "input has amount"]),
        ("{{ steps.fetch.output.titel }}", ["“steps.fetch.output.titel” is not there", "has title, rows"]),
        ("{{ input.items[5] }}", ["“input.items[5]”", "a list with 2 items"]),
        ("{{ input.none.x }}", ["“input.none.x”", "null"]),
        ("{{ input.amount.x }}", ["“input.amount.x”"]),
        ("{{ steps.gone.output }}", ["steps.gone", "has fetch"]),
        ("{{ input.amuont + 1 }}", ["amuont"]),
        ("{{ inptu.amount + 1 }}", ["inptu"]),
        ("{{ input.amount + }}", ["column"]),
        ("text {{ input.amount | nofilter }}", ["nofilter"]),
        ("{{ 1 / 0 }}", ["division by zero"]),
    ],
)
def test_an_error_says_what_is_missing_and_what_is_there_instead(source: str, words: list[str]) -> None:
    error = refused(source)

    assert error.is_permanent
    for word in words:
        assert word in error.message


def test_an_error_names_the_line_where_there_are_several() -> None:
    settings = {"value": "one\ntwo {{ input.amount + }}"}
    called = lambda place: "Body"  # noqa: E731

    with pytest.raises(ExpressionError, match=r"^Body, line 2, column \d+: ") as caught:
        resolved(settings, found_in(settings), SCOPE, "", called)

    assert caught.value.details["line"] == 2 and caught.value.details["setting"] == "value"


def test_an_error_never_tells_what_stands_in_the_data() -> None:
    scope = {**SCOPE, "input": {"name": "the-private-words", "amount": 1}}

    for source in ("{{ input.name + 1 }}", "{{ input.name.x }}", "{{ input.name / 2 }} x", "{{ input.name() }}"):
        assert "the-private-words" not in str(refused(source, scope)) + json.dumps(refused(source, scope).details)


def test_only_what_is_named_goes_to_the_evaluator() -> None:
    large = {"title": "t", "rows": ["x" * 1000] * 5000}
    scope = {**SCOPE, "steps": {"fetch": {"output": large}}}

    assert worked_out("{{ steps.fetch.output.title | upper }}", scope) == "T"
    known = lookup.needed(["{{ steps.fetch.output.title | upper }}"], scope)
    assert known == {"steps": {"fetch": {"output": {"title": "t"}}}}
    assert "1 MiB" in refused("{{ steps.fetch.output | length }}", scope).message


def test_a_large_value_goes_over_as_it_is_where_it_is_one_path() -> None:
    rows = ["x" * 1000] * 5000

    assert worked_out("{{ input.rows }}", {**SCOPE, "input": {"rows": rows}}) == rows


def test_numbers_of_any_size_go_over_exactly_where_they_are_one_path() -> None:
    assert worked_out("{{ input.n }}", {"input": {"n": 10**400}}) == 10**400
    assert worked_out("{{ input.n }}", {"input": {"n": 0.1 + 0.2}}) == 0.1 + 0.2


@pytest.mark.parametrize("source", ["{{ secrets.KEY }}", "x {{ secrets['KEY'] }}", "{% if secrets.KEY %}x{% endif %}"])
def test_no_expression_reads_a_secret(source: str) -> None:
    fault = expressions.fault_in(source)

    assert fault is not None and "field for secrets" in fault.message
    refused(source)


@pytest.mark.parametrize("source", ["{{ steps }}", "{{ steps[input.name] }}", "{{ steps | length }}", "{{ steps.0 }}"])
def test_steps_are_named_one_by_one(source: str) -> None:
    fault = expressions.fault_in(source)

    assert fault is not None and "id of a step" in fault.message


@pytest.mark.parametrize("source", ["{{ input.a", "{{ 'a }}", "{% if input.a", "{{"])
def test_an_expression_that_never_ends_is_a_fault(source: str) -> None:
    assert expressions.fault_in(source) is not None
    refused(source)


def test_faults_of_syntax_are_found_before_anything_runs() -> None:
    assert expressions.fault_in("{{ input.a }} and {{ input.b | upper }}") is None
    fault = expressions.fault_in("{{ input.a +* 2 }}")
    assert fault is not None and fault.line == 1 and fault.column


def test_steps_and_variables_are_known_by_what_is_written() -> None:
    found = found_in({"a": "{{ steps.one.output.x + steps['two-2'].output }} {{ vars.rate }}", "b": ["{{ vars.x }}"]})

    assert expressions.steps_named(found) == {"one", "two-2"}
    assert expressions.variables_named(found) == {"rate", "x"}


def test_a_name_in_the_text_around_an_expression_names_nothing() -> None:
    (found,) = found_in({"a": "steps.one says: {{ input.name }} and data"})

    assert found.chains == (("input", "name"),)


def test_a_text_that_is_made_to_be_slow_to_read_is_read_at_once() -> None:
    """Each of these takes minutes where a scanner begins again at every place."""
    hard = ['{{ "' * 5_000, "{{" * 8_000, '{{ "' + '\\"' * 8_000, "{{ input" + " " * 16_000, "{{ input.a" * 1_500]
    for text in hard:
        assert Expression((), text[: expressions.LONGEST]).chains is not None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    assert worked_out("{{ input.value }}", {"input": {"value": value}}) == value


@given(st.text(max_size=200))
def test_any_text_is_worked_out_or_refused_in_words(text: str) -> None:
    settings = {"value": "{{ " + text}
    try:
        resolved(settings, found_in(settings), SCOPE)
    except ExpressionError as error:
        assert error.message


@pytest.fixture(scope="module", autouse=True)
def _children_end() -> Any:
    yield
    evaluator.close()


@pytest.mark.parametrize("source", ["{{ nope }}", "{{ true }}", "{{ none }}", "{{ nope.deeper }}", "a {{ range }} b"])
def test_a_name_that_only_the_engine_may_know_is_not_quick(source: str) -> None:
    """It goes to a child, and the event loop must not wait for one."""
    assert not Expression((), source).is_quick


@pytest.mark.parametrize("source", ["{{ input.a }}", "{{ now }}", 'a {{ steps["x-y"].output[0] }} b {{ vars.z }}'])
def test_paths_from_what_it_may_name_are_quick(source: str) -> None:
    assert Expression((), source).is_quick


@pytest.fixture
def no_children(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    evaluator.close()
    monkeypatch.setattr("workflows.jail.children.sys.executable", "/nowhere/python")
    return monkeypatch


def test_that_no_child_could_be_started_is_not_held_against_an_expression(no_children: pytest.MonkeyPatch) -> None:
    source = "{{ input.amount + 4711 }}"
    fault = expressions.fault_in(source)
    assert fault and fault.message == Ended.NO_CHILD.value
    no_children.undo()
    assert expressions.fault_in(source) is None


def test_a_step_may_be_tried_again_where_no_child_could_be_started(no_children: pytest.MonkeyPatch) -> None:
    error = refused("{{ input.amount + 1 }}")
    assert (error.is_permanent, error.retry_after_s) == (False, 10)
    no_children.undo()
    assert refused("{{ input.nope + 1 }}").is_permanent


def test_a_workflow_that_was_barred_may_try_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(POOL, "_is_barred", lambda owner: True)
    error = refused("{{ input.amount + 1 }}")
    assert (error.is_permanent, error.retry_after_s) == (False, MINUTE)


def test_what_one_person_writes_keeps_nobody_else_from_publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three texts had to be stopped; whoever wrote another one has nothing to do with it."""
    asked: list[str] = []
    monkeypatch.setattr(POOL, "_is_barred", asked.append)
    assert expressions.fault_in("{{ 1 + 47 }}") is None
    assert expressions.fault_in("{{ 1 + 48 }}") is None
    assert len(set(asked)) == 2
    assert "" not in asked


def test_long_texts_that_were_checked_do_not_stay_in_memory() -> None:
    before = expressions._known_fault.cache_info().currsize
    assert expressions.fault_in("x" * expressions.KEPT + "{{ input.amount }}") is None
    assert expressions._known_fault.cache_info().currsize == before


@pytest.mark.parametrize("source", ["{{ data.big }}", "{{ data.text }}", "{{ data.text }}!", '{{ data.text ~ "!" }}'])
def test_values_that_are_too_large_together_are_refused(source: str) -> None:
    """A megabyte of settings that each say {{ data }} would be a terabyte of values."""
    scope = {**SCOPE, "data": {"big": [1] * 100_000, "text": "x" * 1_000_000}}
    settings = {"rows": [source] * 80}
    with pytest.raises(ExpressionError, match="together") as caught:
        resolved(settings, found_in(settings), scope)
    assert caught.value.is_permanent
    few = {"rows": [source] * 20}
    assert len(resolved(few, found_in(few), scope)["rows"]) == 20


def test_few_paths_are_worked_out_at_once_and_many_in_a_thread() -> None:
    paths = found_in({"rows": ["{{ data.title }}"] * (expressions.QUICK + 1)})
    assert expressions.is_quick(paths[: expressions.QUICK])
    assert not expressions.is_quick(paths)
