"""The registry of step kinds, what it says of a wrong config, and what each built-in kind does."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from workflows import steps
from workflows.errors import Problem, StepstreamError
from workflows.files import area
from workflows.graph import Node, parse
from workflows.policy import Policy
from workflows.steps import base
from workflows.steps.sentences import told

DATA = {"name": "Ada", "age": 36, "tags": ["  One ", {"deep": "Two"}], "nothing": None, "yes": True}
BUILT_IN = (
    *("input", "check", "process", "output", "branch", "switch", "for_each", "call"),
    *("http", "ai", "email", "sql", "file", "set", "list", "convert", "compute", "code"),
    *("delay", "countdown", "approval", "callback", "default"),
)


def problems(kind: str, data: Any = None, *edges: dict[str, Any]) -> list[Problem]:
    nodes = [{"id": "a", "type": kind, "data": data}, {"id": "b", "type": "default"}]
    return steps.problems(parse({"nodes": nodes, "edges": list(edges) or [{"source": "a", "target": "b"}]}))


def run(kind: str, data: dict[str, Any], **config: Any) -> tuple[Any, list[str]]:
    """The outcome of one built-in step and the lines that it wrote."""
    lines: list[str] = []
    step = steps.make(Node("a", kind, config))
    ctx = base.StepContext(data, data, "a", 1, datetime.now(UTC), "1:a:0", lambda level, text: lines.append(text))
    ctx.files = area(1)

    async def outcome() -> Any:
        answer = step.run(ctx)
        return await answer if inspect.isawaitable(answer) else answer

    return asyncio.run(outcome()), lines


# The registry


@pytest.fixture
def registry() -> Iterator[None]:
    """Kinds that a test adds are gone after it."""
    before = dict(steps._kinds)
    steps._load_packages.cache_clear()
    yield
    steps._kinds.clear()
    steps._kinds.update(before)
    steps._load_packages.cache_clear()


class Mine(base.Step[base.Config]):
    kind, label = "mine", "Mine"

    async def run(self, ctx: base.StepContext) -> base.Done:
        return base.Done({"mine": True})


def test_ours_come_first_and_are_all_there() -> None:
    assert tuple(steps.kinds())[: len(BUILT_IN)] == BUILT_IN


def test_a_registered_kind_is_known(registry: None) -> None:
    assert problems("mine")[0].code == "step.unknown_type"
    assert steps.register(Mine) is Mine
    assert steps.kinds()["mine"] is Mine and problems("mine") == []
    assert run("mine", {})[0] == base.Done({"mine": True})


def test_registering_the_same_class_again_changes_nothing(registry: None) -> None:
    steps.register(Mine)
    steps.register(Mine)
    assert list(steps.kinds()).count("mine") == 1


def test_a_taken_name_is_refused_and_says_by_whom(registry: None) -> None:
    class Usurper(base.Step[base.Config]):
        kind, label = "output", "Usurper"

    with pytest.raises(ValueError, match=r"“output” is taken by workflows\.steps\.output\.Output"):
        steps.register(Usurper)
    assert steps.kinds()["output"] is not Usurper


def test_nobody_changes_the_registry_by_changing_what_it_gave() -> None:
    steps.kinds().clear()
    assert "input" in steps.kinds()


STEP_MODULE = """
from workflows.steps import base
from workflows.steps.sentences import told


class Theirs(base.Step[base.Config]):
    kind, label = "{kind}", "Theirs"

    async def run(self, ctx):
        return base.Done({{"theirs": ctx.node}})
"""


def test_an_installed_app_brings_its_kinds(
    registry: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    app = tmp_path / "their_app"
    app.mkdir()
    (app / "__init__.py").write_text("")
    (app / "steps.py").write_text(STEP_MODULE.format(kind="theirs_by_app"))
    (app / "apps.py").write_text(
        "from django.apps import AppConfig\n\n\n"
        "class TheirConfig(AppConfig):\n"
        '    name = "their_app"\n\n'
        "    def ready(self):\n"
        "        from workflows.steps import register\n"
        "        from their_app.steps import Theirs\n\n"
        "        register(Theirs)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "their_app"]
    assert problems("theirs_by_app") == []
    assert run("theirs_by_app", {})[0] == base.Done({"theirs": "a"})


def package(folder: Path, name: str, module: str, target: str) -> None:
    """An installed distribution with one entry point, as pip leaves it behind."""
    (folder / f"{name}.py").write_text(module)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[stepstream.steps]\n{name} = {target}\n")


def test_an_installed_package_brings_its_kind(registry: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "their_package", STEP_MODULE.format(kind="theirs_by_package"), "their_package:Theirs")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert problems("theirs_by_package") == [] and "theirs_by_package" in steps.kinds()
    assert run("theirs_by_package", {})[0] == base.Done({"theirs": "a"})
    del sys.modules["their_package"]


def test_a_broken_package_takes_nobody_down(
    registry: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    package(tmp_path, "broken_package", "raise RuntimeError('broken')", "broken_package:Theirs")
    package(tmp_path, "greedy_package", STEP_MODULE.format(kind="input"), "greedy_package:Theirs")
    package(tmp_path, "working_package", STEP_MODULE.format(kind="works"), "working_package:Theirs")
    monkeypatch.syspath_prepend(str(tmp_path))
    known = steps.kinds()
    assert "works" in known and known["input"].__module__ == "workflows.steps.input"
    assert "broken_package" in caplog.text and "greedy_package" in caplog.text
    del sys.modules["greedy_package"], sys.modules["working_package"]


# What is wrong with a definition


def test_an_unknown_kind_is_an_error_that_names_the_known_ones() -> None:
    [problem] = problems("no_such_kind", {"label": "Nice name"})
    assert (problem.code, problem.node, problem.field, problem.level) == ("step.unknown_type", "a", "type", "error")
    assert "“no_such_kind”" in problem.message and "Nice name" in problem.message and "countdown" in problem.message


@pytest.mark.parametrize(
    ("kind", "data", "field"),
    [
        ("countdown", {"seconds": "soon"}, "seconds"),
        ("countdown", {"seconds": -1}, "seconds"),
        ("countdown", {"seconds": None}, "seconds"),
        ("countdown", {"seconds": 86_401}, "seconds"),
        ("delay", {"seconds": float("nan")}, "seconds"),
        ("delay", {"seconds": float("inf")}, "seconds"),
        ("delay", {"seconds": 1e12}, "seconds"),
        ("delay", {"seconds": []}, "seconds"),
        ("delay", {"until": "25:00"}, "until"),
        ("delay", {"until": "2026-02-30"}, "until"),
        ("delay", {"until": 8}, "until"),
        ("approval", {"due": 0}, "due"),
        ("approval", {"due": -1}, "due"),
        ("approval", {"due": 10_001}, "due"),
        ("approval", {"due": "soon"}, "due"),
        ("approval", {"due_unit": "years"}, "due_unit"),
        ("approval", {"people": "alice"}, "people"),
        ("approval", {"title": "x" * 151}, "title"),
        ("approval", {"fields": [{"name": "a b"}]}, "fields.0.name"),
        ("approval", {"save_as": "a b"}, "save_as"),
        ("callback", {"save_as": ""}, "save_as"),
        ("process", {"operation": "explode"}, "operation"),
        ("output", {"format": "pdf"}, "format"),
        ("input", {"field": 5}, "field"),
        ("input", {"example": "text"}, "example"),
        ("ai", {"prompt": ["what"]}, "prompt"),
        ("ai", {"prompt": "x" * 400_001}, "prompt"),
        ("check", {"required": "name"}, "required"),
        ("check", {"allowed": {"a": 1}}, "allowed.a"),
    ],
)
def test_a_wrong_setting_is_an_error_at_its_field(kind: str, data: dict[str, Any], field: str) -> None:
    [problem] = [problem for problem in problems(kind, data) if problem.code != "graph.unknown_handle"]
    assert (problem.code, problem.node, problem.field, problem.level) == ("step.config", "a", field, "error")
    name = field.split(".", maxsplit=1)[0]
    called = (steps.kinds()[kind].Config.model_fields[name].title or name).replace("_", " ").lower()
    assert called in problem.message.lower() and "“a”" in problem.message and len(problem.message) < 500


def test_every_wrong_setting_of_every_step_is_told() -> None:
    nodes = [
        {"id": "a", "type": "check", "data": {"required": 1, "allowed": 2}},
        {"id": "b", "type": "nonsense"},
        {"id": "c", "type": "delay", "data": {"seconds": "x"}},
    ]
    found = steps.problems(parse({"nodes": nodes, "edges": [{"source": "a", "target": "b"}]}))
    assert [(problem.node, problem.field) for problem in found] == [
        ("a", "required"),
        ("a", "allowed"),
        ("b", "type"),
        ("c", "seconds"),
    ]


def test_an_unknown_setting_is_a_warning_and_reserved_words_are_none() -> None:
    [problem] = problems("default", {"label": "x", "notes": "y", "policy": {}, "colour": "red"})
    assert (problem.code, problem.node, problem.field, problem.level) == (
        "step.unknown_setting",
        "a",
        "colour",
        "warning",
    )
    assert "“colour”" in problem.message


def test_an_unconnected_definition_is_a_warning() -> None:
    nodes = [{"id": name, "type": "default"} for name in "ab"]
    [problem] = steps.problems(parse({"nodes": nodes}))
    assert (problem.code, problem.level) == ("graph.no_edges", "warning")
    assert steps.problems(parse({"nodes": nodes[:1]})) == []


@pytest.mark.parametrize("handle", ["true", "error", "x" * 200])
def test_a_handle_that_its_kind_lacks_is_an_error(handle: str) -> None:
    [problem] = problems("default", {}, {"source": "a", "target": "b", "sourceHandle": handle})
    assert (problem.code, problem.node, problem.level) == ("graph.unknown_handle", "a", "error")
    assert f"“{handle[:80]}”" in problem.message and "“out”" in problem.message


def test_a_handle_that_its_kind_has_is_none(registry: None) -> None:
    class Fork(Mine):
        kind, handles = "fork", ("left", "right")

    steps.register(Fork)
    assert problems("fork", {}, {"source": "a", "target": "b", "sourceHandle": "left"}) == []
    [problem] = problems("fork", {}, {"source": "a", "target": "b"})
    assert problem.code == "graph.unknown_handle" and "“left”, “right”" in problem.message


def test_errors_come_before_warnings() -> None:
    found = problems("delay", {"colour": "red", "seconds": "x"})
    assert [problem.level for problem in found] == ["error", "warning"]


# Making steps


def test_an_unknown_kind_passes_its_data_on_and_says_so() -> None:
    outcome, lines = run("gone", DATA, anything=1)
    assert outcome == base.Done(DATA) and len(lines) == 1 and "“gone”" in lines[0]
    assert steps.kind_of(Node("a", "gone", {})).kind == "default"


def test_a_wrong_config_makes_no_step() -> None:
    with pytest.raises(ValidationError):
        steps.make(Node("a", "delay", {"seconds": "x"}))


def test_an_older_config_is_brought_up_to_date(registry: None) -> None:
    class Renamed(base.Step["Renamed.Config"]):
        kind, label, version = "renamed", "Renamed", 2

        class Config(base.Config):
            new_name: str

        @classmethod
        def upgrade(cls, old: dict[str, Any]) -> dict[str, Any]:
            return {"new_name": old["old_name"]} if "old_name" in old else old

    steps.register(Renamed)
    step = steps.make(Node("a", "renamed", {"old_name": "x", "label": "y"}))
    assert step.config.new_name == "x"
    assert [problem for problem in problems("renamed", {"old_name": "x"}) if problem.level == "error"] == []


# Each kind


def test_input_hands_its_data_on() -> None:
    outcome, lines = run("input", {"a": 1, "b": 2})
    assert outcome == base.Done({"a": 1, "b": 2}) and lines == ["Received 2 fields: a, b"]
    assert run("input", {})[1] == ["Received 0 fields: an empty object"]
    assert run("input", {"a": 1})[1] == ["Received 1 field: a"]


def test_input_puts_its_data_under_a_name() -> None:
    assert run("input", {"a": 1}, field="order")[0] == base.Done({"order": {"a": 1}})
    assert run("input", {}, field="order")[0] == base.Done({"order": {}})


@pytest.mark.parametrize(
    ("operation", "output"),
    [
        ("passthrough", {"a": " x ", "b": [" Y", {"c": "z"}], "n": 1, "t": True, "z": None}),
        ("uppercase", {"a": " X ", "b": [" Y", {"c": "Z"}], "n": 1, "t": True, "z": None}),
        ("lowercase", {"a": " x ", "b": [" y", {"c": "z"}], "n": 1, "t": True, "z": None}),
        ("trim", {"a": "x", "b": ["Y", {"c": "z"}], "n": 1, "t": True, "z": None}),
    ],
)
def test_process_changes_every_text_however_deep(operation: str, output: dict[str, Any]) -> None:
    data = {"a": " x ", "b": [" Y", {"c": "z"}], "n": 1, "t": True, "z": None}
    assert run("process", data, operation=operation)[0] == base.Done(output)


def test_process_passes_on_where_nothing_is_said_and_counts_what_it_changed() -> None:
    outcome, lines = run("process", {"a": "x"})
    assert outcome == base.Done({"a": "x"}) and lines == ["passthrough: 0 of 1 fields changed"]
    assert run("process", {"a": "x", "b": "B"}, operation="uppercase")[1] == ["uppercase: 1 of 2 fields changed"]


def test_ai_answers_by_a_mock_that_names_its_prompt() -> None:
    outcome, lines = run("ai", {"text": "hello"}, prompt="Summarise this")
    assert set(outcome.output) == {"ai_response", "processed_data"}
    assert "Summarise this" in outcome.output["ai_response"] and "text" in outcome.output["ai_response"]
    assert outcome.output["processed_data"] == {"text": "hello"}
    assert any("Summarise this" in line for line in lines)
    assert run("ai", {"text": "hello"}, prompt="Summarise this")[0] == outcome, "always the same"


def test_output_gathers_the_data_under_result() -> None:
    assert run("output", {"a": 1})[0] == base.Done({"result": {"a": 1}})
    assert run("output", {})[0] == base.Done({"result": {}})


def test_output_writes_json_or_text() -> None:
    data = {"name": "Zoë", "n": [1, None]}
    as_json = run("output", data, format="json")[0].output["result"]
    assert json.loads(as_json) == data and "Zoë" in as_json
    assert run("output", data, format="text")[0].output["result"] == "name: Zoë\nn: [1, null]"


def test_delay_waits_until_a_time_and_then_hands_its_data_on() -> None:
    before = datetime.now(UTC)
    outcome, _ = run("delay", {"a": 1}, seconds=3600)
    assert isinstance(outcome, base.Wait)
    assert outcome.until is not None and before < outcome.until - timedelta(minutes=59) < before + timedelta(minutes=2)
    assert steps.make(Node("a", "delay", {})).resume({"a": 1}, None) == base.Done({"a": 1})


def test_delay_waits_until_a_time_of_the_workflow() -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    for until, data in ((tomorrow.isoformat(), {}), ("order.at", {"order": {"at": tomorrow.isoformat()}})):
        assert run("delay", data, until=until, seconds=1)[0] == base.Wait(until=tomorrow, reason="delay")
    by_the_clock = run("delay", {}, until="08:00")[0]
    assert timedelta(0) < by_the_clock.until - datetime.now(UTC) <= timedelta(days=1)


def test_delay_reads_a_naive_time_in_the_zone_of_the_workflow_else_of_the_installation(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    step = steps.make(Node("a", "delay", {"until": "2026-12-24 08:00"}))
    for zone, hour in (("Europe/Berlin", 7), ("", 23)):
        ctx = base.StepContext({}, {}, "a", 1, datetime(2026, 11, 24, tzinfo=UTC), "1:a:0", time_zone=zone)
        assert asyncio.run(step.run(ctx)).until.hour == hour  # type: ignore[arg-type]


def test_delay_goes_on_at_once_where_the_time_is_over_and_says_so() -> None:
    outcome, lines = run("delay", {"a": 1}, until="2020-01-01 08:00")
    assert outcome == base.Done({"a": 1}) and lines == ["2020-01-01 08:00:00 UTC is over, so it goes on at once."]


@pytest.mark.parametrize(
    ("until", "data", "sentence"),
    [
        ("at", {"b": 1}, "The data has no “at”"),
        ("at", {"at": "soon"}, "is “soon”, which is no time"),
        ("9000-01-01", {}, "more than 366 days away"),
        ("at", {"at": "9000-01-01"}, "more than 366 days away"),
    ],
)
def test_delay_fails_with_a_sentence_where_there_is_no_time_to_wait_for(until: str, data: Any, sentence: str) -> None:
    with pytest.raises(StepstreamError, match=sentence):
        run("delay", data, until=until)


ANSWER = {"approved": True, "by": "alice", "values": {"sum": 3}, "comment": "fine"}


def test_approval_asks_and_leaves_by_what_was_decided() -> None:
    fields = [{"name": "sum", "type": "number"}]
    outcome, _ = run("approval", {}, title="Pay?", message="M", people=["a"], groups=["g"], fields=fields, due=2)
    assert outcome.reason == "Pay?" and outcome.until is not None and not outcome.callback
    assert timedelta(hours=1) < outcome.until - datetime.now(UTC) <= timedelta(hours=2)
    assert (outcome.ask.title, outcome.ask.people, outcome.ask.groups) == ("Pay?", ["a"], ["g"])
    assert outcome.ask.fields[0]["name"] == "sum" and json.dumps(outcome.ask.fields)
    step = steps.make(Node("a", "approval", {"save_as": "verdict"}))
    kept = {"decision": "approved", "by": "alice", "comment": "fine", "values": {"sum": 3}}
    assert step.resume({"a": 1}, ANSWER) == base.Done({"a": 1, "verdict": kept}, "approved")
    assert step.resume({}, {**ANSWER, "approved": False}).handle == "rejected"  # type: ignore[union-attr]
    late: dict[str, Any] = {"decision": "expired", "by": None, "comment": "", "values": {}}
    assert step.resume({"a": 1}, None) == base.Done({"a": 1, "verdict": late}, "expired")


@pytest.mark.parametrize("answer", ["yes", {}, {"approved": "yes"}, {"approved": None}, [], 1])
def test_an_answer_that_says_neither_yes_nor_no_fails_the_step(answer: Any) -> None:
    with pytest.raises(StepstreamError, match="neither yes nor no"):
        steps.make(Node("a", "approval", {})).resume({}, answer)


def test_callback_hands_on_what_was_posted() -> None:
    outcome, _ = run("callback", {}, due=1, due_unit="days")
    assert outcome.callback and outcome.ask is None and outcome.until is not None
    assert run("callback", {})[0].until is None
    step = steps.make(Node("a", "callback", {"save_as": "paid"}))
    assert step.resume({"a": 1}, {"b": 2}) == base.Done({"a": 1, "paid": {"b": 2}})
    assert step.resume({"a": 1}, {}) == base.Done({"a": 1, "paid": {}})
    assert step.resume({"a": 1}, None) == base.Done({"a": 1}, "expired")


def test_countdown_writes_a_line_for_each_second() -> None:
    outcome, lines = run("countdown", {}, seconds=0.02)
    assert outcome == base.Done({"counted_seconds": 0.02}) and lines == ["0.02 s left", "Countdown finished"]
    assert run("countdown", {}, seconds=0)[1] == ["Countdown finished"]


def test_default_hands_its_data_on() -> None:
    assert run("default", DATA)[0] == base.Done(DATA)


def test_a_step_without_run_says_so() -> None:
    class Empty(base.Step[base.Config]):
        kind, label = "empty", "Empty"

    with pytest.raises(TypeError, match="Empty has no run"):
        Empty(base.Config()).run(None)  # type: ignore[arg-type]


def test_a_for_each_without_steps_for_its_items_is_a_warning() -> None:
    nodes = [{"id": "each", "type": "for_each"}, {"id": "item", "type": "default"}]
    edge = {"source": "each", "target": "item"}

    def told(handle: str) -> list[tuple[str, str]]:
        graph = parse({"nodes": nodes, "edges": [{**edge, "sourceHandle": handle}]})
        return [(problem.code, problem.level) for problem in steps.problems(graph)]

    assert told("done") == [("graph.no_body", "warning")]
    assert told("each") == []


class Forms(base.Config):
    to: str | list[Any]
    policy: Policy | None = None


def test_a_field_of_several_forms_says_all_of_them_in_one_sentence() -> None:
    def said(**given: Any) -> list[tuple[Any, ...]]:
        with pytest.raises(ValidationError) as wrong:
            Forms.model_validate(given)
        return told(Forms, wrong.value.errors())

    assert said(to=5) == [(("to",), "To must be text or a list; it is 5.")]
    assert said(to="a", policy={"on_failure": 1})[0][0] == ("policy", "on_failure"), (
        "one form and none: the place stays"
    )
