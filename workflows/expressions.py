"""{{ steps.fetch.output.title }}: where expressions stand in settings, what they name, and what comes of them.

No Django. A value that is one path and nothing else is looked up right here, at any size and with its type; all else
is Jinja, which only the evaluator's child process reads. Both get the same names, and nothing but JSON.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from workflows import evaluator
from workflows.errors import WorkflowStepError
from workflows.evaluator import Fault, Template
from workflows.values import copied

ROOTS = ("input", "data", "steps", "vars", "now", "execution")
Place = tuple[str | int, ...]  # into the settings: ("conditions", 0, "value")
Chain = tuple[str | int, ...]  # into what is known: ("steps", "fetch", "output", "title")

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_STRING = r""""(?:\\.|[^"\\])*+"|'(?:\\.|[^'\\])*+'"""
_PART = rf"\s*\.\s*(?:{_NAME}|\d{{1,9}})|\s*\[\s*(?:{_STRING}|-?\d{{1,9}})\s*\]"
_CHAIN = re.compile(rf"""(?<![\w."'])(?P<root>{"|".join((*ROOTS, "secrets"))})\b(?P<rest>(?:{_PART})*)""", re.DOTALL)
_PARTS = re.compile(_PART, re.DOTALL)
_OPENS = re.compile(r"\{\{|\{%|\{#")
# A string that is never closed goes to the end at once: else each of its quotes would be tried again.
_TOKENS = re.compile(r""""(?:\\.|[^"\\])*+(?:"|\Z)|'(?:\\.|[^'\\])*+(?:'|\Z)|\}\}|%\}""", re.DOTALL)
LONGEST = 16_384  # characters of one expression with the text around it


class ExpressionError(WorkflowStepError):
    """An expression cannot be worked out."""

    def __init__(self, one: Expression, fault: Fault, name: str) -> None:
        details = {"setting": ".".join(map(str, one.place)), "line": fault.line, "column": fault.column}
        message = f"{name}{at(one.source, fault)}: {fault.message}"
        super().__init__(message, {**details, "expression": one.source[:500]}, is_permanent=True)


@dataclass(frozen=True)
class Expression:
    """One text with {{ }} or {% %} in it, and where it stands."""

    place: Place
    source: str

    @cached_property
    def tags(self) -> list[str]:
        """Each {{ … }} and {% … %}, whole. None in what is too long: the evaluator will refuse it."""
        return list(_tags(self.source)) if len(self.source) <= LONGEST else []

    @cached_property
    def is_whole(self) -> bool:
        """One {{ … }} and nothing around it: its value keeps its type."""
        return self.tags == [self.source.strip()] and self.tags[0].startswith("{{")

    @cached_property
    def chains(self) -> tuple[Chain, ...]:
        """What it names, as far as that stands in it; more rather than less, since a text in it may look like one."""
        return tuple({chain: None for tag in self.tags for chain in map(_chain, _CHAIN.finditer(tag))})

    @cached_property
    def path(self) -> Chain | None:
        """Where it is one path and nothing else."""
        if not self.is_whole:
            return None
        match = _CHAIN.fullmatch(self.tags[0][2:-2].strip())
        return _chain(match) if match and match["root"] in ROOTS else None


def holds_one(value: Any) -> bool:
    """Whether a text has an expression in it."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def holds_any(value: Any) -> bool:
    return any(True for _ in _texts(value, ()))


@lru_cache(maxsize=4096)
def _expression(place: Place, source: str) -> Expression:
    return Expression(place, source)


def found_in(settings: Mapping[str, Any], literal: frozenset[str] = frozenset()) -> tuple[Expression, ...]:
    """Every expression in a step's settings, but for those in which {{ }} means nothing."""
    shown = {key: value for key, value in settings.items() if key not in literal}
    return tuple(_expression(place, text) for place, text in _texts(shown, ()))


def chains_in(expressions: Sequence[Expression]) -> tuple[Chain, ...]:
    return tuple({chain: None for one in expressions for chain in one.chains})


def steps_named(expressions: Sequence[Expression]) -> frozenset[str]:
    return _named("steps", expressions)


def variables_named(expressions: Sequence[Expression]) -> frozenset[str]:
    return _named("vars", expressions)


def resolved(
    settings: Mapping[str, Any],
    expressions: Sequence[Expression],
    scope: Mapping[str, Any],
    owner: str = "",
    called: Callable[[Place], str] = str,
) -> dict[str, Any]:
    """The settings with every expression worked out; `scope` has what it may name, by ROOTS.

    May take as long as the evaluator does, so no event loop calls it where `is_quick` does not hold. `owner`: on whose
    account it goes where one takes too long. `called`: what people call a setting. Raises ExpressionError for the first
    that cannot be worked out.
    """
    made: dict[str, Any] = copied(dict(settings))
    for one, answer in zip(expressions, answers(expressions, scope, owner), strict=True):
        if isinstance(answer, Fault):
            raise ExpressionError(one, answer, called(one.place))
        _put(made, one.place, answer)
    return made


def answers(expressions: Sequence[Expression], scope: Mapping[str, Any], owner: str = "") -> list[Any]:
    """What comes of each: a value, or a Fault."""
    hard = [one for one in expressions if one.path is None]
    templates = [Template(one.source, one.is_whole) for one in hard]
    worked_out = iter(evaluator.evaluate(templates, known_to(hard, scope), owner) if hard else ())
    return [copied(_looked_up(one.path, scope)) if one.path else next(worked_out) for one in expressions]


def is_quick(expressions: Sequence[Expression]) -> bool:
    """Whether none of them needs the evaluator."""
    return all(one.path is not None for one in expressions)


def known_to(expressions: Sequence[Expression], scope: Mapping[str, Any]) -> dict[str, Any]:
    """Of all that is known, only what they name: a title out of a large answer does not take the answer along."""
    known: dict[str, Any] = {}
    chains = {_until_index(chain) for chain in chains_in(expressions)}
    for names in sorted(chains, key=len, reverse=True):  # the whole last, over its parts
        _copy_along(known, scope, names)
    return known


def _until_index(chain: Chain) -> tuple[str, ...]:
    """A place in a list cannot be handed over without those before it."""
    return tuple(map(str, itertools.takewhile(lambda part: isinstance(part, str), chain)))


def _copy_along(known: dict[str, Any], scope: Any, names: tuple[str, ...]) -> None:
    *way, last = names
    for name in way:
        if not isinstance(scope, Mapping) or not isinstance(scope.get(name), Mapping):
            break
        scope, known = scope[name], known.setdefault(name, {})
    else:
        if isinstance(scope, Mapping) and last in scope:
            known[last] = scope[last]
        return
    if isinstance(scope, Mapping) and name in scope:
        known[name] = scope[name]  # no object, though the expression takes it for one: it will be told so


# What is wrong, as publishing and the builder say it


def at(source: str, fault: Fault) -> str:
    """“, line 2, column 5”; the line only where there are several."""
    line = f", line {fault.line}" if fault.line and "\n" in source else ""
    column = f", column {fault.column}" if fault.column else ""
    return f"{line}{column}"


@lru_cache(maxsize=4096)
def fault_in(source: str) -> Fault | None:
    """What is wrong with how it is written."""
    one = Expression((), source)
    if not one.tags:
        return Fault("“{{” opens an expression that “}}” never ends.")
    for chain in one.chains:
        if chain[0] == "secrets":
            return Fault("A secret is chosen in a field for secrets, and no expression can read it.")
        if chain == ("steps",) or (chain[0] == "steps" and not isinstance(chain[1], str)):
            return Fault("“steps” is followed by the id of a step, as in steps.fetch.output.")
    return evaluator.check([source])[0]


# Paths


def _looked_up(path: Chain, scope: Mapping[str, Any]) -> Any:
    value: Any = scope
    for number, part in enumerate(path):
        if isinstance(value, Mapping) and str(part) in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and -len(value) <= part < len(value):
            value = value[part]
        else:
            return Fault(_missing(path[: number + 1], value))
    return value


def _missing(chain: Chain, inside: Any) -> str:
    what, around = written(chain), written(chain[:-1])
    if isinstance(inside, Mapping):
        there = ", ".join(f"“{str(key)[:40]}”" for key in list(inside)[:8]) or "nothing"
        more = f" and {len(inside) - 8:,} more" if len(inside) > 8 else ""
        return f"There is no “{what}”; {'in “' + around + '”' if around else 'what is known:'} there is {there}{more}."
    if isinstance(inside, list):
        return f"There is no “{what}”: “{around}” is a list of {len(inside):,}."
    return f"There is no “{what}”: “{around}” is {'null' if inside is None else 'no object and no list'}."


def written(chain: Chain) -> str:
    """As a person writes it: steps["my-step"].output.items[0]."""
    text = ""
    for part in chain:
        if isinstance(part, str) and re.fullmatch(_NAME, part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text


# Reading


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if holds_one(value):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*place, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*place, number))


def _tags(source: str) -> Iterator[str]:
    """Up to its end where one is never closed. Goes through the text once, however it is made."""
    at = 0
    while opened := _OPENS.search(source, at):
        if opened.group() == "{#":
            end = source.find("#}", opened.end())
            at = len(source) if end < 0 else end + 2
            continue
        closing = "}}" if opened.group() == "{{" else "%}"
        end = next((t.end() for t in _TOKENS.finditer(source, opened.end()) if t.group() == closing), -1)
        if end < 0:
            return
        yield source[opened.start() : end]
        at = end


def _chain(match: re.Match[str]) -> Chain:
    return (match["root"], *(_part(part.group()) for part in _PARTS.finditer(match["rest"])))


def _part(text: str) -> str | int:
    text = text.strip()
    if text.startswith("."):
        name = text[1:].strip()
        return int(name) if name.isdigit() else name
    inside = text[1:-1].strip()
    if inside[0] not in "\"'":
        return int(inside)
    return re.sub(r"\\(.)", r"\1", inside[1:-1], flags=re.DOTALL)


def _named(root: str, expressions: Sequence[Expression]) -> frozenset[str]:
    chains = chains_in(expressions)
    return frozenset(chain[1] for chain in chains if len(chain) > 1 and chain[0] == root and isinstance(chain[1], str))


def _put(settings: Any, place: Place, value: Any) -> None:
    *way, last = place
    for part in way:
        settings = settings[part]
    settings[last] = value
