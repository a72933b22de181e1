"""Conditions that a person fills in: a field of the data, an operator, a value; all or any of several. No Django.

What cannot be compared does not hold, and the words say why. Whatever comes, nothing here raises: a condition stands
in the middle of a run, where nobody can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Annotated, Any, Literal

import pydantic
from pydantic_core import PydanticCustomError

from workflows import comparison, paths
from workflows.comparison import Answer, kind_of, moment_of, number_of, said, texts_of
from workflows.expressions import Expression, holds_one

Match = Literal["all", "any"]
# fmt: off
Operator = Literal[
    "equals", "not_equals", "greater", "at_least", "less", "at_most", "one_of", "not_one_of",
    "contains", "not_contains", "starts_with", "ends_with", "matches", "empty", "not_empty", "true", "false",
    "before", "after", "length_at_least", "length_at_most",
]
# fmt: on


@dataclass(frozen=True, slots=True)
class _Meaning:
    """`words` and `not_words`: what is said where it holds, and where it does not. `of`: what the value must be."""

    words: str
    not_words: str
    compare: Callable[[Any, Any, tzinfo], Answer]
    of: Literal["anything", "order", "date", "length", "nothing"] = "anything"
    is_negated: bool = False


MEANINGS: dict[str, _Meaning] = {
    "equals": _Meaning("equals", "does not equal", comparison.equals),
    "not_equals": _Meaning("does not equal", "equals", comparison.equals, is_negated=True),
    "greater": _Meaning("is more than", "is not more than", comparison.greater, "order"),
    "at_least": _Meaning("is at least", "is less than", comparison.at_least, "order"),
    "less": _Meaning("is less than", "is not less than", comparison.less, "order"),
    "at_most": _Meaning("is at most", "is more than", comparison.at_most, "order"),
    "one_of": _Meaning("is one of", "is none of", comparison.one_of),
    "not_one_of": _Meaning("is none of", "is one of", comparison.one_of, is_negated=True),
    "contains": _Meaning("contains", "does not contain", comparison.contains),
    "not_contains": _Meaning("does not contain", "contains", comparison.contains, is_negated=True),
    "starts_with": _Meaning("starts with", "does not start with", comparison.starts_with),
    "ends_with": _Meaning("ends with", "does not end with", comparison.ends_with),
    "matches": _Meaning("is like", "is not like", comparison.matches),
    "empty": _Meaning("is empty", "is not empty", comparison.is_empty, "nothing"),
    "not_empty": _Meaning("is not empty", "is empty", comparison.is_empty, "nothing", is_negated=True),
    "true": _Meaning("is yes", "is not yes", comparison.is_yes, "nothing"),
    "false": _Meaning("is no", "is not no", comparison.is_no, "nothing"),
    "before": _Meaning("is before", "is not before", comparison.before, "date"),
    "after": _Meaning("is after", "is not after", comparison.after, "date"),
    "length_at_least": _Meaning(
        "has a length of at least", "has a length of less than", comparison.long_at_least, "length"
    ),
    "length_at_most": _Meaning(
        "has a length of at most", "has a length of more than", comparison.long_at_most, "length"
    ),
}
#: As a form offers them.
CHOICES: dict[str, Any] = {name: meaning.words for name, meaning in MEANINGS.items()} | {
    "matches": "is like (* is anything)",
    "one_of": "is one of (a, b, c)",
    "not_one_of": "is none of (a, b, c)",
}
MUST = {
    "order": "a number such as 100, or a date such as 2026-11-24",
    "date": "a date such as 2026-11-24 or 2026-11-24 08:00",
    "length": "a whole number of characters, items or entries",
}


def _wrong(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("field", "{sentence}", {"sentence": sentence})


class Condition(pydantic.BaseModel):
    """One comparison. `value` may be any JSON; what a form gives is text."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    written: str = pydantic.Field(default="", description="The expression.", json_schema_extra={"look": "hidden"})
    path: Any = pydantic.Field(
        "",
        title="Field",
        description="Its name in the data, such as amount or customer.items.0.price, or an expression.",
        validate_default=True,
        json_schema_extra={"look": "text"},
    )
    operator: Operator = pydantic.Field(
        "equals", title="Comparison", description="How the field is compared.", json_schema_extra={"words": CHOICES}
    )
    value: Any = pydantic.Field(
        "",
        title="Value",
        description="What it is compared with.",
        validate_default=True,
        json_schema_extra={"look": "text"},
    )

    @pydantic.field_validator("path")
    @classmethod
    def _path_leads_somewhere(cls, path: Any, info: pydantic.ValidationInfo) -> Any:
        if info.data.get("written"):  # then it is the value itself
            return path
        if not isinstance(path, str):
            raise _wrong(f"name a field of the data, not {said(path)}")
        if why := paths.wrong(path):
            raise _wrong(why)
        return path.strip()

    @pydantic.field_validator("value")
    @classmethod
    def _value_fits_the_operator(cls, value: Any, known: pydantic.ValidationInfo) -> Any:
        meaning = MEANINGS.get(known.data.get("operator", ""))
        if meaning and (why := _misfit(meaning, value)):
            raise _wrong(why)
        return value


def _misfit(meaning: _Meaning, value: Any) -> str:
    if meaning.of == "nothing":
        return ""
    if value in (None, "", []) or (isinstance(value, str) and not value.strip()):
        return f"“{meaning.words}” needs something to compare with; for nothing, choose “is empty”"
    if meaning.of == "anything":
        return ""
    number, moment = number_of(value), moment_of(value, UTC)
    fits = {
        "order": number is not None or moment is not None,
        "date": moment is not None,
        "length": isinstance(number, int) and number >= 0,
    }
    return "" if fits[meaning.of] else f"“{meaning.words}” needs {MUST[meaning.of]}, not {said(value)}"


def _some(conditions: list[Condition]) -> list[Condition]:
    if not conditions:
        raise _wrong("add at least one")
    return conditions


MOST = 50
#: For a Config: what is to be compared.
Conditions = Annotated[list[Condition], pydantic.Field(max_length=MOST), pydantic.AfterValidator(_some)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`words`: “amount” is 120, which is more than 100"""

    holds: bool
    words: str


def decide(conditions: Sequence[Condition], match: Match, data: Mapping[str, Any], zone: tzinfo) -> Verdict:
    """Whether all, or any, of them hold; the words name those that decided it. `zone`: of dates without one."""
    verdicts: list[Verdict] = []
    for condition in conditions:
        verdict = judge(condition, data, zone)
        if verdict.holds == (match == "any"):
            return verdict
        verdicts.append(verdict)
    return Verdict(match == "all", "; ".join(verdict.words for verdict in verdicts))


def with_expressions(conditions: Any) -> Any:
    """Rows as they were written, where a field that is one expression stands for its value and not for a name."""
    return [_with_expression(row) for row in conditions] if isinstance(conditions, list) else conditions


def _with_expression(row: Any) -> Any:
    path = row.get("path") if isinstance(row, dict) else None
    if not isinstance(path, str) or not holds_one(path) or not Expression((), path).is_whole:
        return row
    return {**row, "written": path.strip()[2:-2].strip().replace("{{", "{ {").replace("{%", "{ %")}


def judge(condition: Condition, data: Mapping[str, Any], zone: tzinfo) -> Verdict:
    meaning, value = MEANINGS[condition.operator], condition.value
    came = condition.path if condition.written else paths.found(data, condition.path)
    name = condition.written or condition.path
    is_missing = came is paths.MISSING
    answer = meaning.compare(None if is_missing else came, value, zone)
    holds = (answer is not True) if meaning.is_negated else answer is True
    subject = f"“{name}” is " + ("missing" if is_missing else said(came))
    if answer is None and not meaning.is_negated:
        what = "missing, so it" if is_missing else f"{kind_of(came, zone)}, which"
        return Verdict(False, f"“{name}” is {what} cannot be compared with {kind_of(value, zone)}")
    words = meaning.words if holds else meaning.not_words
    other = "" if meaning.of == "nothing" else f" {_other(meaning, came, value)}"
    return Verdict(holds, f"{subject}, {'so it' if is_missing else 'which'} {words}{other}")


def _other(meaning: _Meaning, came: Any, value: Any) -> str:
    """The value as it was read: 100 beside a number, “100” beside a text."""
    if meaning.compare is comparison.one_of:
        items = texts_of(value)
        more = f" and {len(items) - 5} more" if len(items) > 5 else ""
        return ", ".join(_beside(came, item) for item in items[:5]) + more
    return _beside(came, value) if meaning.of == "anything" else said(value).strip("“”")


def _beside(came: Any, value: Any) -> str:
    is_read = isinstance(came, int | float) and isinstance(value, str) and number_of(value) is not None
    return said(value).strip("“”") if is_read else said(value)
