"""What a structured answer must look like: the part of JSON Schema that models are given, checked by ourselves. Pure.

A keyword that we do not check is refused before anything is asked: an answer that passes must really fit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

SCHEMA_BYTES = 64 * 1024
MOST_CHECKS = 100_000  # of one answer: alternatives inside alternatives grow without end
MOST_PROBLEMS = 10
MOST_PARTS = 1_000  # of an example
MAX_DEPTH = 64


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and (isinstance(value, int) or math.isfinite(value))


TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "number": _is_number,
    "null": lambda value: value is None,
}
#: Limits, and what must hold between what is counted and the limit.
LIMITS: dict[str, tuple[str, Callable[[Any, Any], bool], str]] = {
    "minimum": ("number", lambda has, limit: has >= limit, "must be at least {}"),
    "maximum": ("number", lambda has, limit: has <= limit, "must be at most {}"),
    "exclusiveMinimum": ("number", lambda has, limit: has > limit, "must be more than {}"),
    "exclusiveMaximum": ("number", lambda has, limit: has < limit, "must be less than {}"),
    "minLength": ("string", lambda has, limit: len(has) >= limit, "needs at least {} characters"),
    "maxLength": ("string", lambda has, limit: len(has) <= limit, "may have at most {} characters"),
    "minItems": ("array", lambda has, limit: len(has) >= limit, "needs at least {} items"),
    "maxItems": ("array", lambda has, limit: len(has) <= limit, "may have at most {} items"),
}
INSIDE = ("anyOf", "oneOf", "allOf")
SAID = ("title", "description", "default", "examples", "$comment", "$schema", "$id", "format", "deprecated")
KNOWN = {
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "$ref", "$defs"),
    *(*LIMITS, *INSIDE, *SAID),
}


class TooMuch(Exception):
    """Checking would have no end."""


def refusal(schema: Any) -> str:
    """Why an answer cannot be asked for in this shape, as a sentence; empty where it can."""
    if not isinstance(schema, dict):
        return f"must be a JSON Schema, that is an object; it is {_short(schema)}"
    try:
        if len(json.dumps(schema)) > SCHEMA_BYTES:
            return f"may have at most {SCHEMA_BYTES:,} bytes"
        wrong = next(_unfit(schema, schema, "", 0), "")
    except RecursionError:
        wrong = "is nested too deeply"
    if not wrong and schema.get("type") != "object":
        return 'must describe an object: it needs "type": "object" at its top'
    return wrong


def problems(schema: Schema, value: Any) -> list[str]:
    """What is wrong with an answer, each as “customer.age must be a number; it is "old"”; at most ten."""
    check = _Check(schema)
    try:
        found = check.problems(schema, value, "", 0)
        return [text for _, text in zip(range(MOST_PROBLEMS), found, strict=False)]
    except (TooMuch, RecursionError):
        return ["The schema has so many alternatives that the answer cannot be checked."]


def example(schema: Schema) -> Any:
    """A value that fits as far as it is simple to say, always the same: what the mock answers."""
    return _Example(schema).of(schema, "answer", 0)


# Is it a schema?


def _unfit(schema: Any, root: Schema, at: str, depth: int) -> Iterator[str]:
    where = f"at {at} " if at else ""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{where}must have an object, not {_short(schema)}"
        return
    if depth > MAX_DEPTH:
        yield "is nested too deeply"
        return
    if unknown := [key for key in schema if key not in KNOWN]:
        yield f"{where}has “{unknown[0][:60]}”, which is not known here. Known: {', '.join(sorted(KNOWN - set(SAID)))}"
    yield from (f"{where}{text}" for text in _wrong_words(schema, root))
    for name, inner in _inner(schema):
        yield from _unfit(inner, root, f"{at}.{name}".lstrip("."), depth + 1)


def _wrong_words(schema: Schema, root: Schema) -> Iterator[str]:
    types = schema.get("type", [])
    for one in types if isinstance(types, list) else [types]:
        if not isinstance(one, str) or one not in TYPES:
            yield f"has the type {_short(one)}; it must be one of {', '.join(TYPES)}"
    for key in ("properties", "$defs"):
        if not isinstance(schema.get(key, {}), dict):
            yield f"has “{key}” that is no object"
    for key in (*INSIDE, "enum"):
        if key in schema and not (isinstance(schema[key], list) and schema[key]):
            yield f"has “{key}” that is no list, or an empty one"
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        yield "has “required” that is no list of names"
    for key in LIMITS:
        if key in schema and not _is_number(schema[key]):
            yield f"has “{key}” that is no number"
    if "$ref" in schema and _target(root, schema["$ref"]) is None:
        yield f"refers to {_short(schema['$ref'])}, which is not there; a reference looks like #/$defs/name"


def _inner(schema: Schema) -> Iterator[tuple[str, Any]]:
    for key in ("properties", "$defs"):
        if isinstance(schema.get(key), dict):
            yield from ((f"{key}.{name}", inner) for name, inner in schema[key].items())
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield key, schema[key]
    for key in INSIDE:
        if isinstance(schema.get(key), list):
            yield from ((f"{key}.{number}", inner) for number, inner in enumerate(schema[key]))


def _target(root: Schema, reference: Any) -> Any:
    if reference == "#":
        return root
    if not isinstance(reference, str) or not (match := re.fullmatch(r"#/\$defs/([^/]+)", reference)):
        return None
    name = match[1].replace("~1", "/").replace("~0", "~")
    return root["$defs"].get(name) if isinstance(root.get("$defs"), dict) else None


# Does an answer fit?


class _Check:
    def __init__(self, root: Schema) -> None:
        self.root, self.left = root, MOST_CHECKS

    def problems(self, schema: Any, value: Any, at: str, depth: int) -> Iterator[str]:
        self.left -= 1
        if self.left < 0 or depth > 4 * MAX_DEPTH:
            raise TooMuch
        if schema is True:
            return
        if schema is False:
            yield f"{at or 'It'} must not be there"
            return
        if "$ref" in schema:
            yield from self.problems(_target(self.root, schema["$ref"]), value, at, depth + 1)
        yield from self._own(schema, value, at)
        yield from self._alternatives(schema, value, at, depth)
        if isinstance(value, dict):
            yield from self._properties(schema, value, at, depth)
        if isinstance(value, list) and "items" in schema:
            for number, item in enumerate(value):
                yield from self.problems(schema["items"], item, f"{at}.{number}".lstrip("."), depth + 1)

    def _own(self, schema: Schema, value: Any, at: str) -> Iterator[str]:
        name, has = at or "It", f"; it is {_short(value)}"
        types = schema.get("type", [])
        types = types if isinstance(types, list) else [types]
        if types and not any(TYPES[one](value) for one in types):
            yield f"{name} must be {' or '.join(types)}{has}"
            return
        if "enum" in schema and not any(_is_same(value, one) for one in schema["enum"]):
            yield f"{name} must be one of {', '.join(map(_short, schema['enum'][:20]))}{has}"
        if "const" in schema and not _is_same(value, schema["const"]):
            yield f"{name} must be {_short(schema['const'])}{has}"
        for key, (kind, holds, words) in LIMITS.items():
            if key in schema and TYPES[kind](value) and not holds(value, schema[key]):
                yield f"{name} {words.format(schema[key])}{has}"

    def _alternatives(self, schema: Schema, value: Any, at: str, depth: int) -> Iterator[str]:
        for inner in schema.get("allOf", ()):
            yield from self.problems(inner, value, at, depth + 1)
        for key in ("anyOf", "oneOf"):
            if key not in schema:
                continue
            fits = sum(next(self.problems(inner, value, at, depth + 1), None) is None for inner in schema[key])
            if not fits or (key == "oneOf" and fits > 1):
                many = "exactly one" if key == "oneOf" else "one"
                yield f"{at or 'It'} must fit {many} of {len(schema[key])} alternatives; it is {_short(value)}"

    def _properties(self, schema: Schema, value: dict[str, Any], at: str, depth: int) -> Iterator[str]:
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{f'{at}.{name}'.lstrip('.')} is missing"
        for name, item in value.items():
            inner, place = known.get(name, others), f"{at}.{name}".lstrip(".")
            if inner is False:
                yield f"{place} must not be there"
            else:
                yield from self.problems(inner, item, place, depth + 1)


def _is_same(one: Any, other: Any) -> bool:
    """As JSON has it: 1 is 1.0, and true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:80]} …"


# A value that fits


class _Example:
    def __init__(self, root: Schema) -> None:
        self.root, self.left = root, MOST_PARTS

    def of(self, schema: Any, name: str, depth: int) -> Any:
        self.left -= 1
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self.left < 0:
            return None
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        for key in ("enum", "examples"):
            if isinstance(schema.get(key), list) and schema[key]:
                return schema[key][0]
        if "$ref" in schema:
            return self.of(_target(self.root, schema["$ref"]), name, depth + 1)
        for key in INSIDE:
            if key in schema and "type" not in schema:
                return self.of(schema[key][0], name, depth + 1)
        return self._of_type(schema, name, depth)

    def _of_type(self, schema: Schema, name: str, depth: int) -> Any:
        types = schema.get("type", "string")
        match types[0] if isinstance(types, list) and types else types:
            case "object":
                wanted, known = schema.get("required", []), schema.get("properties", {})
                return {key: self.of(known.get(key), key, depth + 1) for key in wanted or known}
            case "array":
                return [self.of(schema.get("items"), name, depth + 1)] * min(int(schema.get("minItems", 1)), 100)
            case "integer" | "number":
                return schema.get("minimum", schema.get("maximum", 0))
            case "boolean":
                return False
            case "null":
                return None
        text = f"[mock] {name}"[: int(schema.get("maxLength", 200))]
        return text.ljust(min(int(schema.get("minLength", 0)), 10_000), "…")
