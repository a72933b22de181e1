"""What went wrong with an expression, in plain words: the engine's own may hold values, and are written for others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from workflows.evaluation import filters, lookup

SENTENCES = {
    "context": "The data that this expression can see has more than 1 MiB of JSON. Name what it needs as a plain path, "
    "such as {{ steps.fetch.output.title }}, or make the data smaller in a step before.",
    "large": "The result has more than 1 MiB of JSON; an expression may give 1 MiB.",
    "deep": "The result is nested more than 64 levels deep.",
    "memory": "It takes too much memory.",
    "not finite": "The result is no finite number, so JSON cannot hold it.",
    "not JSON": "The result is nothing that JSON can hold, such as an object whose keys are no texts.",
    "nothing": "There is no expression between {{ and }}.",
    "call": "A filter or a function here was called with something that it does not take, or is no function.",
    "OutOfFuel": "It does too much: its loops and calls take more than 50,000 turns.",
    "TemplateNotFound": "Templates cannot take in other templates.",
    "NonKey": "A key of an object must be a text.",
    "BadSerialization": "The result is nothing that JSON can hold.",
    "TooManyArguments": "A filter or a function here has too many arguments.",
    "MissingArgument": "A filter or a function here lacks an argument.",
    "CannotUnpack": "A loop here takes apart what has another number of parts.",
    "CannotDeserialize": "A filter here got a value that it cannot use.",
    "BadEscape": "A backslash in a text here stands before something that it does not go with.",
}
KNOWN = (
    (r"tried to use (\S+) operator on unsupported types ([\w ]+) and ([\w ]+)", "“{0}” does not go with {1} and {2}."),
    (r"recursion limit exceeded", "It is nested too deeply."),
    (r"unable to calculate", "This cannot be calculated: a division by zero, or a number that is too large."),
    (r"invalid (?:float|integer) literal", "This text is no number. Where that may be, give another: | default(0)."),
    (r"can only sum numbers, got ([\w ]+)", "“sum” adds numbers only, and found {0}."),
    (r"cannot (?:convert|round|get).*", "A filter here got a value that it cannot use."),
    (
        r"(\w+) has no method named",
        "A value has no functions of its own here: use a filter, such as {{{{ name | upper }}}}.",
    ),
    (r"cannot perform a containment check on this value", "“in” works on lists, texts and objects."),
)
TYPES = {"string": "a text", "number": "a number", "map": "an object", "sequence": "a list", "none": "null"}


def sentence(fault: Mapping[str, Any], source: str, context: Mapping[str, Any]) -> str:
    """`fault` as the child tells it."""
    kind, detail = str(fault.get("kind")), str(fault.get("detail") or "")
    if kind == "filter":
        return detail
    if dashed := _dashed(source, context):
        return dashed
    if kind == "UndefinedError":
        return _undefined(detail, fault, context)
    if kind == "SyntaxError":
        return f"This is no expression as it stands: {_syntax(detail)}."
    if kind in ("UnknownFilter", "UnknownTest", "UnknownFunction", "UnknownMethod"):
        return _unknown(kind, detail)
    return SENTENCES.get(kind) or _known(detail) or "This cannot be done with these values."


def _undefined(detail: str, fault: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    named = re.search(r"`([^`]+)`", detail)
    name = named[1] if named else str(fault.get("name") or "")
    if re.fullmatch(lookup.PATH, name) and (lookup.pieces(name)[0] in context or "." not in name):
        return lookup.absent(name, context)
    return f"“{name[:200]}” is not there." if name else "A name here stands for nothing."


def _dashed(source: str, context: Mapping[str, Any]) -> str:
    """steps.fetch-2.output is a subtraction to the engine, and to people the step “fetch-2”."""
    steps = context.get("steps")
    keys = [key for key in steps if "-" in key] if isinstance(steps, Mapping) else []
    key = next((key for key in keys if f"steps.{key}" in source), "")
    return f"“steps.{key}” is read as a subtraction. Write {lookup.spelled(['steps', key])} for it." if key else ""


def _syntax(detail: str) -> str:
    """The engine quotes what it read, which is the source."""
    return re.sub(r"`([^`]*)`", r"“\1”", detail.strip().rstrip("."))[:300] or "it cannot be read"


def _unknown(kind: str, detail: str) -> str:
    named = re.search(r"(?:filter |test |named )?(\w+) is unknown|named (\w+)", detail)
    name = next((one for one in named.groups() if one), "") if named else ""
    if kind == "UnknownFilter":
        near = get_close_matches(name, filters.NAMES, 3) or sorted(filters.FILTERS)
        return f"There is no filter “{name}”. There is {', '.join(near)}, among others."
    if kind == "UnknownTest":
        return f"There is no test “{name}” after “is”. There is defined, none, string, number, mapping, among others."
    return f"There is no function “{name}”. Values are changed by filters, such as {{{{ name | upper }}}}."


def _known(detail: str) -> str:
    for pattern, words in KNOWN:
        if found := re.match(pattern, detail):
            return words.format(*(TYPES.get(one.strip(), one.strip()) for one in found.groups()))
    return ""
