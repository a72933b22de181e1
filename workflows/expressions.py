"""{{ steps.fetch.output.title }}: where expressions stand in settings, what they name, and what comes of them.

No Django. What they give is the evaluator's business, and how their names are found the lookup's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from workflows.errors import WorkflowStepError
from workflows.evaluation import evaluator, lookup
from workflows.evaluation.evaluator import Fault, Template
from workflows.evaluation.lookup import Chain
from workflows.values import copied

ROOTS = ("input", "data", "steps", "vars", "now", "execution")
Place = tuple[str | int, ...]  # into the settings: ("conditions", 0, "value")
LONGEST = evaluator.SOURCE_BYTES  # characters of one expression with the text around it
QUICK = 20  # paths of one step; each may stand for all of the data
KEPT = 2_048  # characters of one whose check is remembered: a thousand long ones would fill the memory


class ExpressionError(WorkflowStepError):
    """An expression cannot be worked out."""

    def __init__(self, one: Expression, fault: Fault, name: str) -> None:
        details = {"setting": ".".join(map(str, one.place)), "line": fault.line, "column": fault.column}
        message = f"{name}{at(one.source, fault)}: {fault.message}"
        is_permanent, more = fault.passes_after_s is None, {**details, "expression": one.source[:500]}
        super().__init__(message, more, is_permanent=is_permanent, retry_after_s=fault.passes_after_s)


@dataclass(frozen=True)
class Expression:
    """One text with {{ }} or {% %} in it, and where it stands."""

    place: Place
    source: str

    @cached_property
    def tags(self) -> list[str]:
        """Each {{ … }} and {% … %}, whole. None in what is too long: the evaluator will refuse it."""
        return list(lookup.tags(self.source)) if len(self.source) <= LONGEST else []

    @cached_property
    def is_whole(self) -> bool:
        """One {{ … }} and nothing around it: its value keeps its type."""
        return self.tags == [self.source.strip()] and self.tags[0].startswith("{{")

    @cached_property
    def chains(self) -> tuple[Chain, ...]:
        """What it names, as far as that stands in it; more rather than less, since a text in it may look like one."""
        found = lookup.chains(self.source) if self.tags else ()
        return tuple(chain for chain in found if chain[0] in (*ROOTS, "secrets"))

    @cached_property
    def is_quick(self) -> bool:
        """Nothing but paths and text: it needs no child, and is worked out at once."""
        paths = lookup.PLACE.finditer(self.source)
        return bool(self.tags) and evaluator.is_plain(self.source) and all(_root(found[1]) in ROOTS for found in paths)


def holds_one(value: Any) -> bool:
    """Whether a text has an expression in it."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def holds_any(value: Any) -> bool:
    return any(True for _ in _texts(value, ()))


def found_in(settings: Mapping[str, Any], literal: frozenset[str] = frozenset()) -> tuple[Expression, ...]:
    """Every expression in a step's settings, but for those in which {{ }} means nothing."""
    shown = {key: value for key, value in settings.items() if key not in literal}
    return tuple(Expression(place, text) for place, text in _texts(shown, ()))


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
    return evaluator.evaluate([Template(one.source, one.is_whole) for one in expressions], scope, owner)


def is_quick(expressions: Sequence[Expression]) -> bool:
    """Whether none of them needs a child, and together they copy only so much."""
    return len(expressions) <= QUICK and all(one.is_quick for one in expressions)


# What is wrong, as publishing and the builder say it


def at(source: str, fault: Fault) -> str:
    """“, line 2, column 5”; the line only where there are several."""
    line = f", line {fault.line}" if fault.line and "\n" in source else ""
    column = f", column {fault.column}" if fault.column else ""
    return f"{line}{column}"


def fault_in(source: str) -> Fault | None:
    """What is wrong with how it is written."""
    try:
        return _known_fault(source) if len(source) <= KEPT else _fault_in(source)
    except _Passing as passing:
        return passing.fault


class _Passing(Exception):
    """Nobody could say just now, so that is not kept."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


@lru_cache(maxsize=4096)
def _known_fault(source: str) -> Fault | None:
    return _fault_in(source)


def _fault_in(source: str) -> Fault | None:
    one = Expression((), source)
    if not one.tags:
        return Fault("“{{” opens an expression that “}}” never ends.")
    for chain in one.chains:
        if chain[0] == "secrets":
            return Fault("A secret is chosen in a field for secrets, and no expression can read it.")
        if chain == ("steps",) or (chain[0] == "steps" and not isinstance(chain[1], str)):
            return Fault("“steps” is followed by the id of a step, as in steps.fetch.output.")
    # Each on its own account: who writes what has to be stopped keeps nobody else from publishing.
    fault = evaluator.check([source], f"the text {hash(source)}")[0]
    if fault and fault.passes_after_s is not None:
        raise _Passing(fault)
    return fault


def written(chain: Chain) -> str:
    """As a person writes it: steps["my-step"].output.items[0]."""
    return lookup.spelled(list(chain))


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


def _root(path: str) -> str | int:
    return lookup.pieces(path)[0]


def _named(root: str, expressions: Sequence[Expression]) -> frozenset[str]:
    chains = chains_in(expressions)
    return frozenset(chain[1] for chain in chains if len(chain) > 1 and chain[0] == root and isinstance(chain[1], str))


def _put(settings: Any, place: Place, value: Any) -> None:
    *way, last = place
    for part in way:
        settings = settings[part]
    settings[last] = value
