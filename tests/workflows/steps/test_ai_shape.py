"""Schemas of structured answers: which are taken, what does not fit, and the mock's examples."""

from __future__ import annotations

from typing import Any

import pytest

from workflows.steps.language.shape import MOST_PROBLEMS, example, problems, refusal


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


NODE = {"$ref": "#/$defs/node"}
TREE = {**of(root=NODE), "$defs": {"node": of(name={"type": "string"}, children={"type": "array", "items": NODE})}}


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        (of(n={"type": "integer"}), {"n": 3}, ""),
        (of(n={"type": "integer"}), {"n": 3.0}, ""),
        (of(n={"type": "integer"}), {"n": 10**400}, ""),
        (of(n={"type": "integer"}), {"n": 3.5}, "n must be integer; it is 3.5"),
        (of(n={"type": "integer"}), {"n": True}, "n must be integer; it is true"),
        (of(n={"type": ["number", "null"]}), {"n": None}, ""),
        (of(n={"type": ["number", "null"]}), {"n": "1"}, 'n must be number or null; it is "1"'),
        (of(n={"enum": ["a", 1]}), {"n": True}, 'n must be one of "a", 1; it is true'),
        (of(n={"const": 1}), {"n": 2}, "n must be 1; it is 2"),
        (of(n={"minimum": 1, "maximum": 5}), {"n": 0}, "n must be at least 1; it is 0"),
        (of(n={"minimum": 1, "maximum": 5}), {"n": 6}, "n must be at most 5; it is 6"),
        (of(n={"minimum": 1}), {"n": "no number"}, ""),
        (of(n={"exclusiveMinimum": 1}), {"n": 1}, "n must be more than 1; it is 1"),
        (of(s={"minLength": 2}), {"s": "é"}, 's needs at least 2 characters; it is "é"'),
        (of(l={"maxItems": 1}), {"l": [1, 2]}, "l may have at most 1 items; it is [1, 2]"),
        (of(l={"items": {"type": "string"}}), {"l": ["a", 1]}, "l.1 must be string; it is 1"),
        ({**of(a={}), "required": ["a", "b"]}, {"a": None}, "b is missing"),
        ({**of(a={}), "additionalProperties": False}, {"a": 1, "b": 2}, "b must not be there"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"b": 2}, "b must be string; it is 2"),
        (of(a={"anyOf": [{"type": "string"}, {"type": "null"}]}), {"a": None}, ""),
        (
            of(a={"anyOf": [{"type": "string"}, {"type": "null"}]}),
            {"a": 1},
            "a must fit one of 2 alternatives; it is 1",
        ),
        (
            of(a={"oneOf": [{"minimum": 1}, {"minimum": 2}]}),
            {"a": 3},
            "a must fit exactly one of 2 alternatives; it is 3",
        ),
        (of(a={"allOf": [{"minimum": 1}, {"maximum": 2}]}), {"a": 3}, "a must be at most 2; it is 3"),
        (TREE, {"root": {"name": "a", "children": [{"name": "b"}]}}, ""),
        (TREE, {"root": {"children": [{"name": 1}]}}, "root.children.0.name must be string; it is 1"),
    ],
)
def test_an_answer_is_held_against_its_schema(schema: dict[str, Any], value: Any, problem: str) -> None:
    assert refusal(schema) == ""
    assert problems(schema, value) == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("text", "that is an object"),
        ({}, '"type": "object"'),
        ({"type": "array"}, '"type": "object"'),
        ({"type": ["object", "null"]}, '"type": "object"'),
        (of(a={"type": "text"}), 'at properties.a has the type "text"'),
        (of(a={"type": {}}), "has the type {}"),
        (of(a=7), "at properties.a must have an object, not 7"),
        (of(a={"patternProperties": {}}), "“patternProperties”, which is not known here"),
        (of(a={"pattern": "(a+)+$"}), "“pattern”, which is not known here"),
        (of(a={"$ref": "#/$defs/gone"}), "which is not there"),
        (of(a={"$ref": "http://169.254.169.254/schema"}), "which is not there"),
        (of(a={"$ref": "file:///etc/passwd"}), "which is not there"),
        (of(a={"enum": []}), "“enum” that is no list, or an empty one"),
        (of(a={"anyOf": {}}), "“anyOf” that is no list"),
        (of(a={"minimum": "1"}), "“minimum” that is no number"),
        (of(a={"maximum": float("inf")}), "“maximum” that is no number"),
        ({"type": "object", "properties": []}, "“properties” that is no object"),
        ({"type": "object", "required": "name"}, "“required” that is no list of names"),
        (of(a={"description": "x" * 70_000}), "at most 65,536 bytes"),
    ],
)
def test_a_schema_that_cannot_be_kept_to_is_refused(schema: Any, reason: str) -> None:
    assert reason in refusal(schema)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = of(a=schema)
    return schema


def test_a_schema_of_many_levels_is_refused_and_not_a_crash() -> None:
    assert refusal(nested(20)) == ""
    assert "nested too deeply" in refusal(nested(200))
    assert "nested too deeply" in refusal(nested(2_000))


BOMBS = [
    {**of(a={"$ref": "#/$defs/a"}), "$defs": {"a": {"$ref": "#/$defs/a"}}},
    {**of(a={"$ref": "#/$defs/a"}), "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 9}}},
    {**of(a={"$ref": "#/$defs/a"}), "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}] * 9}}},
    {"type": "object", "allOf": [{"$ref": "#"}] * 9},
]


@pytest.mark.parametrize("schema", BOMBS)
def test_a_schema_without_end_ends(schema: dict[str, Any]) -> None:
    assert refusal(schema) == ""
    assert "so many alternatives" in problems(schema, {"a": 1})[0]
    example(schema)


def test_an_example_of_what_has_no_end_ends() -> None:
    twice = {**of(a={"$ref": "#/$defs/a"}), "$defs": {"a": of(left={"$ref": "#/$defs/a"}, right={"$ref": "#/$defs/a"})}}
    assert isinstance(example(twice), dict)


def test_not_every_problem_of_a_hopeless_answer_is_told() -> None:
    assert len(problems(of(l={"items": {"type": "string"}}), {"l": list(range(1_000))})) == MOST_PROBLEMS


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (of(team={"enum": ["billing", "shipping"]}), {"team": "billing"}),
        (of(name={"type": "string"}), {"name": "[mock] name"}),
        (of(name={"type": "string", "maxLength": 4}), {"name": "[moc"}),
        (of(name={"type": "string", "minLength": 12}), {"name": "[mock] name…"}),
        (of(n={"type": "integer", "minimum": 3}), {"n": 3}),
        (of(n={"type": "number", "maximum": -3}), {"n": -3}),
        (of(yes={"type": "boolean"}, no={"type": "null"}), {"yes": False, "no": None}),
        (of(tags={"type": "array", "items": {"const": "a"}, "minItems": 2}), {"tags": ["a", "a"]}),
        (of(a={"anyOf": [{"type": "integer"}, {"type": "null"}]}), {"a": 0}),
        ({**of(a={"type": "integer"}, b={"type": "integer"}), "required": ["b"]}, {"b": 0}),
        ({**of(a={"$ref": "#/$defs/a"}), "$defs": {"a": of(b={"default": 7})}}, {"a": {"b": 7}}),
        (of(a={"examples": ["such"]}), {"a": "such"}),
    ],
)
def test_an_example_fits_its_schema(schema: dict[str, Any], value: Any) -> None:
    assert refusal(schema) == "" and example(schema) == value and problems(schema, value) == []
