"""The code step: settings, results, and what it says when the code is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pydantic import ValidationError

from tests.workflows.steps.conftest import run, step
from workflows import steps
from workflows.config import read, settings
from workflows.errors import WorkflowStepError
from workflows.graph import parse
from workflows.jail import children as jail
from workflows.steps.code import Code

DATA = {"a": 1, "name": "Ada"}


def failure(source: str, **config: Any) -> WorkflowStepError:
    with pytest.raises(WorkflowStepError) as caught:
        run("code", DATA, source=source, **config)
    return caught.value


def test_an_object_is_the_output_and_anything_else_gets_a_name() -> None:
    assert run("code", DATA, source="return {b: data.a + 1}")[0].output == {"b": 2}
    assert run("code", DATA, source="return data.a + 1")[0].output == {**DATA, "result": 2}
    assert run("code", DATA, source="return [1]", save_as="list")[0].output == {**DATA, "list": [1]}
    assert run("code", DATA, source="return null")[0].output == {**DATA, "result": None}
    assert run("code", DATA, source="console.log(data.name)") == (
        steps.base.Done(DATA),
        ["Ada", "Returned nothing: the data goes on"],
    )


def test_lines_have_their_level() -> None:
    _, lines = run("code", DATA, source="console.warn('careful'); console.error('bad'); console.log('fine')")
    assert lines[:-1] == ["warning: careful", "error: bad", "fine"]
    assert run("code", DATA, source="return {a: 1}")[1] == ["Returned an object with 1 field"]
    assert run("code", DATA, source="return [1, 2]")[1] == ["Returned a list of 2 items"]
    assert run("code", DATA, source="return 'x'")[1] == ["Returned a value"]


@pytest.mark.parametrize(
    ("source", "message", "details"),
    [
        (
            "let x = 1;\n\treturn null.foo;",
            "TypeError: Cannot read properties of null (reading 'foo') (line 2, column 14)\n"
            "2 |  return null.foo;\n                 ^",
            {"line": 2, "column": 14},
        ),
        (
            "let x = (;",
            "This is no JavaScript as it stands: Unexpected token ';' (line 1, column 10)\n"
            "1 | let x = (;\n             ^",
            {"line": 1, "column": 10},
        ),
        ("throw 'no money'", "It threw no money", {}),
        ("throw {code: 4}", 'It threw {"code":4}', {}),
        ("}); (function () {", "a bracket is closed that was not opened in it", {}),
        ("return fetch('x')", "other steps do such things", {"line": 1}),
        ("await new Promise(() => {})", "waits for something that never comes", {}),
        ("return () => 1", "is no JSON", {}),
        ("return 'x'.repeat(2000000)", "more than 1 MiB of JSON", {}),
        ("const all = []; for (;;) all.push(new Array(1e6).fill(1));", "128 MiB of memory", {}),
        ("let a = []; for (let n = 0; n < 5000; n++) a = [a]; return a", "", {}),
        ("setTimeout(() => 1, 1)", "There are no timers here", {"line": 1}),
    ],
)
def test_what_is_wrong_is_said_with_its_place(source: str, message: str, details: dict[str, int]) -> None:
    error = failure(source)
    assert message in error.message
    assert error.details.items() >= details.items()
    assert error.is_permanent


def test_the_place_is_where_it_was_thrown_and_not_where_it_was_called() -> None:
    error = failure(
        "function f(n) {\n  if (n > 3) throw new RangeError('too far');\n  return f(n + 1);\n}\nreturn f(0);"
    )
    assert error.message.startswith("RangeError: too far (line 2, column 20)")


def test_a_long_line_is_shown_around_the_place() -> None:
    error = failure("const a = null; " + "/* " + "x" * 500 + " */ a.b")
    shown, caret = error.message.split("\n")[1:]
    assert len(shown) < 140
    assert shown[caret.index("^")] == "b"


def test_a_time_limit_can_be_tried_again_and_says_how_to_raise_it() -> None:
    error = failure("for (;;) {}", timeout_s=0.2)
    assert error.message.startswith("It took longer than 0.2 s, so it was stopped.")
    assert not error.is_permanent


def test_data_that_is_too_large_is_refused_with_its_size() -> None:
    with pytest.raises(WorkflowStepError, match="4,194,304"):
        run("code", {"x": "y" * 5_000_000}, source="return 1")


@pytest.mark.parametrize(
    "config",
    [{}, {"source": ""}, {"source": "x" * 100_001}, {"source": "1", "timeout_s": 0}, {"source": "1", "timeout_s": 301}],
)
def test_settings_that_are_wrong_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        step("code", **config)


def test_the_source_is_never_an_expression_and_is_typed_as_it_is() -> None:
    assert "source" in Code.literal
    assert run("code", DATA, source="return '{{ data.a }}'")[0].output["result"] == "{{ data.a }}"
    assert read(Code.Config, {"source": "[1, 2]", "timeout_s": "10", "save_as": "result"}, {}) == {"source": "[1, 2]"}
    assert settings(Code.Config, {"source": "return 1"}, {})[0].look == "code"


WEAK = jail.Strength(("limits",), tuple(jail.WORDS))


def test_where_the_jail_is_off_it_is_refused_and_publishing_says_so(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(jail, "strength", lambda: WEAK)
    assert "ALLOW_WEAK_SANDBOX=1" in failure("return 1").message
    (problem,) = steps.problems(_graph())
    assert (problem.level, problem.node) == ("warning", "c")
    assert "off on this server" in problem.message


def test_an_administrator_may_allow_it_and_each_run_says_so(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(jail, "strength", lambda: WEAK)
    settings.ALLOW_WEAK_SANDBOX = True
    outcome, lines = run("code", DATA, source="return {b: 1}")
    assert outcome.output == {"b": 1}
    assert "weak sandbox" in lines[0]
    assert "weak sandbox" in steps.problems(_graph())[0].message


@pytest.mark.skipif(jail.strength().level == "off", reason="the jail is off here")
def test_where_the_jail_holds_nobody_is_warned() -> None:
    assert steps.problems(_graph()) == []


def _graph() -> Any:
    return parse({"nodes": [{"id": "c", "type": "code", "data": {"source": "return 1"}}], "edges": []})


@pytest.mark.django_db
def test_the_admin_says_what_keeps_code_in(admin_client: Client) -> None:
    assert f"Sandbox: {jail.strength().level}" in admin_client.get("/admin/").content.decode()
