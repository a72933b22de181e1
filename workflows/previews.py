"""What comes of the expressions in a step's form, with what the last run knew. Saves nothing, and starts nothing but
the evaluator, which may take a while: never on an event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from workflows import config, expressions
from workflows.config import Preview
from workflows.evaluation.evaluator import Fault
from workflows.expressions import Chain, Expression, Place, at
from workflows.memory import Memory, Withheld
from workflows.names import sample
from workflows.steps import AnyStep, settled_errors
from workflows.steps.recipe import Recipe, bare
from workflows.values import copied
from workflows.words import as_json, count

MOST = 60  # expressions of one form
SHOWN = 400  # characters of a result
WRONG = "wrong"
NO_RUN = Preview("Run it once to see what comes of this.", "none")
KINDS = {str: "text", bool: "yes or no", int: "number", float: "number", type(None): "null"}


def recipe_for(kind: type[AnyStep], data: Mapping[str, Any]) -> Recipe:
    return Recipe(kind, kind.upgrade(bare(data)))


def named_by(recipe: Recipe) -> tuple[Chain, ...]:
    return expressions.chains_in(recipe.expressions[:MOST])


def previews(recipe: Recipe, memory: Memory, owner: str) -> dict[str, Preview]:
    """By field, such as “conditions.0.value”, of those that hold an expression. `owner`: on whose account they go."""
    found = recipe.expressions[:MOST]
    if memory.execution is None:
        return {_field(recipe, one.place): NO_RUN for one in found}
    answers = dict(zip(found, _answers(found, memory, owner), strict=True))
    made: dict[str, Any] = copied(dict(recipe.config))
    for one, answer in answers.items():
        if not isinstance(answer, Fault):
            _put(made, one.place, answer)
    shown: dict[str, Preview] = {}
    misfits = dict(reversed(settled_errors(recipe.kind, made)))
    for one, answer in answers.items():
        field = _field(recipe, one.place)
        if field not in shown or isinstance(answer, Fault):
            shown[field] = _shown(one, answer, _at(made, field), _misfit(misfits, field))
    return shown


def _answers(found: Sequence[Expression], memory: Memory, owner: str) -> list[Any]:
    answers = expressions.answers(found, memory.scope, owner)
    return [_large(one, memory.scope) or answer for one, answer in zip(found, answers, strict=True)]


def _large(one: Expression, scope: Mapping[str, Any]) -> Fault | None:
    """It names a value that is not looked at here; when it runs, it gets it."""
    for chain in one.chains:
        value: Any = scope
        for part in chain:
            value = value.get(str(part)) if isinstance(value, Mapping) else None
            if isinstance(value, Withheld):
                name = expressions.written(chain)
                return Fault(f"“{name}” is too large to be looked at here ({value.strip('… ')}). A run will have it.")
    return None


def _shown(one: Expression, answer: Any, value: Any, misfit: str) -> Preview:
    if isinstance(answer, Fault):
        where = at(one.source, answer).removeprefix(", ").capitalize()
        return Preview(f"{where}: {answer.message}" if where else answer.message, WRONG)
    if misfit:
        return Preview(misfit, WRONG)
    return told(value)


def told(value: Any) -> Preview:
    """A value and what it is."""
    if isinstance(value, str):
        return Preview(_cut(value) if value else "an empty text", "text" if value else "none")
    if isinstance(value, dict | list):
        kind = (
            f"object, {count(len(value), 'entry')}" if isinstance(value, dict) else f"list, {count(len(value), 'item')}"
        )
        return Preview(_cut(as_json(value)), kind)
    return Preview(sample(value, SHOWN), KINDS[type(value)])


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _misfit(misfits: Mapping[str, str], field: str) -> str:
    return next((text for place, text in misfits.items() if place == field or place.startswith(f"{field}.")), "")


def _field(recipe: Recipe, place: Place) -> str:
    """The field of the form in which a place of the settings stands: that of a row, or of the setting as a whole."""
    name, *rest = place
    info = recipe.kind.Config.model_fields.get(str(name))
    return ".".join(map(str, _way(info, [name, *rest])))


def _way(info: FieldInfo | None, place: list[str | int]) -> list[str | int]:
    row = config.row_of(info) if info and len(place) > 2 else None
    if row is None:
        return place[:1]
    return [*place[:2], *_way(row.model_fields.get(str(place[2])), place[2:])]


def _at(made: Any, field: str) -> Any:
    for part in field.split("."):
        made = made[int(part)] if isinstance(made, list) else made[part]
    return made


def _put(settings: Any, place: Place, value: Any) -> None:
    *way, last = place
    for part in way:
        settings = settings[part]
    settings[last] = value
